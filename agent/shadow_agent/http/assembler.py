"""Assembler: the flow table with a conversation per flow; segments in, events out."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from shadow_agent.flow.table import Flow, FlowTable
from shadow_agent.http.conversation import Conversation
from shadow_agent.http.exchange import Event, FlowClosed, FlowUpgraded

if TYPE_CHECKING:
    from collections.abc import Callable

    from shadow_agent.flow.counts import SegmentCounts
    from shadow_agent.flow.flow import FlowLimits
    from shadow_agent.flow.items import Item
    from shadow_agent.flow.segment import Segment
    from shadow_agent.http.counts import ExchangeCounts, RequestCounts
    from shadow_agent.http.exchange import Limits
    from shadow_agent.telemetry.reasons import Unanswered


class Assembler:
    """One worker's flows and conversations, with the counts of three ledger lines."""

    __slots__ = ("_ids", "_limits", "exchanges", "requests", "segments", "table")

    def __init__(
        self,
        flow_limits: FlowLimits,
        limits: Limits,
        segments: SegmentCounts,
        requests: RequestCounts,
        exchanges: ExchangeCounts,
        first_id: int = 1,
    ) -> None:
        """No flow is known; exchanges are numbered from `first_id`."""
        self.table: FlowTable[Conversation] = FlowTable(flow_limits, segments)
        self.segments = segments
        self.requests = requests
        self.exchanges = exchanges
        self._limits = limits
        self._ids = count(first_id)

    def push(self, segment: Segment) -> list[Event]:
        """Takes one segment; returns what it completes, also in other flows it displaces."""
        table = self.table
        flow, items = table.push(segment)
        events = self._read(flow, items) if items and flow is not None else []
        if table.ended:
            # Before the flow's own: a replaced flow's exchanges end before its successor's begin.
            events = self._read_all(table.take_ended()) + events
        return events

    def expire(self, now: int) -> list[Event]:
        """Gives up what waited too long; call it every second or so. `now`: ns, capture clock."""
        return self._read_all(self.table.expire(now))

    def close(
        self, reason: Unanswered, now: int, gone: Callable[[bytes], bool] | None = None
    ) -> list[Event]:
        """Ends every flow, or those whose key is `gone`; what is unanswered gets `reason`."""
        events: list[Event] = []
        for flow, _ in self.table.close(now, gone):
            if flow.conversation is not None:
                events += flow.conversation.close(reason, now)
                flow.conversation = None
                events.append(FlowClosed(flow.key))
        return events

    def _read_all(self, ended: list[tuple[Flow[Conversation], list[Item]]]) -> list[Event]:
        events: list[Event] = []
        for flow, items in ended:
            events += self._read(flow, items)
        return events

    def _read(self, flow: Flow[Conversation], items: list[Item]) -> list[Event]:
        conversation = flow.conversation
        if conversation is None:
            conversation = flow.conversation = Conversation(
                flow.key,
                self._ids,
                self._limits,
                self.requests,
                self.exchanges,
                joined=not flow.opened,
            )
        events = conversation.receive(items)
        if conversation.finished:
            for event in events:
                if type(event) is FlowUpgraded:
                    self.table.set_not_http(flow, event.kind)
            flow.conversation = None
            events.append(FlowClosed(flow.key))
        return events
