"""Exchange, the events that tell of its progress, and the limits of a conversation."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from shadow_agent.http.counts import RequestOutcome
    from shadow_agent.http.head import RequestHead, ResponseHead
    from shadow_agent.http.preamble import Origin
    from shadow_agent.telemetry.reasons import NotHttp, Unanswered

EMPTY_SHA256: Final = hashlib.sha256().digest()
# What an open exchange costs beside its bytes: its objects, and its fields when they are split.
EXCHANGE_OVERHEAD: Final = 1024


class Limits(NamedTuple):
    """What one conversation may hold."""

    # bytes; nginx takes 32 KiB, Node 16 KiB, Apache 100 fields of 8 KiB. Over it: OVERSIZE
    # (request) or MALFORMED (response).
    max_head: int = 64 * 1024
    # requests without an answer; browsers pipelined at most 8. Over it: all of them are
    # unanswered.evicted and pairing starts afresh.
    max_outstanding: int = 1024
    # bytes that all conversations of a worker hold: unfinished heads, open exchanges. Over it: the
    # flow that has been holding longest gives up what it holds (evicted).
    max_held_bytes: int = 64 << 20
    # ns a request's head may stay unfinished: Apache and nginx wait 40 to 60 s. Over it: evicted.
    head_ns: int = 60_000_000_000
    # unfinished request heads of one client address. Over it: its oldest is evicted.
    max_heads_per_source: int = 256
    # body bytes kept so that a body in one piece is hashed only when somebody asks. Over it, or
    # in several pieces: hashed as it streams.
    max_kept_body: int = 16 * 1024
    # body bytes of a JSON answer that are kept also when it comes in pieces, because values are
    # looked for in it; 0 keeps none. Over it: not looked into.
    max_kept_answer: int = 0


class Exchange:
    """A request and what production answered.

    Mutable, because it streams: it is handed out with `RequestHeadSeen`, when only the request's
    head is known, and is complete with `ExchangeEnded`. Times are ns of the capture clock. A body
    is what is left after chunked decoding, before content decoding; `None` means unknown or
    incomplete, with the reason in `notes`.
    """

    __slots__ = (
        "_request_hash",
        "_request_whole",
        "_response_hash",
        "_response_whole",
        "answered",
        "cost",
        "flow_key",
        "handed",
        "id",
        "notes",
        "origin",
        "provable",
        "replay",
        "request",
        "request_ack",
        "request_body_len",
        "request_ended_ts",
        "request_outcome",
        "request_seq",
        "request_started_ts",
        "response",
        "response_body_len",
        "response_first_ts",
        "response_kept",
        "response_last_ts",
        "rule",
        "session",
        "unanswered",
        "unsure",
    )

    def __init__(
        self,
        number: int,
        flow_key: bytes,
        session: str,
        request: RequestHead,
        request_started_ts: int,
        request_seq: int,
        request_ack: int,
        *,
        unsure: bool = False,
        provable: bool = True,
        origin: Origin | None = None,
    ) -> None:
        """An exchange whose request head has just been parsed."""
        self.id = number  # per worker, from 1
        self.flow_key = flow_key  # 36 bytes, see Segment
        self.session = session  # the connection, unless policy puts a header or a cookie here
        self.request = request
        self.request_started_ts = request_started_ts  # segment with the request's first byte
        self.request_ended_ts: int | None = None  # segment with its last byte
        self.request_outcome: RequestOutcome | None = None  # None while the request streams
        self.request_body_len: int | None = None
        self.response: ResponseHead | None = None  # of the final response, not of a 1xx
        self.response_first_ts: int | None = None  # segment with the response's first byte
        self.response_last_ts: int | None = None  # segment with its last byte
        self.response_body_len: int | None = None
        self.cost = len(request.raw) + EXCHANGE_OVERHEAD  # bytes that it holds while it is open
        self.answered = False  # a final response's head was paired with it
        self.unanswered: Unanswered | None = None  # why not, once that is settled
        self.notes: list[str] | None = None  # what is unknown and why
        self.replay: Any = None  # belongs to the replay room, which comes later on the path
        self.rule: Any = None  # of the policy room: the rule that lets it out, if one does
        self.handed: Any = None  # of the policy room: what production's answer hands out
        self.response_kept: bytes | None = None  # the body in pieces, where it is asked for
        self.request_seq = request_seq  # sequence number of the request's first byte
        # sequence number at which its response begins if the client does not pipeline
        self.request_ack = request_ack
        self.unsure = unsure  # requests may be missing before it: needs proof to be paired
        self.provable = provable  # request_ack is proof
        self.origin = origin  # what a PROXY preamble said at the start of the flow
        self._request_whole: bytes | None = None
        self._request_hash: bytes | None = None
        self._response_whole: bytes | None = None
        self._response_hash: bytes | None = None

    def __repr__(self) -> str:
        """Enough to find it in a capture."""
        return f"<Exchange {self.id} {self.method} {self.target!r} -> {self.status}>"

    @property
    def method(self) -> str:
        """The request's method."""
        return self.request.method

    @property
    def target(self) -> bytes:
        """The request target as sent."""
        return self.request.target

    @property
    def host(self) -> bytes | None:
        """The first Host field's value."""
        return self.request.host

    @property
    def version(self) -> str:
        """The request's version: "1.1" or "1.0"."""
        return self.request.version

    @property
    def client(self) -> tuple[bytes, int]:
        """The client's address (16 bytes) and port: a PROXY preamble's word, else the flow's."""
        origin = self.origin
        if origin is not None and origin.address is not None:
            return origin.address, origin.port
        return self.flow_key[:16], int.from_bytes(self.flow_key[32:34], "big")

    @property
    def preamble(self) -> bytes:
        """The PROXY preamble as captured, to say it to the shadow too; empty if there was none."""
        return b"" if self.origin is None else self.origin.raw

    @property
    def raw_head(self) -> bytes:
        """The request's head as captured, to replay."""
        return self.request.raw

    @property
    def status(self) -> int | None:
        """The final response's status code."""
        return None if self.response is None else self.response.status

    @property
    def response_headers(self) -> list[tuple[bytes, bytes]]:
        """The final response's fields in order, names as sent; empty while there is none."""
        return [] if self.response is None else self.response.headers

    @property
    def request_body_sha256(self) -> bytes | None:
        """32 bytes, or None while the body's length is unknown."""
        if self.request_body_len is None:
            return None
        if self._request_hash is None:
            self._request_hash = _digest(self._request_whole)
        return self._request_hash

    @property
    def response_body_sha256(self) -> bytes | None:
        """32 bytes, or None while the body's length is unknown."""
        if self.response_body_len is None:
            return None
        if self._response_hash is None:
            self._response_hash = _digest(self._response_whole)
        return self._response_hash

    @property
    def request_body(self) -> bytes | None:
        """The whole body if it came in one piece within Limits.max_kept_body, else None."""
        return b"" if self.request_body_len == 0 else self._request_whole

    @property
    def response_body(self) -> bytes | None:
        """The whole body if it came in one piece within Limits.max_kept_body, else None."""
        return b"" if self.response_body_len == 0 else self._response_whole

    def note(self, text: str) -> None:
        """Adds a reason why something is unknown."""
        if self.notes is None:
            self.notes = []
        self.notes.append(text)

    def set_request_body(self, length: int, whole: bytes | None, digest: bytes | None) -> None:
        """The request's body is complete: its bytes if they came in one piece, else its hash."""
        self.request_body_len = length
        self._request_whole = whole
        self._request_hash = digest

    def set_response_body(self, length: int, whole: bytes | None, digest: bytes | None) -> None:
        """The response's body is complete: its bytes if they came in one piece, else its hash."""
        self.response_body_len = length
        self._response_whole = whole
        self._response_hash = digest


