"""One connection of the load generator: sends a request, tells when its response is whole."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol, cast

_HEAD_LIMIT = 65536
_NO_BODY = {204, 304}
_IN_HEAD, _CHUNKED, _UNTIL_CLOSE = -1, -2, -3  # what is left of a response, when not a length


class Owner(Protocol):
    """Who is told what became of the requests."""

    unasked: int
    body_bytes: int

    def busy(self, connection: Connection, index: int) -> None:
        """A request of kind ``index`` went out."""

    def answered(self, connection: Connection, index: int, status: int) -> None:
        """Its response is whole."""

    def failed(self, connection: Connection, why: str) -> None:
        """There will be none."""

    def gone(self, connection: Connection) -> None:
        """Closed with nothing outstanding."""


class Connection(asyncio.Protocol):
    """One connection with at most one outstanding request."""

    transport: asyncio.Transport

    def __init__(self, load: Owner) -> None:
        self.load = load
        self.due = 0.0
        self.sent_at = 0.0
        self.closing = False
        self._index = -1  # of the outstanding ask; -1: none
        self._head_only = False
        self._buffer = b""
        self._status = 0
        self._left = _IN_HEAD  # or how many bytes of the body
        self._tail = b""  # the last bytes of a body whose end is marked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def send(self, request: tuple[int, bytes], due: float) -> None:
        """Send a request that was due at ``due`` (seconds, CLOCK_MONOTONIC)."""
        self._index, data = request
        self._head_only = data.startswith(b"HEAD ")
        self.due = due
        self.sent_at = time.monotonic()
        self.load.busy(self, self._index)
        self.transport.write(data)

    def fail(self, why: str) -> None:
        """Give up on the outstanding request and the connection."""
        self._index = -1
        self.load.failed(self, why)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: closed by either side, or reset (``exc``)."""
        if self._index < 0:
            self.load.gone(self)
        elif self._status and self._left == _UNTIL_CLOSE and exc is None:
            self._done()
        else:
            self._index = -1
            self.load.failed(self, "reset" if exc else "closed")

    def data_received(self, data: bytes) -> None:
        """Called by the loop: bytes came in."""
        if self._index < 0:
            if not self.transport.is_closing():
                self.load.unasked += 1
                self.transport.abort()
            return
        if self._left == _IN_HEAD:
            data = self._buffer + data
            end = data.find(b"\r\n\r\n")
            if end < 0 and data.startswith(b"HTTP/1."[: len(data)]) and len(data) <= _HEAD_LIMIT:
                self._buffer = data
                return
            self._buffer = b""
            if end < 0 or not self._head(data[: end + 2]):
                self.fail("malformed")
                return
            data = data[end + 4 :]
        self._body(data)

    def _head(self, head: bytes) -> bool:
        if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
            return False
        self._status = int(head[9:12])
        folded = head.lower()
        self.closing = b"\r\nconnection: close\r\n" in folded
        length = folded.find(b"\r\ncontent-length:")
        if self._head_only or self._status in _NO_BODY:
            self._left = 0
        elif length >= 0:
            number = folded[length + 17 : folded.find(b"\r\n", length + 17)].strip()
            if not number.isdigit():
                return False
            self._left = int(number)
        elif b"\r\ntransfer-encoding: chunked\r\n" in folded:
            self._left = _CHUNKED
            self._tail = b"\r\n"
        else:
            self._left = _UNTIL_CLOSE
            self.closing = True
        return True

    def _body(self, data: bytes) -> None:
        self.load.body_bytes += len(data)
        if self._left == _CHUNKED:
            # Enough for servers of the testbed: their bodies hold no line "0" between empty ones.
            self._tail = (self._tail + data)[-7:]
            if self._tail == b"\r\n0\r\n\r\n":
                self._done()
        elif self._left != _UNTIL_CLOSE:
            self._left -= len(data)
            if self._left < 0:
                self.fail("too long")
            elif self._left == 0:
                self._done()

    def _done(self) -> None:
        index, self._index = self._index, -1
        status, self._status = self._status, 0
        self._left = _IN_HEAD
        self.load.answered(self, index, status)
