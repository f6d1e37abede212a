"""Waiting for something outside this process, always with a deadline."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

POLL_S = 0.01  # fine enough for tests, 1 % of a core at most


class NotYet(TimeoutError):
    """What was waited for did not happen within its deadline."""


def eventually(
    condition: Callable[[], bool], timeout: float = 5.0, what: str = "", pid: int | None = None
) -> None:
    """Return once ``condition()`` holds; looks every 10 ms.

    ``pid``: a child process that must live meanwhile; its death ends the wait at once.
    Raises NotYet after ``timeout`` seconds, ChildProcessError when ``pid`` dies first.
    """
    what = what or getattr(condition, "__name__", "condition")
    deadline = time.monotonic() + timeout
    pidfd = -1 if pid is None else _pidfd(pid, what)
    try:
        while not condition():
            if time.monotonic() >= deadline:
                raise NotYet(f"{what}: not within {timeout:g} s")
            if select.select([] if pidfd < 0 else [pidfd], [], [], POLL_S)[0] and not condition():
                raise ChildProcessError(f"{what}: process {pid} ended first")
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _pidfd(pid: int, what: str) -> int:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise ChildProcessError(f"{what}: process {pid} ended first") from None