class RequestHeadSeen(NamedTuple):
    """A request's head is parsed: `exchange.raw_head` can be replayed."""

    exchange: Exchange


class RequestBodySeen(NamedTuple):
    """More of the request's body, as captured (chunk framing included), in order and gapless."""

    exchange: Exchange
    raw: bytes


class RequestEnded(NamedTuple):
    """The request's last byte was seen, or no more of it will be."""

    exchange: Exchange
    outcome: RequestOutcome


class ExchangeEnded(NamedTuple):
    """The answer is complete, or is as complete as it will be; the last event of its exchange.

    It may come before `RequestEnded` (early response): then RequestEnded is the last.
    """

    exchange: Exchange


class FlowUpgraded(NamedTuple):
    """The flow is not HTTP/1 from here on; its owner tells the flow table."""

    kind: NotHttp


class FlowClosed(NamedTuple):
    """Nothing more comes of this flow: it ended, left the table or switched protocols.

    The last event of its flow, once per flow that had any payload. The key may come back with
    another connection.
    """

    flow_key: bytes


Event: TypeAlias = (
    RequestHeadSeen | RequestBodySeen | RequestEnded | ExchangeEnded | FlowUpgraded | FlowClosed
)


def _digest(whole: bytes | None) -> bytes:
    return hashlib.sha256(whole).digest() if whole else EMPTY_SHA256
