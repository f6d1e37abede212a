"""Conversation: the requests and responses of one flow, as exchanges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.flow.items import Data, End, EndKind, Gap, Skip
from shadow_agent.flow.segment import Direction
from shadow_agent.http.budget import Budget
from shadow_agent.http.pairing import Pairing
from shadow_agent.http.preamble import PreambleStream
from shadow_agent.http.requests import RequestStream
from shadow_agent.http.responses import ResponseStream
from shadow_agent.telemetry.reasons import Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from shadow_agent.flow.items import Item
    from shadow_agent.http.counts import ExchangeCounts, RequestCounts
    from shadow_agent.http.exchange import Event, Limits
    from shadow_agent.http.messages import MessageStream

_BOTH: Final = 0b11


class Conversation:
    """Takes a flow's items in the order the flow table gives them; returns what they mean."""

    __slots__ = ("_ended", "_requests", "_responses", "finished", "pairing")

    def __init__(
        self,
        key: bytes,
        ids: Iterator[int],
        limits: Limits,
        requests: RequestCounts,
        exchanges: ExchangeCounts,
        budget: Budget | None = None,
        *,
        joined: bool = False,
        first: int | None = None,
    ) -> None:
        """A conversation in which nothing was said; `ids` numbers a worker's exchanges.

        `joined` in mid-connection: what came before was not seen. `first`: sequence number of the
        service's first byte, where the handshake told it.
        """
        self.pairing = Pairing(
            key,
            ids,
            limits,
            requests,
            exchanges,
            budget or Budget(limits),
            joined=joined,
            first=first,
        )
        self._requests: RequestStream | PreambleStream = RequestStream(limits, self.pairing)
        self._responses = ResponseStream(limits, self.pairing)
        self._ended = 0  # a bit per direction
        self.finished = False  # both directions ended, or the protocol was switched

    @property
    def open_exchanges(self) -> int:
        """Exchanges that wait for the rest of their response."""
        return len(self.pairing.open)

    def expect_preamble(self) -> None:
        """The flow's first bytes are, or may become, a PROXY preamble."""
        requests = self._requests
        if isinstance(requests, RequestStream):
            self._requests = PreambleStream(requests, self.pairing)

    def receive(self, items: Iterable[Item]) -> list[Event]:
        """Takes the items of either direction; returns the events they cause, in order."""
        pairing = self.pairing
        for item in items:
            stream: MessageStream | PreambleStream = (
                self._responses if item.direction else self._requests
            )
            if type(item) is Data:
                stream.data(item)
            elif type(item) is Gap:
                stream.gap(item)
            elif type(item) is End:
                self._end(item)
            elif type(item) is Skip:
                self._skip(item)
            if pairing.over:
                self._hand_over()
        events, pairing.events = pairing.events, []
        return events

    def close(self, reason: Unanswered, now: int) -> list[Event]:
        """Ends everything that is open: an unanswered exchange gets `reason`; `now` in ns."""
        self._requests.end(End(Direction.REQUEST, EndKind.EVICTED, now, Direction.REQUEST))
        self._responses.cut(reason)
        self.pairing.give_up_all(reason)
        return self.receive(())

    def give_up(self, *, head_only: bool) -> list[Event]:
        """Holds nothing any more, or no unfinished request head: what that ends is evicted."""
        self._requests.give_up_head()
        if not head_only:
            self._responses.give_up()
        if self.pairing.over:
            self._hand_over()
        return self.receive(())

    def _skip(self, item: Skip) -> None:
        """What was passed over is nobody's loss; a message that was open there has one."""
        self._requests.skip(item)
        if item.direction == Direction.RESPONSE:
            # Its request did not come: whatever was open on that side does not go on here.
            self._responses.lose()
            return
        self._responses.restart()
        self.pairing.restart(sure=item.sure)

    def _hand_over(self) -> None:
        self._requests.stop()
        self._responses.stop()
        self.finished = True

    def _end(self, item: End) -> None:
        if item.direction == Direction.RESPONSE:
            self._responses.end(item)
        else:
            self._requests.end(item)
        self._ended |= 1 << item.direction
        if self._ended == _BOTH:
            self.finished = True
            # Requests that came after the service's FIN.
            evicted = item.kind is EndKind.EVICTED
            self.pairing.give_up_all(Unanswered.EVICTED if evicted else Unanswered.SERVER_CLOSED)
