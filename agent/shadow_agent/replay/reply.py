"""What the shadow answers, read from its bytes (sans-io)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from shadow_agent.http.body import BodyReader, ChunkedBody, CloseBody, LengthBody
from shadow_agent.http.head import CHUNKED, UNTIL_CLOSE, Malformed, ResponseHead, parse_response
from shadow_agent.telemetry.reasons import Outcome

_TERMINATOR: Final = b"\r\n\r\n"
_BEGIN: Final = b"HTTP/1."
_SWITCHING: Final = 101


# Enum members as module names: a look-up on the class costs 60 ns, and there are many.
_ANSWERED: Final = Outcome.ANSWERED


class Reply:
    """One answer as it comes in. Offsets count the bytes of the connection from its start."""

    __slots__ = (
        "_body",
        "_hash",
        "_hashing",
        "_head_only",
        "_keep",
        "_kept",
        "_whole",
        "body_len",
        "end_offset",
        "first_offset",
        "head",
        "outcome",
    )

    def __init__(self, *, head_only: bool, keep: int = 0) -> None:
        """``head_only``: it answers HEAD, so whatever its framing says no body follows.

        ``keep``: bytes of a JSON body that are kept although it comes in pieces.
        """
        self._head_only = head_only
        self._keep = keep
        self._kept: list[bytes] | None = None
        self._body: BodyReader | None = None
        self._whole: bytes | None = None
        self._hashing: Any = None
        self._hash: bytes | None = None
        self.head: ResponseHead | None = None
        self.body_len = 0  # decoded bytes so far
        self.first_offset: int | None = None  # of the final response's first byte
        self.end_offset: int | None = None  # just behind its last byte
        self.outcome: Outcome | None = None  # None while it is coming

    @property
    def status(self) -> int | None:
        """Its status code, None when no head was read."""
        return None if self.head is None else self.head.status

    @property
    def body(self) -> bytes | None:
        """The decoded body if it came in one piece, b"" if empty, else None: see the hash."""
        return b"" if not self.body_len else self._whole

    def take_kept(self) -> bytes | None:
        """The body, in pieces or not, and no more of it is kept in pieces; None: too large."""
        kept, self._kept = self._kept, None
        return self.body if kept is None else b"".join(kept)

    @property
    def body_sha256(self) -> bytes:
        """SHA-256 of the decoded body."""
        if self._hash is None:
            if self._hashing is not None:
                self._hash = self._hashing.digest()
            else:
                self._hash = hashlib.sha256(self._whole or b"").digest()
        return self._hash

    def take_head(self, head: ResponseHead) -> None:
        """The final response's head is there."""
        self.head = head
        if self._keep and b"json" in head.raw.lower():
            self._kept = []
        framing = 0 if self._head_only else head.framing
        if framing == CHUNKED:
            self._body = ChunkedBody()
        elif framing == UNTIL_CLOSE:
            self._body = CloseBody()
        else:
            self._body = LengthBody(framing)
        if self._body.done:
            self.outcome = _ANSWERED

    def take_body(self, data: bytes, at: int, max_body: int) -> int:
        """Read body bytes from ``at``; returns where it stopped."""
        body = self._body
        if body is None:
            return at
        pieces: list[bytes] = []
        at = body.feed(data, at, pieces)
        for piece in pieces:
            self._add(piece)
        if body.malformed:
            self.outcome = Outcome.GARBAGE
        elif body.done:
            self.outcome = _ANSWERED
        elif self.body_len > max_body:
            self.outcome = Outcome.OVERSIZE
        return at

    def closed(self) -> None:
        """The shadow closed its side in an orderly way."""
        if self.outcome is None:
            until_close = isinstance(self._body, CloseBody)
            self.outcome = _ANSWERED if until_close else Outcome.CLOSED

    def _add(self, piece: bytes) -> None:
        if not self.body_len:
            self._whole = piece  # most bodies come in one piece and are compared as bytes
        else:
            if self._hashing is None:
                self._hashing = hashlib.sha256(self._whole or b"")
                self._whole = None
            self._hashing.update(piece)
        self.body_len += len(piece)
        if self._kept is not None:
            if self.body_len > self._keep:
                self._kept = None
            else:
                self._kept.append(piece)


class ReplyReader:
    """Splits one connection's bytes into the answers that are due, one at a time."""

    __slots__ = ("_buffer", "_keep", "_max_body", "_max_head", "offset", "reply")

    def __init__(self, max_head: int, max_body: int, keep: int = 0) -> None:
        """Limits in bytes; over them the answer ends as OVERSIZE. ``keep``: see Reply."""
        self._keep = keep
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = b""  # an unfinished head
        self.offset = 0  # of the first byte not yet taken
        self.reply: Reply | None = None  # the answer that is due

    def expect(self, *, head_only: bool) -> Reply:
        """The next answer is to the request sent now."""
        self.reply = Reply(head_only=head_only, keep=self._keep)
        return self.reply

    def feed(self, data: bytes) -> bool:
        """Take bytes; returns False when some are left that no request asked for."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at, size = 0, len(data)
        reply = self.reply
        while at < size and reply is not None and reply.outcome is None:
            start = at
            if reply.head is None:
                at = self._head(reply, data, at)
                if at < 0:
                    return True
            else:
                at = reply.take_body(data, at, self._max_body)
            self.offset += at - start
        if reply is not None and reply.outcome is not None:
            reply.end_offset = self.offset
        return at == size

    def _head(self, reply: Reply, data: bytes, at: int) -> int:
        """Read a head at ``at``; returns behind it, or -1 when it is not whole yet."""
        if not (data.startswith(_BEGIN, at) or _BEGIN.startswith(data[at : at + len(_BEGIN)])):
            reply.outcome = Outcome.GARBAGE
            return at
        found = data.find(_TERMINATOR, at, at + self._max_head)
        if found < 0:
            reply.first_offset = self.offset
            if len(data) - at >= self._max_head:
                reply.outcome = Outcome.OVERSIZE
                return at
            self._buffer = data[at:]
            return -1
        end = found + len(_TERMINATOR)
        head = parse_response(data[at:end])
        if isinstance(head, Malformed):
            reply.outcome = Outcome.GARBAGE
        elif head.status >= 200 or head.status == _SWITCHING:
            reply.first_offset = self.offset
            reply.take_head(head)
        else:
            reply.first_offset = None  # an interim response: the final one is still to come
        return end
