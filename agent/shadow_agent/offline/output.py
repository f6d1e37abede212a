"""Standard output in large blocks, past Python's own buffers: what it does not take is known."""

from __future__ import annotations

import os
import select
from typing import Final

from shadow_agent.errors import UsageError

# Bytes written at once; a pipe takes 64 KiB, a file as much as there is.
_BLOCK: Final = 256 << 10


class ReaderGone(Exception):
    """Whoever read our output has seen enough, as ``head`` does."""


class Output:
    """Collects lines and writes them out; the descriptor stays the caller's."""

    __slots__ = ("_fd", "_lines", "_size")

    def __init__(self, fd: int = 1) -> None:
        """Nothing waits."""
        self._fd = fd
        self._lines: list[bytes] = []
        self._size = 0

    def write(self, line: bytes) -> None:
        """Take a whole line; raises as ``flush``."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= _BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Raises ReaderGone, and UsageError when there is no room."""
        data = memoryview(b"".join(self._lines))
        self._lines.clear()
        self._size = 0
        try:
            while data:
                try:
                    data = data[os.write(self._fd, data) :]
                except BlockingIOError:  # somebody shares a non-blocking pipe or terminal with us
                    select.select([], [self._fd], [])
        except BrokenPipeError as exc:
            raise ReaderGone from exc
        except OSError as exc:
            raise UsageError(
                f"standard output: {exc.strerror}", "send it where there is room"
            ) from exc
