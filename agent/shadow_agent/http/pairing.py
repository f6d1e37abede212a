"""Pairing: which exchange a response belongs to, and how every exchange ends.

Responses come in the order of their requests, so the first open exchange is the one, until bytes
are lost. Then a wrong pair would be a false difference between two builds, so a response is paired
again only when sequence numbers prove it: a client that does not pipeline sends a request when it
has the whole previous response, so the response begins where the request's acknowledgement stands.
After missing requests that alone proves nothing (one of them may have been sent together with the
next that was seen), unless response bytes that nobody asked for came in between.
What cannot be proven is unanswered.gap. Not provable at all is the first pair of a flow joined in
mid-connection whose client pipelines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadow_agent.flow.classify import starts_response
from shadow_agent.flow.segment import format_flow
from shadow_agent.flow.sequence import lt
from shadow_agent.http.exchange import (
    Event,
    Exchange,
    ExchangeEnded,
    FlowUpgraded,
    RequestHeadSeen,
)
from shadow_agent.http.notes import NO_RESPONSE
from shadow_agent.telemetry.reasons import Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shadow_agent.flow.items import Data
    from shadow_agent.http.budget import Budget
    from shadow_agent.http.counts import ExchangeCounts, RequestCounts
    from shadow_agent.http.exchange import Limits
    from shadow_agent.http.head import RequestHead
    from shadow_agent.http.preamble import Origin
    from shadow_agent.telemetry.reasons import NotHttp

# NamedTuple's own __new__ takes as long again; there are three events per exchange.
_new = tuple.__new__


class Pairing:
    """The open exchanges of one flow in order; both message streams of the flow share it."""

    __slots__ = (
        "_ids",
        "_joined",
        "_last_ack",
        "_limits",
        "_pipelines",
        "_session",
        "budget",
        "events",
        "exchanges",
        "held",
        "hiding",
        "holding_since",
        "key",
        "listed",
        "lost",
        "open",
        "origin",
        "over",
        "requests",
        "skipped",
    )  # fmt: skip

    def __init__(
        self,
        key: bytes,
        ids: Iterator[int],
        limits: Limits,
        requests: RequestCounts,
        exchanges: ExchangeCounts,
        budget: Budget,
        *,
        joined: bool,
        first: int | None = None,
    ) -> None:
        """No exchange is open; `joined` in mid-connection, what came before was not seen.

        `first`: sequence number of the service's first byte, where the handshake told it.
        """
        self.requests = requests
        self.exchanges = exchanges
        self.events: list[Event] = []
        self.open: list[Exchange] = []  # oldest first
        self.lost = False  # it is not known which response comes next
        self.skipped = False  # response bytes were passed over since requests went missing
        self.hiding = False  # framing of requests was lost, and no request has begun since
        self.over = False  # the flow is not HTTP/1 any more
        self.origin: Origin | None = None  # what a PROXY preamble said
        self.budget = budget
        self.held = 0  # bytes that this flow's messages hold, accounted for in the budget
        self.holding_since = 0  # ns; valid while `held`
        self.listed = False  # the budget knows of it
        self._joined = joined
        self._last_ack = first  # of the request before: how far its client had read
        self.key = key
        self._ids = ids
        self._limits = limits
        self._pipelines = False  # the client was seen to send before it had the response
        self._session: str | None = None

    def begin(self, head: RequestHead, ts: int, seq: int, ack: int, *, missing: bool) -> Exchange:
        """A request's head is parsed. `seq`, `ack`: of its first byte; `ts` ns.

        `missing`: requests before it may not have been seen.
        """
        number = next(self._ids)
        if self._session is None:
            # Ports are reused, so the flow alone is no name for a connection.
            self._session = f"{format_flow(self.key)} #{number}"
        waiting = self.open
        if waiting:
            if self.lost and waiting[-1].request_ack != ack:
                self.give_up_all(Unanswered.GAP)  # the client has their responses, we do not
            elif len(waiting) >= self._limits.max_outstanding:
                self.give_up_all(Unanswered.EVICTED)
                self.lost = self._pipelines = True  # a client like that is past proof
            else:
                self._pipelines = True
        exchange = Exchange(number, self.key, self._session, head, ts, seq, ack, origin=self.origin)
        cost = exchange.cost
        budget = self.budget
        if not self.listed:
            budget.hold(self, cost, ts)
        else:  # the same without the call
            if not self.held:
                self.holding_since = ts
            self.held += cost
            budget.held += cost
            if budget.held > budget.limit:
                budget.pressed = True
        if missing and ack == self._last_ack:
            # What is missing was sent before any answer to it: this client does not wait.
            self._pipelines = True
        self._last_ack = ack
        self.hiding = False
        if missing or self._joined:
            exchange.unsure = True
            exchange.provable = not missing or (self.lost and self.skipped)
            self._joined = False
        waiting.append(exchange)
        self.requests.heads += 1
        self.exchanges.open += 1
        self.events.append(_new(RequestHeadSeen, (exchange,)))
        return exchange

    def match(self, item: Data, seq: int) -> Exchange | None:
        """The exchange whose response begins at `seq`, or None: then pairing is lost."""
        if self.open and not self.lost:
            first = self.open[0]
            if not first.unsure or self._proves(first, item, seq):
                return first
        if self.hiding and not self.open:
            # It answers a request that was lost together with the end of another.
            self.hiding = False
            self.requests.unexplained_gaps += 1
        self.lost = self.skipped = True
        if self._pipelines:
            self.give_up_all(Unanswered.GAP)
        return None

    def rematch(self, item: Data) -> bool:
        """Whether pairing is restored: the item begins the response to an open exchange."""
        if not starts_response(item.payload):
            self.skipped = True
            return False
        for place, exchange in enumerate(self.open):
            if self._proves(exchange, item, item.seq):
                for earlier in self.open[:place]:
                    self.give_up(earlier, Unanswered.GAP)
                exchange.unsure = False
                self.lost = False
                return True
        self.skipped = True
        return False

    def lose(self) -> None:
        """Response bytes are lost in which a response may have begun or ended."""
        self.lost = self.skipped = True
        self.give_up_all(Unanswered.GAP)

    def restart(self, *, sure: bool) -> None:
        """Afresh with the next request, as joined in mid-connection; `sure`: but nothing is open.

        Then what follows its acknowledgement answers it, also if its client pipelines.
        """
        self.lost = self.skipped = self.hiding = False
        self._joined = not sure

    def answer(self, exchange: Exchange) -> None:
        """The exchange has its response, complete or as complete as it will be."""
        if exchange.unanswered is not None:
            return  # given up while its response was streaming
        exchange.answered = True
        cost = exchange.cost
        self.held -= cost
        self.budget.held -= cost
        self.open.remove(exchange)
        counts = self.exchanges
        counts.open -= 1
        counts.answered += 1
        self.events.append(_new(ExchangeEnded, (exchange,)))

    def give_up(self, exchange: Exchange, reason: Unanswered) -> None:
        """The exchange will have no response."""
        if exchange.unanswered is not None:
            return
        exchange.unanswered = reason
        exchange.note(NO_RESPONSE[reason])
        self.budget.free(self, exchange.cost)
        self.open.remove(exchange)
        self.exchanges.open -= 1
        self.exchanges.unanswered[reason] += 1
        self.events.append(_new(ExchangeEnded, (exchange,)))

    def give_up_all(self, reason: Unanswered) -> None:
        """No open exchange will have a response."""
        while self.open:
            self.give_up(self.open[0], reason)

    def hand_over(self, kind: NotHttp) -> None:
        """The flow is not HTTP/1 from here on."""
        if not self.over:
            self.over = True
            self.give_up_all(Unanswered.UPGRADED)
            self.events.append(FlowUpgraded(kind))

    def keep(self, exchange: Exchange, size: int, ts: int) -> None:
        """An open exchange keeps `size` bytes more."""
        if not exchange.answered and exchange.unanswered is None:
            exchange.cost += size
            self.budget.hold(self, size, ts)

    def _proves(self, exchange: Exchange, item: Data, seq: int) -> bool:
        """Whether a response that begins at `seq` can only answer this exchange."""
        return (
            seq == exchange.request_ack
            and exchange.provable
            and not self._pipelines
            # and the service had received the request when it sent these bytes
            and lt(exchange.request_seq, item.ack)
        )
