"""FlowTable: every flow of one worker, from segments to items."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic

from shadow_agent.flow.arrival import arrive, joins
from shadow_agent.flow.classify import classify, starts_flow
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import C, Flow, FlowLimits
from shadow_agent.flow.items import Data, EndKind, Item, Skip
from shadow_agent.flow.order import NOW_OR_NEVER, give_up, reset, set_plain
from shadow_agent.flow.resume import SURE, keep_number, restart, resumption
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Direction, Segment
from shadow_agent.flow.sequence import MASK, diff
from shadow_agent.flow.stream import UNALIGNED, Stream
from shadow_agent.telemetry.reasons import NotHttp

__all__ = ["Flow", "FlowLimits", "FlowTable"]

_CONTROL_OR_ACK: Final = SYN | FIN | RST | ACK
_HALF: Final = 0x8000_0000
# How exact "idle" is: a flow's place in the order is renewed this often, not by every segment.
_GRAIN_NS: Final = 50_000_000


class FlowTable(Generic[C]):
    """Finds each segment's flow and puts it in order, within limits.

    Items come in causal order: a Gap that a segment's acknowledgement proves comes before the
    segment's own data. Flows that end as a side effect (replaced by a new SYN, evicted by a limit)
    wait in `ended` for whoever drives the table.
    """

    __slots__ = ("_closed", "_flows", "_held_bytes", "_limits", "_waiting", "counts", "ended")

    def __init__(self, limits: FlowLimits, counts: SegmentCounts) -> None:
        """An empty table."""
        self.counts = counts
        self.ended: list[tuple[Flow[C], list[Item]]] = []
        self._limits = limits
        self._flows: OrderedDict[bytes, Flow[C]] = OrderedDict()  # longest idle first
        self._closed: OrderedDict[bytes, int] = OrderedDict()  # key → when it closed, oldest first
        self._waiting: dict[bytes, Flow[C]] = {}  # flows with a hole
        self._held_bytes = 0

    def __len__(self) -> int:
        """Flows in the table, tombstones included."""
        return len(self._flows)

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for holes to fill, overhead included."""
        return self._held_bytes

    def push(self, segment: Segment) -> tuple[Flow[C] | None, list[Item]]:
        """Takes one segment; returns its flow, if it has one, and what is in order now."""
        ts, key, direction, seq, ack, flags, payload, length, final = segment
        flow = self._flows.get(key)
        if flow is None:
            return self._push_unknown(segment)
        if ts - flow.last_ts > _GRAIN_NS:
            self._flows.move_to_end(key)
            flow.last_ts = ts
        if direction:
            stream, other = flow.response, flow.request
        else:
            stream, other = flow.request, flow.response
        # In order, whole, nothing held on either side, no news in the ack: 99 % of segments on a
        # healthy link. Everything below is correct for them too, at three times the cost.
        if (
            seq == stream.next_seq
            and stream.plain
            and flags & _CONTROL_OR_ACK == ACK
            and (ack == other.next_seq or (ack - other.next_seq) & MASK >= _HALF)
            and length == len(payload)
            and length
        ):
            stream.next_seq = (seq + length) & MASK
            self.counts.used += final
            # tuple.__new__ spares NamedTuple's own, which takes as long again.
            return flow, [tuple.__new__(Data, (direction, payload, ts, seq, ack))]
        if flow.replaced_by(segment) or (flags & SYN and not flow.continued_by(segment)):
            return self._replace(flow, segment)
        if flow.not_http is not None:
            self.counts.count_not_http(flow.not_http, int(final))
            return flow, []
        if flow.closed:
            return self._push_closed(flow, stream, segment)
        return flow, self._settle(flow, self._push_known(flow, stream, other, segment), ts)

    def follow(self, segment: Segment, number: int) -> tuple[Flow[C] | None, list[Item]]:
        """As `push`, for a record with a number: the flow may go on behind what was skipped."""
        flow = self._flows.get(segment.key)
        items: list[Item] = []
        if flow is not None and (how := resumption(flow, segment, number)) is not None:
            ts = segment.ts
            items = self._give_up(flow, ts, NOW_OR_NEVER)
            if flow.not_http is None:
                items = self._settle(flow, items + restart(flow, segment, how), ts)
        found, more = self.push(segment)
        if found is not None and found is not flow:
            keep_number(found, segment.direction, number)
            found.opened = found.opened or number & SURE > 0
        return found, items + more

    def expire(self, now: int) -> list[tuple[Flow[C], list[Item]]]:
        """Gives up old holes and evicts idle flows; costs nothing for flows that are neither."""
        limits = self._limits
        while self._flows:
            flow = next(iter(self._flows.values()))
            if flow.last_ts + limits.idle_ns > now:
                break
            self._remove(flow, EndKind.EVICTED, now, self._give_up(flow, now, NOW_OR_NEVER))
        done = self.take_ended()
        for flow in list(self._waiting.values()):
            items = self._give_up(flow, now, now - limits.hold_ns)
            if items:
                done.append((flow, self._settle(flow, items, now)))
        while self._closed:
            key, closed_ts = next(iter(self._closed.items()))
            if closed_ts + limits.linger_ns > now:
                break
            self._forget(self._flows[key])
        return done

    def take_ended(self) -> list[tuple[Flow[C], list[Item]]]:
        """The flows that ended as a side effect since the last call, with their last items."""
        ended, self.ended = self.ended, []
        return ended

    def get(self, key: bytes) -> Flow[C] | None:
        """The flow with this key, if the table has it."""
        return self._flows.get(key)

    def flush(
        self, now: int, gone: Callable[[bytes], bool] | None = None
    ) -> list[tuple[Flow[C], list[Item]]]:
        """Gives up every hole, or those of flows that are ``gone``: nothing will fill them."""
        return [
            (flow, self._settle(flow, self._give_up(flow, now, NOW_OR_NEVER), now))
            for flow in list(self._waiting.values())
            if gone is None or gone(flow.key)
        ]

    def set_not_http(self, flow: Flow[C], kind: NotHttp) -> None:
        """From here on the flow's segments are counted as `kind` and dropped."""
        self._entomb(flow, kind)

    def close(
        self, now: int, gone: Callable[[bytes], bool] | None = None
    ) -> list[tuple[Flow[C], list[Item]]]:
        """Evicts every flow (drain), or those whose key is ``gone`` (a smaller sample)."""
        for flow in list(self._flows.values()):
            if gone is None or gone(flow.key):
                self._remove(flow, EndKind.EVICTED, now)
        return self.take_ended()

    def _replace(self, flow: Flow[C], segment: Segment) -> tuple[Flow[C] | None, list[Item]]:
        """A new connection on the same ports, or only a SYN that may be one."""
        if flow.replaced_by(segment):
            syn, flow.syn = flow.syn, None
        elif flow.doubts(segment):
            flow.syn = segment
            self.counts.used += segment.final
            return flow, []
        else:
            syn = None
        ts = segment.ts
        self._remove(flow, EndKind.EVICTED, ts, self._give_up(flow, ts, NOW_OR_NEVER))
        if syn is not None:
            self._push_unknown(syn._replace(final=False))  # it was counted when it came
            return self.push(segment)
        return self._push_unknown(segment)

    def _push_unknown(self, segment: Segment) -> tuple[Flow[C] | None, list[Item]]:
        """A segment of no known flow opens one with a SYN or a request, else is unaligned."""
        ts, key, direction, flags = segment.ts, segment.key, segment.direction, segment.flags
        if flags & RST or not (flags & SYN or joins(direction, segment.payload, self._limits)):
            self.counts.unaligned += segment.final
            return None, []
        if len(self._flows) >= self._limits.max_flows:
            oldest = next(iter(self._closed), None) or next(iter(self._flows))
            self._remove(self._flows[oldest], EndKind.EVICTED, ts)
        flow: Flow[C] = Flow(key, ts, self.counts)
        self._flows[key] = flow
        stream, other = flow.request, flow.response
        if direction:
            stream, other = other, stream
        return flow, self._settle(flow, self._push_known(flow, stream, other, segment), ts)

    def _push_known(
        self, flow: Flow[C], stream: Stream, other: Stream, segment: Segment
    ) -> list[Item]:
        used = self.counts.used
        items = arrive(flow, stream, other, segment, self._limits)
        return self._classify(flow, items, used)

    def _push_closed(
        self, flow: Flow[C], stream: Stream, segment: Segment
    ) -> tuple[Flow[C] | None, list[Item]]:
        """A segment after both directions ended: late, or of a new connection on the same ports."""
        length = segment.length
        late = stream.next_seq != UNALIGNED and diff(segment.seq, stream.next_seq) < 0
        if not length:
            self.counts.used += segment.final
        elif late:
            self.counts.duplicate += segment.final
        elif segment.direction == Direction.REQUEST and starts_flow(segment.payload):
            self._forget(flow)
            return self._push_unknown(segment)
        else:
            self.counts.unaligned += segment.final
        return flow, []

    def _classify(self, flow: Flow[C], items: list[Item], used: int) -> list[Item]:
        """Looks at a flow's first request bytes; `used` is what was counted before these items."""
        if flow.classified:
            return items
        for item in items:
            if item.direction == Direction.REQUEST and type(item) is not Skip:
                flow.classified = True
                kind = classify(item.payload) if type(item) is Data else None
                if kind is not None:
                    packets = self.counts.used - used
                    self.counts.used = used
                    self.counts.count_not_http(kind, packets)
                    self._entomb(flow, kind)
                    return []
                flow.request.plain = not flow.request.waiting and not flow.request.ended
                break
        return items

    def _settle(self, flow: Flow[C], items: list[Item], ts: int) -> list[Item]:
        """Accounts for what a flow holds, enforces the limits, closes it when both sides ended."""
        request, response = flow.request, flow.response
        limits = self._limits
        if request.waiting or response.waiting or flow.held_cost:
            self._account(flow)
            if flow.held_cost and (
                flow.held_cost > limits.max_held_bytes_per_flow
                or self._held_bytes > limits.max_held_bytes_total
            ):
                items = items + self._give_up(flow, ts, NOW_OR_NEVER)
                self._account(flow)
            self._waiting[flow.key] = flow
        if not limits.acks_prove_loss and flow.not_http is None:
            for stream in (request, response):
                if stream.ended is EndKind.RST:
                    items = items + reset(flow, ts, stream.direction, causal=False)
                    self._account(flow)
            set_plain(flow)
        if not (request.waiting or response.waiting):
            self._waiting.pop(flow.key, None)
        if request.ended and response.ended and flow.not_http is None and not flow.closed:
            flow.closed = True
            self._closed[flow.key] = ts
        return items

    def _give_up(self, flow: Flow[C], ts: int, until: int) -> list[Item]:
        """Delivers what has waited since `until` or before; its holes become Gaps."""
        items: list[Item] = []
        used = self.counts.used
        give_up(flow, items, ts, until, causal=self._limits.acks_prove_loss)
        return self._classify(flow, items, used)

    def _account(self, flow: Flow[C]) -> None:
        cost = flow.request.held_cost + flow.response.held_cost
        self._held_bytes += cost - flow.held_cost
        flow.held_cost = cost

    def _entomb(self, flow: Flow[C], kind: NotHttp) -> None:
        """Turns a flow into a tombstone that holds nothing and only names what its segments are."""
        flow.not_http = kind
        flow.conversation = None
        self.counts.count_not_http(kind, flow.request.drop_held() + flow.response.drop_held())
        flow.request.plain = flow.response.plain = False
        self._account(flow)
        self._waiting.pop(flow.key, None)

    def _remove(
        self, flow: Flow[C], kind: EndKind, ts: int, last: list[Item] | None = None
    ) -> None:
        """Takes a flow out of the table; its last items go to `ended` if somebody reads it."""
        self.counts.evicted += flow.request.drop_held() + flow.response.drop_held()
        items = last or []
        for stream in (flow.request, flow.response):
            items += stream.end(kind, ts, stream.direction)
        if items and (flow.conversation is not None or last):
            self.ended.append((flow, items))
        self._forget(flow)

    def _forget(self, flow: Flow[C]) -> None:
        self._account(flow)
        self._flows.pop(flow.key, None)
        self._closed.pop(flow.key, None)
        self._waiting.pop(flow.key, None)
