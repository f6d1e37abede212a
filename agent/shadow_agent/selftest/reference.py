"""HTTP/1.1 as the selftest's own client and server read it: short, whole bodies, no guessing.

On purpose nothing of the ``http`` room is used: what it rebuilds is judged by this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

_NO_BODY: Final = frozenset({204, 304})


class Message(NamedTuple):
    """A request or a response, whole. ``first`` is its start line, names are in lower case."""

    first: bytes
    fields: dict[bytes, bytes]
    body: bytes

    @property
    def method(self) -> str:
        """Of a request."""
        return self.first.split()[0].decode("latin-1")

    @property
    def target(self) -> str:
        """Of a request."""
        return self.first.split()[1].decode("latin-1")

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.first.split()[1])


class _Part(Enum):
    HEAD = "head"
    BODY = "body"
    CLOSE = "close"
    SIZE = "size"
    CHUNK = "chunk"
    TRAILERS = "trailers"


class Reader:
    """Bytes in, whole messages out. For responses ``methods`` holds what was asked, in order."""

    def __init__(self, *, responses: bool = False) -> None:
        """Nothing was read."""
        self.methods: deque[str] = deque()
        self.head: Message | None = None  # of the message whose body is still to come
        self._responses = responses
        self._buffer = b""
        self._body = b""
        self._part = _Part.HEAD
        self._left = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole with these bytes. Raises ValueError for what is no HTTP."""
        self._buffer += data
        while (done := self._step()) is not None:
            if done:
                yield self._finish()

    def eof(self) -> Message | None:
        """The message that ends with the connection, if one does."""
        if self._part is not _Part.CLOSE:
            return None
        self._body, self._buffer = self._body + self._buffer, b""
        return self._finish()

    @property
    def idle(self) -> bool:
        """Whether it stands between two messages."""
        return self._part is _Part.HEAD and not self._buffer

    def _finish(self) -> Message:
        if self.head is None:
            raise AssertionError("a body without its head")
        message = self.head._replace(body=self._body)
        self.head, self._body, self._part = None, b"", _Part.HEAD
        return message

    def _step(self) -> bool | None:
        """One part further: whether the message is whole, None when bytes are missing."""
        if self._part is _Part.HEAD:
            return self._read_head()
        if self._part is _Part.CLOSE:
            self._body, self._buffer = self._body + self._buffer, b""
            return None
        if self._part in (_Part.BODY, _Part.CHUNK):
            end = self._left + (2 if self._part is _Part.CHUNK else 0)
            if len(self._buffer) < end:
                return None
            self._body += self._buffer[: self._left]
            self._buffer = self._buffer[end:]
            if self._part is _Part.BODY:
                return True
            self._part = _Part.SIZE
            return False
        line, found, rest = self._buffer.partition(b"\r\n")
        if not found:
            return None
        self._buffer = rest
        if self._part is _Part.TRAILERS:
            return not line
        self._left = int(line.partition(b";")[0], 16)
        self._part = _Part.CHUNK if self._left else _Part.TRAILERS
        return False

    def _read_head(self) -> bool | None:
        raw, found, rest = self._buffer.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not found:
            return None
        self._buffer = rest
        first, *lines = raw.split(b"\r\n")
        fields = {}
        for line in lines:
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        self.head = Message(first, fields, b"")
        if self._responses:
            status = self.head.status
            interim = 100 <= status < 200
            method = self.methods[0] if interim and self.methods else ""
            if not interim and self.methods:
                method = self.methods.popleft()
            if interim or status in _NO_BODY or method == "HEAD":
                return True
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            self._part = _Part.SIZE
        elif b"content-length" in fields:
            self._part, self._left = _Part.BODY, int(fields[b"content-length"])
        elif self._responses:
            self._part = _Part.CLOSE
        else:
            return True
        return False
