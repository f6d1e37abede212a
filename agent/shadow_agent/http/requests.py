"""RequestStream: the requests of one flow, from their bytes to exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadow_agent.flow.classify import starts_request
from shadow_agent.flow.items import EndKind
from shadow_agent.http.counts import RequestOutcome
from shadow_agent.http.exchange import RequestBodySeen, RequestEnded
from shadow_agent.http.head import Malformed, parse_request
from shadow_agent.http.messages import REJECTED, Cause, MessageStream, Phase
from shadow_agent.http.notes import REQUEST_BODY
from shadow_agent.telemetry.reasons import NotHttp

if TYPE_CHECKING:
    from shadow_agent.flow.items import Data, End, Gap, Skip
    from shadow_agent.http.exchange import Exchange, Limits
    from shadow_agent.http.pairing import Pairing

_OUTCOMES = {
    Cause.GAP: RequestOutcome.GAP,
    Cause.MALFORMED: RequestOutcome.MALFORMED,
    Cause.OVERSIZE: RequestOutcome.OVERSIZE,
    Cause.ENDED: RequestOutcome.ABORTED,
    Cause.EVICTED: RequestOutcome.EVICTED,
}
SHORTEST_REQUEST = len(b"GET / HTTP/1.0\r\n\r\n")
_COMPLETE = RequestOutcome.COMPLETE
_VERSION = b" HTTP/1."  # at the end of every request line
_new = tuple.__new__  # see pairing


class RequestStream(MessageStream):
    """Counts each request from its first byte to its outcome, and begins its exchange."""

    __slots__ = ("_exchange", "_gapped", "_missing", "_pairing", "_small_gap", "_start_ack",
                 "_start_seq", "_started_ts", "_tunnel")  # fmt: skip

    def __init__(self, limits: Limits, pairing: Pairing) -> None:
        """A stream that stands between two requests."""
        super().__init__(limits)
        self._pairing = pairing
        self._exchange: Exchange | None = None  # of the request at hand, once its head is parsed
        self._started_ts = 0
        self._start_seq = 0
        self._start_ack = 0
        self._missing = False  # requests may be missing before the next one
        self._gapped = False  # framing was lost to a gap, not to what was sent
        self._small_gap = False  # between two requests, too short for one
        self._tunnel: Exchange | None = None  # a CONNECT: what follows it is not ours to read yet

    def gap(self, item: Gap) -> None:
        """Bytes are missing here; between requests, too few for one are a FIN or white space."""
        if self._phase is not Phase.START or item.length >= SHORTEST_REQUEST:
            super().gap(item)
            return
        # Or the first letters of a request, which what follows will show.
        self._phase = Phase.LOST
        self._small_gap = True

    def skip(self, _item: Skip) -> None:
        """Requests were left out on purpose: what follows may be one, and none is missing."""
        if self._phase is Phase.OVER:
            return
        if self._phase in (Phase.HEAD, Phase.BODY):
            self._break(Cause.GAP)
        self._phase = Phase.LOST
        self._gapped = self._small_gap = self._missing = False

    def _resume(self, item: Data) -> bool:
        small, self._small_gap = self._small_gap, False
        if self._tunnelled(item):
            return False
        if not starts_request(item.payload):
            # What is passed over may be the rest of a body, or hold requests that begin in the
            # midst of a segment: those are not read, but counted.
            hidden = item.payload.count(_VERSION) if self._gapped else 0
            self._pairing.requests.unexplained_gaps += hidden or small
            if small:
                self._missing = True
                self._pairing.skipped = False
            return False
        self._phase = Phase.START
        return True

    def _begin(self, item: Data, seq: int) -> bool:
        if self._tunnel is not None and self._tunnelled(item):
            self._phase = Phase.LOST
            return False
        counts = self._pairing.requests
        counts.started += 1
        counts.open += 1
        self._started_ts = item.ts
        self._start_seq = seq
        self._start_ack = item.ack
        return True

    def _tunnelled(self, item: Data) -> bool:
        """Whether bytes after a CONNECT may be a tunnel's: its response has not come yet."""
        tunnel = self._tunnel
        if tunnel is None or tunnel.answered or tunnel.unanswered is not None:
            self._tunnel = None
            return False
        if starts_request(item.payload) and not self._missing:
            # Should there be no tunnel, this was a request.
            self._missing = True
            self._pairing.requests.unexplained_gaps += 1
        return True

    def _check_head(self) -> None:
        # A method begins with a capital letter, and a line without a version is HTTP/0.9: anything
        # else never becomes a head, however long it is waited for.
        head = self._head
        end = head.find(b"\n")
        if 0x41 <= head[0] <= 0x5A and (end < 0 or head.find(b" HTTP/", 0, end) >= 0):
            super()._check_head()
        else:
            self._break(Cause.MALFORMED)

    def _hold_head(self, before: int, after: int, ts: int) -> None:
        self._pairing.budget.hold_head(self._pairing, before, after, ts)

    def _take_head(self, raw: bytes, item: Data) -> int:
        head = parse_request(raw)
        pairing = self._pairing
        if isinstance(head, Malformed):
            self._break(Cause.MALFORMED)
            return REJECTED
        if head.method == "PRI":  # the preface, cut so that the flow table could not see it
            self._break(Cause.MALFORMED)
            pairing.hand_over(NotHttp.H2)
            return REJECTED
        self._exchange = pairing.begin(
            head, self._started_ts, self._start_seq, self._start_ack, missing=self._missing
        )
        self._missing = False
        return head.framing

    def _take_body(self, raw: bytes, ts: int) -> None:
        exchange = self._exchange
        if exchange is not None and not self._damaged:
            self._pairing.events.append(RequestBodySeen(exchange, raw))

    def _take_end(self, ts: int | None) -> None:
        exchange = self._exchange
        self._exchange = None
        if exchange is None or self._damaged:
            return  # its end was told when the gap was seen
        exchange.request_ended_ts = ts
        exchange.request_outcome = _COMPLETE
        if self._length:
            if self._whole is not None:
                self._pairing.keep(exchange, self._length, self._started_ts)
            exchange.set_request_body(self._length, self._whole, self._digest())
        else:
            exchange.request_body_len = 0
        counts = self._pairing.requests
        counts.open -= 1
        counts.complete += 1
        self._pairing.events.append(_new(RequestEnded, (exchange, _COMPLETE)))
        if exchange.request.method == "CONNECT":
            self._tunnel = exchange

    def _more_body(self, item: Data, pos: int) -> int:
        exchange = self._exchange
        if (
            exchange is not None
            and exchange.request.expect_continue
            and exchange.answered
            and not self._length
            and starts_request(item.payload[pos:])
        ):
            # Refused before it sent its body (417, 401 …), the client kept the body to itself.
            self._end_request(RequestOutcome.ABORTED)
            self._drop()
            self._phase = Phase.START
            return pos
        return super()._more_body(item, pos)

    def give_up_head(self) -> None:
        """Its head takes too long, or there are too many of its kind."""
        if self._phase is Phase.HEAD:
            self._break(Cause.EVICTED)

    def stop(self) -> None:
        """What follows is not HTTP/1: a request at hand ends here."""
        if self._phase in (Phase.HEAD, Phase.BODY) and not self._damaged:
            self._end_request(RequestOutcome.ABORTED)
        super().stop()

    def _body_damaged(self) -> None:
        self._end_request(RequestOutcome.GAP)

    def _break(self, cause: Cause) -> None:
        if self._phase is Phase.OVER:
            return
        explained = cause is Cause.GAP and self._phase in (Phase.HEAD, Phase.BODY)
        if self._phase is Phase.START and cause is Cause.GAP:
            self._pairing.requests.unexplained_gaps += 1
        elif self._phase is not Phase.LOST and not self._damaged:
            self._end_request(_OUTCOMES[cause])
        self._missing = True
        self._pairing.hiding = explained
        self._gapped = cause is Cause.GAP
        self._pairing.skipped = False
        self._phase = Phase.LOST
        self._drop()

    def _finish(self, item: End) -> None:
        if self._phase in (Phase.HEAD, Phase.BODY) and not self._damaged:
            evicted = item.kind is EndKind.EVICTED
            self._end_request(RequestOutcome.EVICTED if evicted else RequestOutcome.ABORTED)

    def _end_request(self, outcome: RequestOutcome) -> None:
        """The request at hand ends without its last byte."""
        self._pairing.requests.count(outcome)
        exchange = self._exchange
        self._exchange = None
        if exchange is not None:
            exchange.request_outcome = outcome
            exchange.note(REQUEST_BODY[outcome])
            self._pairing.events.append(RequestEnded(exchange, outcome))
