"""Assembler: the flow table with a conversation per flow; segments in, events out."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from shadow_agent.flow.classify import is_preamble
from shadow_agent.flow.items import Data
from shadow_agent.flow.segment import Direction
from shadow_agent.flow.table import Flow, FlowTable
from shadow_agent.http.budget import Budget
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
    from shadow_agent.http.pairing import Pairing
    from shadow_agent.telemetry.reasons import Unanswered


class Assembler:
    """One worker's flows and conversations, with the counts of three ledger lines."""

    __slots__ = ("_ids", "_limits", "budget", "exchanges", "requests", "segments", "table")

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
        self.budget = Budget(limits)
        self._limits = limits
        self._ids = count(first_id)

    def push(self, segment: Segment) -> list[Event]:
        """Takes one segment; returns what it completes, also in other flows it displaces."""
        table = self.table
        flow, items = table.push(segment)
        events: list[Event] = []
        if items and flow is not None:
            conversation = flow.conversation
            if conversation is None:
                events = self._read(flow, items)
            else:  # as _read does, two calls less for every segment
                events = conversation.receive(items)
                if conversation.finished:
                    events = self._finish(flow, conversation, events)
        if table.ended:
            # Before the flow's own: a replaced flow's exchanges end before its successor's begin.
            events = self._read_all(table.take_ended()) + events
        if self.budget.pressed:
            events += self._relieve()
        return events

    def follow(self, segment: Segment, number: int) -> list[Event]:
        """As `push`, for a record with a number (flow.resume)."""
        table = self.table
        flow, items = table.follow(segment, number)
        events = self._read_all(table.take_ended())
        if items and flow is not None:
            events += self._read(flow, items)
        if self.budget.pressed:
            events += self._relieve()
        return events

    def expire(self, now: int) -> list[Event]:
        """Gives up what waited too long; call it every second or so. `now`: ns, capture clock."""
        events = self._read_all(self.table.expire(now))
        for pairing in self.budget.late(now):
            events += self._give_up(pairing, head_only=True)
        self.budget.sweep(len(self.table))
        return events

    def close(
        self, reason: Unanswered, now: int, gone: Callable[[bytes], bool] | None = None
    ) -> list[Event]:
        """Ends every flow, or those whose key is `gone`; what is unanswered gets `reason`."""
        events = self._read_all(self.table.flush(now, gone))
        for flow, _ in self.table.close(now, gone):
            if flow.conversation is not None:
                events += flow.conversation.close(reason, now)
                flow.conversation = None
                events.append(FlowClosed(flow.key))
        return events

    def _relieve(self) -> list[Event]:
        events: list[Event] = []
        for pairing, everything in self.budget.relieve():
            events += self._give_up(pairing, head_only=not everything)
        return events

    def _give_up(self, pairing: Pairing, *, head_only: bool) -> list[Event]:
        flow = self.table.get(pairing.key)
        conversation = None if flow is None else flow.conversation
        if flow is None or conversation is None or conversation.pairing is not pairing:
            return []
        return self._finish(flow, conversation, conversation.give_up(head_only=head_only))

    def _read_all(self, ended: list[tuple[Flow[Conversation], list[Item]]]) -> list[Event]:
        events: list[Event] = []
        for flow, items in ended:
            if items:
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
                self.budget,
                joined=not flow.opened,
                first=flow.response.first if flow.opened else None,
            )
            for item in items:
                if item.direction == Direction.REQUEST:
                    if type(item) is Data and is_preamble(item.payload):
                        conversation.expect_preamble()
                    break
        events = conversation.receive(items)
        return self._finish(flow, conversation, events) if conversation.finished else events

    def _finish(
        self, flow: Flow[Conversation], conversation: Conversation, events: list[Event]
    ) -> list[Event]:
        if conversation.finished:
            for event in events:
                if type(event) is FlowUpgraded:
                    self.table.set_not_http(flow, event.kind)
            flow.conversation = None
            events.append(FlowClosed(flow.key))
        return events
