"""ResponseStream: the responses of one flow, each to the exchange it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.flow.items import EndKind
from shadow_agent.flow.segment import Direction
from shadow_agent.http.body import CloseBody
from shadow_agent.http.head import Malformed, parse_response
from shadow_agent.http.messages import REJECTED, Cause, MessageStream, Phase
from shadow_agent.http.notes import RESPONSE_CUT, RESPONSE_GAP, RESPONSE_MALFORMED
from shadow_agent.telemetry.reasons import NotHttp, Unanswered

if TYPE_CHECKING:
    from shadow_agent.flow.items import Data, End
    from shadow_agent.http.exchange import Exchange, Limits
    from shadow_agent.http.pairing import Pairing

_STATUS_LINE: Final = b"HTTP/1."


class ResponseStream(MessageStream):
    """Skips interim responses and fills in the exchange of each final one."""

    __slots__ = ("_exchange", "_first_ts", "_keep", "_kept", "_kept_bytes", "_last_ts", "_pairing")

    def __init__(self, limits: Limits, pairing: Pairing) -> None:
        """A stream that stands between two responses."""
        super().__init__(limits)
        self._pairing = pairing
        self._exchange: Exchange | None = None  # that the response at hand answers
        self._first_ts = 0
        self._last_ts = 0
        self._keep = limits.max_kept_answer
        self._kept: list[bytes] | None = None  # the body's pieces so far, where they are kept
        self._kept_bytes = 0

    def _resume(self, item: Data) -> bool:
        if not self._pairing.rematch(item):
            return False
        self._phase = Phase.START
        return True

    def _begin(self, item: Data, seq: int) -> bool:
        exchange = self._exchange
        if exchange is None or exchange.unanswered is not None:
            exchange = self._pairing.match(item, seq)
            if exchange is None:
                self._exchange = None
                self._phase = Phase.LOST
                return False
            self._exchange = exchange
        self._first_ts = self._last_ts = item.ts
        return True

    def _check_head(self) -> None:
        if self._head[:7] == _STATUS_LINE[: len(self._head)]:
            super()._check_head()
        else:
            self._break(Cause.MALFORMED)

    def _take_head(self, raw: bytes, item: Data) -> int:
        exchange = self._exchange
        if exchange is None:
            raise AssertionError("a response without its exchange")
        head = parse_response(raw)
        if isinstance(head, Malformed):
            self._break(Cause.MALFORMED)
            return REJECTED
        status = head.status
        if status < 200 and status != 101:
            self._phase = Phase.START  # an interim response: the final one follows
            return REJECTED
        exchange.response = head
        exchange.response_first_ts = self._first_ts
        self._last_ts = item.ts
        method = exchange.request.method
        if method == "HEAD":
            return 0
        if self._keep:
            self._kept = [] if head.framing and b"json" in raw.lower() else None
            self._kept_bytes = 0
        if status == 101 or (method == "CONNECT" and status < 300):
            exchange.response_last_ts = item.ts
            exchange.set_response_body(0, None, None)
            self._pairing.answer(exchange)
            self._pairing.hand_over(NotHttp.UPGRADED)
            self.stop()
            return REJECTED
        return head.framing

    def _take_body(self, raw: bytes, ts: int) -> None:
        self._last_ts = ts

    def _add(self, piece: bytes) -> None:
        super()._add(piece)
        kept, exchange = self._kept, self._exchange
        if kept is not None and exchange is not None:
            self._kept_bytes += len(piece)
            if self._kept_bytes > self._keep:
                self._kept = None  # what is kept already is freed with the exchange's cost
            else:
                kept.append(piece)
                self._pairing.keep(exchange, len(piece), self._last_ts)

    def _set_body(self, exchange: Exchange) -> None:
        whole = self._whole
        exchange.set_response_body(self._length, whole, self._digest())
        if self._kept is not None:
            exchange.response_kept = b"".join(self._kept) if whole is None else whole
            self._kept = None

    def _take_end(self, ts: int | None) -> None:
        exchange = self._exchange
        self._exchange = None
        if exchange is None:
            return
        exchange.response_last_ts = ts
        if not self._damaged:
            self._set_body(exchange)
        self._pairing.answer(exchange)

    def _body_damaged(self) -> None:
        if self._exchange is not None:
            self._exchange.note(RESPONSE_GAP)

    def _break(self, cause: Cause) -> None:
        if self._phase in (Phase.LOST, Phase.OVER):
            return
        exchange = self._exchange
        if exchange is not None and self._phase is Phase.BODY:
            if not self._damaged:
                exchange.note(RESPONSE_GAP if cause is Cause.GAP else RESPONSE_MALFORMED)
            self._pairing.answer(exchange)
        elif exchange is not None and cause is not Cause.GAP:
            self._pairing.give_up(exchange, Unanswered.MALFORMED)
        self._pairing.lose()
        self._exchange = None
        self._phase = Phase.LOST
        self._drop()

    def lose(self) -> None:
        """It is not known where the next response begins."""
        self._break(Cause.GAP)

    def restart(self) -> None:
        """The next byte begins the response to the next request; what is open stays unfinished."""
        if self._phase is Phase.OVER:
            return
        self._break(Cause.GAP)
        self._pairing.give_up_all(Unanswered.GAP)
        self._phase = Phase.START

    def cut(self, reason: Unanswered) -> None:
        """Ends the response at hand, but leaves the exchanges that have none."""
        self._cut(None, reason.value)
        self.stop()

    def give_up(self) -> None:
        """Nobody waits for an answer any more: what is at hand is evicted."""
        self._cut(None, Unanswered.EVICTED.value)
        self._pairing.give_up_all(Unanswered.EVICTED)
        self._pairing.lost = True
        if self._phase is not Phase.OVER:
            self._phase = Phase.LOST
        self._drop()

    def _hold_head(self, before: int, after: int, ts: int) -> None:
        self._pairing.budget.hold(self._pairing, after - before, ts)

    def _finish(self, item: End) -> None:
        self._cut(item.kind, item.kind.value)
        self._pairing.give_up_all(self._reason(item))

    def _cut(self, kind: EndKind | None, why: str) -> None:
        exchange = self._exchange
        self._exchange = None
        if exchange is not None and self._phase is Phase.BODY:
            if isinstance(self._body, CloseBody) and kind is EndKind.FIN:
                exchange.response_last_ts = self._last_ts
                if not self._damaged:
                    self._set_body(exchange)
            elif not self._damaged:
                exchange.note(RESPONSE_CUT[why])
            self._pairing.answer(exchange)

    def _reason(self, item: End) -> Unanswered:
        if item.kind is EndKind.EVICTED:
            return Unanswered.EVICTED
        if self._pairing.lost:
            return Unanswered.GAP
        if item.kind is EndKind.RST and item.by == Direction.REQUEST:
            return Unanswered.CLIENT_ABORTED
        return Unanswered.SERVER_CLOSED
