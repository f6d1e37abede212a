"""Body readers: where a body ends, and what is left of it without its framing."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Protocol

# Sizes and extensions: RFC 9112 says to limit them. 4 KiB and 16 KiB are nginx's and Node's.
MAX_CHUNK_LINE: Final = 4 * 1024
MAX_TRAILERS: Final = 16 * 1024
# What a line may be long without the `;` or `:` behind which nothing matters: the rest is checked
# and dropped as it comes, so that no flow holds kilobytes of an unfinished line.
_MAX_KEPT: Final = 256

# Spaces after the size are not in the grammar but were sent by Apache for years.
_match_size: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?\Z").match
_match_trailer: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\Z").match


class BodyReader(Protocol):
    """Finds the end of one body, however it is cut."""

    done: bool  # its last byte was fed
    malformed: bool  # its framing is broken: nothing after this can be found

    def feed(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        """Reads from `pos`, appends the decoded bytes to `pieces`; returns where it stopped."""

    def skip(self, gap: int) -> bool:
        """`gap` bytes are missing here; returns whether the end can still be found."""


class LengthBody:
    """A body of known length."""

    __slots__ = ("done", "left", "malformed")

    def __init__(self, length: int) -> None:
        """A body of `length` bytes."""
        self.left = length
        self.done = length == 0
        self.malformed = False

    def feed(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        """See BodyReader."""
        size = len(data) - pos
        if size < self.left:
            self.left -= size
            pieces.append(data[pos:] if pos else data)
            return len(data)
        end = pos + self.left
        if self.left:
            pieces.append(data[pos:end])  # no copy where it is all of data
        self.left = 0
        self.done = True
        return end

    def skip(self, gap: int) -> bool:
        """See BodyReader."""
        if gap > self.left:
            return False
        self.left -= gap
        self.done = self.left == 0
        return True


class CloseBody:
    """A body that ends when the sender closes."""

    __slots__ = ("done", "malformed")

    def __init__(self) -> None:
        """A body of any length."""
        self.done = False
        self.malformed = False

    def feed(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        """See BodyReader."""
        pieces.append(data[pos:] if pos else data)
        return len(data)

    def skip(self, gap: int) -> bool:
        """See BodyReader."""
        return gap >= 0


class _Part(Enum):
    """Where in a chunked body the next byte lies: SIZE → DATA → DATA_END → SIZE … TRAILERS."""

    SIZE = "size"
    DATA = "data"
    DATA_END = "data_end"
    TRAILERS = "trailers"


class ChunkedBody:
    """A chunked body (RFC 9112 7.1), strict: lines end with CRLF, sizes are plain hexadecimal."""

    __slots__ = ("_dropped", "_left", "_line", "_part", "_trailers", "done", "malformed")

    def __init__(self) -> None:
        """A body that begins with its first chunk's size."""
        self._part = _Part.SIZE
        self._left = 0  # bytes of the chunk's data that are still to come
        self._line = b""  # what matters of a line of which the end has not come
        self._dropped = 0  # bytes of that line that do not
        self._trailers = 0  # bytes of trailer fields so far
        self.done = False
        self.malformed = False

    def feed(self, data: bytes, pos: int, pieces: list[bytes]) -> int:
        """See BodyReader."""
        size = len(data)
        while pos < size and not self.done and not self.malformed:
            if self._part is _Part.DATA:
                end = min(pos + self._left, size)
                pieces.append(data[pos:end])
                self._left -= end - pos
                pos = end
                if not self._left:
                    self._part = _Part.DATA_END
            else:
                pos = self._feed_line(data, pos)
        return pos

    def skip(self, gap: int) -> bool:
        """See BodyReader. A gap within one chunk's data leaves the framing readable."""
        if self._part is not _Part.DATA or gap > self._left:
            return False
        self._left -= gap
        if not self._left:
            self._part = _Part.DATA_END
        return True

    def _feed_line(self, data: bytes, pos: int) -> int:
        if self._line.endswith(b"\r") and data[pos] == 0x0A:
            line, end = self._line[:-1], pos + 1
        else:
            found = data.find(b"\r\n", pos, pos + MAX_CHUNK_LINE + 2)
            if found < 0:
                self._keep(self._line + data[pos : pos + MAX_CHUNK_LINE + 2])
                return len(data)
            line, end = self._line + data[pos:found], found + 2
        self._line = b""
        self._take_line(line)
        return end

    def _keep(self, line: bytes) -> None:
        """Keeps what matters of an unfinished line, unless it breaks the framing already."""
        if self._hopeless(line):
            self.malformed = True
            return
        end = line.find(b";" if self._part is _Part.SIZE else b":") + 1
        kept = line[:end] + line[-1:] if end and line.endswith(b"\r") else line[:end] or line
        self._dropped += len(line) - len(kept)
        self._line = kept
        self.malformed = len(kept) > _MAX_KEPT

    def _hopeless(self, line: bytes) -> bool:
        """Whether a line without its end breaks the framing already, so nothing waits for it."""
        if len(line) + self._dropped > MAX_CHUNK_LINE or b"\n" in line or b"\0" in line:
            return True
        if self._part is _Part.DATA_END:
            return line != b"\r"
        return b"\r" in line[:-1]

    def _take_line(self, line: bytes) -> None:
        size = len(line) + self._dropped
        self._dropped = 0
        if self._part is _Part.SIZE:
            match = _match_size(line)
            if match is None or size > MAX_CHUNK_LINE:
                self.malformed = True
                return
            self._left = int(match[1], 16)
            self._part = _Part.DATA if self._left else _Part.TRAILERS
        elif self._part is _Part.DATA_END:
            self._part = _Part.SIZE
            self.malformed = bool(line)
        elif line:
            self._trailers += size + 2
            self.malformed = self._trailers > MAX_TRAILERS or _match_trailer(line) is None
        else:
            self.done = True
