"""The file or pipe that a capture is read from, opened before privileges are dropped."""

from __future__ import annotations

import io
import os
import select
import stat
from typing import TYPE_CHECKING, Final

from shadow_agent.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = "-"
# Not to wait for a FIFO's writer where no signal handler can end it; `Input` waits for him.
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


class _Stop(Exception):
    """A read that waits is given up."""


class Input(io.RawIOBase):
    """Bytes until the end, or until somebody says stop, also while a pipe keeps us waiting."""

    def __init__(self, fd: int) -> None:
        """Takes over the descriptor."""
        self._fd = fd
        self._reading = False
        self._begun = False
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
            if not self._begun and not self.stopped:
                self._wait()
                self._begun = True
            while not self.stopped:
                try:
                    return os.readv(self._fd, [buffer])
                except BlockingIOError:  # somebody shares a non-blocking pipe with us
                    self._wait()
        except _Stop:
            pass
        finally:
            self._reading = False
        return 0

    def _wait(self) -> None:
        """Until there is something to read, or an end: of a FIFO not before a writer has come."""
        ready = select.poll()
        ready.register(self._fd, select.POLLIN)
        ready.poll()

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
        fd = os.dup(0) if path == STDIN else os.open(path, _FLAGS)
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
    if path != STDIN:
        os.set_blocking(fd, True)
    return Input(fd)
