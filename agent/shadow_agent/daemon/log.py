"""Standard error as a favour: what it does not take at once is dropped, and nobody waits for it.

A terminal that was closed or stopped (Ctrl-S), a pipe that nobody reads and a full disk must cost
the operator lines, never the lease, the signals or the summary.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

_APART: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def offer(fd: int, data: bytes) -> None:
    """Write what ``fd`` takes now, in pieces that a pipe takes whole; drop the rest."""
    ready = select.poll()
    ready.register(fd, select.POLLOUT)
    try:
        while data and ready.poll(0):
            data = data[os.write(fd, data[: select.PIPE_BUF]) :]
    except OSError:
        pass  # it went away, or its disk is full


class _Favour(io.RawIOBase):
    """What is not taken is as good as written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._out = _apart(fd)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def fileno(self) -> int:
        return self._fd

    def write(self, data: Buffer, /) -> int:
        taken = bytes(data)
        offer(self._out, taken)
        return len(taken)

    def close(self) -> None:
        if not self.closed and self._out != self._fd:
            os.close(self._out)
        super().close()


def open_log(fd: int = 2) -> io.TextIOWrapper:
    """The file, pipe or terminal behind ``fd``, for a rich Console; ``fd`` itself stays open."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(_Favour(fd)), encoding, "backslashreplace")


def _apart(fd: int) -> int:
    """The terminal or pipe once more: not to block there is then nobody's choice but ours."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return os.open(f"/proc/self/fd/{fd}", _APART)
    except OSError:
        pass  # then by what ``poll`` says alone
    return fd
