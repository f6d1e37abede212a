"""The file or pipe that a capture is read from, opened before privileges are dropped."""

from __future__ import annotations

import io
import os
import stat
from typing import TYPE_CHECKING

from shadow_agent.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = "-"


class _Stop(Exception):
    """A read that waits is given up."""


class Input(io.RawIOBase):
    """Bytes until the end, or until somebody says stop, also while a pipe keeps us waiting."""

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor."""
        self._fd = fd
        self._reading = False
        self.stopped = False

    def stop(self) -> None:
        """It ends here. For signal handlers of the thread that reads."""
        self.stopped = True
        if self._reading:
            raise _Stop

    def readable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """What there is, at most a buffer; 0 at the end."""
        try:
            self._reading = True
            return 0 if self.stopped else os.readv(self._fd, [buffer])
        except _Stop:
            return 0
        finally:
            self._reading = False

    def close(self) -> None:
        """Close the descriptor."""
        if not self.closed:
            os.close(self._fd)
        super().close()


def open_input(path: str, *, regular: bool = False) -> Input:
    """Open a file; ``-`` is standard input. Raises UsageError, also for what can be no capture.

    ``regular``: a pipe will not do.
    """
    name = "standard input" if path == STDIN else path
    fix = "name a pcap or pcapng file that can be read"
    try:
        fd = os.dup(0) if path == STDIN else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise UsageError(f"{name}: {getattr(exc, 'strerror', None) or exc}", fix) from exc
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        os.close(fd)
        raise UsageError(f"{name}: is a directory", fix)
    if regular and not stat.S_ISREG(mode):
        os.close(fd)
        raise UsageError(
            f"{name}: is no regular file, and waiting for it would distort every latency",
            "save the capture to a file first",
        )
    return Input(fd)
