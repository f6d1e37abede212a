"""MessageStream: cuts one direction's items into messages.

    START → HEAD → BODY → START …      a message begins, its head ends, its body ends
    any   → LOST → START               framing is lost; a segment that begins a message restores it
    any   → OVER                       the direction ended, or is not HTTP/1 any more

`RequestStream` and `ResponseStream` say what the messages mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from shadow_agent.flow.sequence import add
from shadow_agent.http.body import BodyReader, ChunkedBody, CloseBody, LengthBody
from shadow_agent.http.head import CHUNKED

if TYPE_CHECKING:
    from hashlib import _Hash

    from shadow_agent.flow.items import Data, End, Gap
    from shadow_agent.http.exchange import Limits

# What `_take_head` answers when no body follows because it has set another phase itself.
REJECTED: Final = -3


class Phase(Enum):
    """Where in its direction a message stream is."""

    START = "start"  # between messages
    HEAD = "head"  # some bytes of a head were seen
    BODY = "body"
    LOST = "lost"
    OVER = "over"


class Cause(Enum):
    """Why a message cannot be read on."""

    GAP = "gap"  # bytes are lost
    MALFORMED = "malformed"
    OVERSIZE = "oversize"  # the head is over the limit
    ENDED = "ended"  # the direction ended in the middle
    EVICTED = "evicted"  # it was given up to keep within a limit


# Enum members as module names: a class attribute look-up less on every message.
_START: Final = Phase.START
_HEAD: Final = Phase.HEAD
_BODY: Final = Phase.BODY
_LOST: Final = Phase.LOST
# Bare line feeds end lines too (RFC 9112 2.2 allows it, and nginx does), so a head ends with the
# first of these.
_CRLF_LINE: Final = b"\n\r\n"
_LF_LINE: Final = b"\n\n"
_CR: Final = 0x0D
_LF: Final = 0x0A


class MessageStream(ABC):
    """One direction of a conversation; subclasses are told of each message's parts in order.

    A head waits in a buffer of at most `limits.max_head` bytes. A body never waits: it is passed
    on as it comes, and hashed unless it came in one piece.
    """

    __slots__ = ("_body", "_damaged", "_hash", "_head", "_length", "_max_head", "_max_kept_body",
                 "_phase", "_whole")  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        """A stream that stands between two messages."""
        self._max_head = limits.max_head
        self._max_kept_body = limits.max_kept_body
        self._phase = _START
        self._head: bytes | bytearray = b""  # a head of which the end has not come
        self._body: BodyReader | None = None
        self._length = 0  # decoded bytes of this body
        self._hash: _Hash | None = None
        self._whole: bytes | None = None  # the body, while it is one piece
        self._damaged = False  # bytes of this body are lost, its end is not

    def data(self, item: Data) -> None:
        """Takes the next bytes."""
        payload = item.payload
        size = len(payload)
        body, digest = self._body, self._hash
        if type(body) is LengthBody and size < body.left and digest and not self._damaged:
            # The midst of a large body: nothing to find. The long way takes 0.5 µs more.
            body.left -= size
            self._add(payload)
            self._take_body(payload, item.ts)
            return
        pos = 0
        if self._phase is _LOST and not self._resume(item):
            return
        while pos < size:
            phase = self._phase
            if phase is _START:
                pos = self._begin_message(item, pos)
            elif phase is _BODY:
                pos = self._more_body(item, pos)
            elif phase is _HEAD:
                pos = self._more_head(item, pos)
            else:
                return

    def gap(self, item: Gap) -> None:
        """Bytes are missing here."""
        body = self._body
        if (
            self._phase is _BODY
            and body is not None
            and (item.certain or isinstance(body, CloseBody))
            and body.skip(item.length)
        ):
            if not self._damaged:
                self._damaged = True
                self._body_damaged()
            if body.done:
                self._finish_body(None)
            return
        self._break(Cause.GAP)

    def end(self, item: End) -> None:
        """Nothing follows."""
        self._finish(item)
        self._phase = Phase.OVER
        self._drop()

    def stop(self) -> None:
        """What follows is not HTTP/1: it is not read."""
        self._phase = Phase.OVER
        self._drop()

    @abstractmethod
    def _resume(self, item: Data) -> bool:
        """Whether a message begins with these bytes after framing was lost; sets START then."""

    @abstractmethod
    def _begin(self, item: Data, seq: int) -> bool:
        """A message's first byte, at `seq`; false when another phase was set."""

    @abstractmethod
    def _take_head(self, raw: bytes, item: Data) -> int:
        """A head is complete; returns the body's framing, or REJECTED."""

    @abstractmethod
    def _take_body(self, raw: bytes, ts: int) -> None:
        """More of a body, as captured."""

    @abstractmethod
    def _take_end(self, ts: int | None) -> None:
        """The message is complete (`_damaged`: but for gaps). `ts` is None if its end is in one."""

    @abstractmethod
    def _body_damaged(self) -> None:
        """The first gap inside a body whose end can still be found."""

    @abstractmethod
    def _break(self, cause: Cause) -> None:
        """The message, or what stands between two, cannot be read on; sets the phase."""

    @abstractmethod
    def _finish(self, item: End) -> None:
        """The direction ends in the present phase."""

    def _begin_message(self, item: Data, pos: int) -> int:
        payload = item.payload
        if payload[pos] <= _CR and payload[pos] in (_CR, _LF):
            return pos + 1  # empty lines before a message (RFC 9112 2.2)
        if not self._begin(item, add(item.seq, pos) if pos else item.seq):
            return len(payload)
        end = payload.find(_CRLF_LINE, pos) + 3
        if end < 3 or payload.find(_LF_LINE, pos, end) >= 0:
            end = _end_of_head(payload, pos)
        if end < 0:
            self._phase = _HEAD
            self._head = bytearray(payload[pos:])
            self._hold_head(0, len(self._head), item.ts)
            self._check_head()
            return len(payload)
        # Slicing all of a bytes object copies nothing.
        return self._head_done(payload[pos:end], item, end)

    def _more_head(self, item: Data, pos: int) -> int:
        head = self._head
        seen = len(head)
        if not isinstance(head, bytearray):
            raise TypeError("no head was begun")
        head += item.payload[pos : pos + self._max_head + 4 - seen]
        self._hold_head(seen, len(head), item.ts)
        end = _end_of_head(head, max(seen - 2, 0))
        if end < 0:
            self._check_head()
            return len(item.payload)
        self._drop_head()
        return self._head_done(bytes(head[:end]), item, pos + end - seen)

    @abstractmethod
    def _hold_head(self, before: int, after: int, ts: int) -> None:
        """The unfinished head grew from `before` to `after` bytes; 0 is none. For accounts."""

    def _drop_head(self) -> None:
        if self._head:
            self._hold_head(len(self._head), 0, 0)
            self._head = b""

    def _check_head(self) -> None:
        """A head that cannot end well is not waited for."""
        if len(self._head) > self._max_head:
            self._break(Cause.OVERSIZE)

    def _head_done(self, raw: bytes, item: Data, pos: int) -> int:
        if len(raw) > self._max_head:
            self._break(Cause.OVERSIZE)
            return pos
        framing = self._take_head(raw, item)
        if framing == 0:
            self._phase = _START
            self._take_end(item.ts)
        elif framing > 0:
            end = pos + framing
            if end <= len(item.payload) and framing <= self._max_kept_body:
                # A whole small body: no reader, and no hash until somebody asks for it.
                self._length = framing
                self._whole = body = item.payload[pos:end]
                self._phase = _START
                self._take_body(body, item.ts)
                self._take_end(item.ts)
                self._length = 0
                self._whole = None
                return end
            self._body = LengthBody(framing)
            self._phase = _BODY
        elif framing != REJECTED:
            self._body = ChunkedBody() if framing == CHUNKED else CloseBody()
            self._phase = _BODY
        return pos

    def _more_body(self, item: Data, pos: int) -> int:
        body = self._body
        if body is None:
            raise AssertionError("a body without its reader")
        payload = item.payload
        pieces: list[bytes] = []
        end = body.feed(payload, pos, pieces)
        if not self._damaged:
            whole = body.done and not self._length and len(pieces) == 1
            if whole and len(pieces[0]) <= self._max_kept_body:
                self._whole = pieces[0]
                self._length = len(pieces[0])
            else:
                for piece in pieces:
                    self._add(piece)
        if body.malformed:
            self._break(Cause.MALFORMED)
            return len(payload)
        self._take_body(payload[pos:end], item.ts)
        if body.done:
            self._finish_body(item.ts)
        return end

    def _add(self, piece: bytes) -> None:
        if self._hash is None:
            self._hash = sha256()
        self._hash.update(piece)
        self._length += len(piece)

    def _finish_body(self, ts: int | None) -> None:
        self._phase = _START
        self._take_end(ts)
        self._drop()

    def _digest(self) -> bytes | None:
        return None if self._hash is None else self._hash.digest()

    def _drop(self) -> None:
        """Forgets the message at hand."""
        self._drop_head()
        self._body = None
        self._length = 0
        self._hash = None
        self._whole = None
        self._damaged = False


def _end_of_head(data: bytes | bytearray, pos: int) -> int:
    """Where the first empty line at or after `pos` ends, or -1."""
    end = data.find(_CRLF_LINE, pos)
    if end < 0:
        end = data.find(_LF_LINE, pos)
        return end + 2 if end >= 0 else -1
    earlier = data.find(_LF_LINE, pos, end)
    return end + 3 if earlier < 0 else earlier + 2
