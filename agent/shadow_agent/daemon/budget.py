"""A number of requests that all workers share, and take from one by one."""

from __future__ import annotations

import os


class RequestBudget:
    """An eventfd counted down to zero: exact over processes, and over their deaths."""

    def __init__(self, requests: int) -> None:
        """``requests`` may be taken, by this process and those it forks."""
        self.fd = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        if requests:
            os.eventfd_write(self.fd, requests)

    def take(self) -> bool:
        """One of them; False when none is left."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """In the process that made it."""
        os.close(self.fd)
