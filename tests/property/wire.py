"""A TCP connection on paper: segments as a capture would show them, for tests of flow and http."""

from collections.abc import Iterable
from typing import Any

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.items import Item
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Segment, flow_key
from shadow_agent.flow.table import FlowTable
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import Event, Exchange, ExchangeEnded, Limits, RequestHeadSeen

MASK = 0xFFFF_FFFF
GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire:
    """Both ends of one connection; every call returns the segment that it puts on the wire."""

    def __init__(self, port: int = 40_000, client: int = 1_000, server: int = 9_000) -> None:
        """The sequence numbers are those of the first payload byte."""
        self.key = flow_key("192.0.2.1", port, "198.51.100.7", 80)
        self.next = [client & MASK, server & MASK]
        self.now = 0

    def segment(
        self, direction: int, payload: bytes = b"", flags: int = ACK, *, cut: int = 0
    ) -> Segment:
        """`cut` bytes at the end of the payload were not copied."""
        self.now += 1_000
        seq, ack = self.next[direction], self.next[1 - direction]
        self.next[direction] = (seq + len(payload) + bool(flags & (SYN | FIN))) & MASK
        copied = payload[: len(payload) - cut]
        return Segment(self.now, self.key, direction, seq, ack, flags, copied, len(payload), True)

    def client(self, payload: bytes, flags: int = ACK, *, cut: int = 0) -> Segment:
        """A segment towards the service."""
        return self.segment(0, payload, flags, cut=cut)

    def server(self, payload: bytes, flags: int = ACK, *, cut: int = 0) -> Segment:
        """A segment from the service."""
        return self.segment(1, payload, flags, cut=cut)

    def open(self) -> list[Segment]:
        """The handshake, as far as it is copied."""
        self.next = [(n - 1) & MASK for n in self.next]
        return [self.segment(0, flags=SYN), self.segment(1, flags=SYN | ACK)]

    def close(self) -> list[Segment]:
        """Both FINs, the client's first."""
        return [self.segment(0, flags=FIN | ACK), self.segment(1, flags=FIN | ACK)]

    def reset(self, direction: int) -> Segment:
        """A RST from one side."""
        return self.segment(direction, flags=RST | ACK)


def response(body: bytes = b"", *, status: int = 200, fields: bytes = b"") -> bytes:
    """A response with Content-Length."""
    head = b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n" % (status, fields, len(body))
    return head + body


def chunked(body: bytes, size: int = 7) -> bytes:
    """A body in chunks of `size` bytes, with a trailer."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\nX: y\r\n\r\n"


def assembler(flow: FlowLimits | None = None, limits: Limits | None = None) -> Assembler:
    """One with counts of its own."""
    return Assembler(
        flow or FlowLimits(), limits or Limits(), SegmentCounts(), RequestCounts(), ExchangeCounts()
    )


def flow_table(**limits: Any) -> FlowTable[object]:
    """One with counts of its own."""
    return FlowTable(FlowLimits(**limits), SegmentCounts())


def push(target: FlowTable[object], *segments: Segment) -> list[Item]:
    """The items of all of them; whoever has items gets a conversation."""
    items: list[Item] = []
    for segment in segments:
        flow, some = target.push(segment)
        if flow is not None and some:
            flow.conversation = flow
        items += some
    return items


def drive(target: Assembler, segments: Iterable[Segment]) -> list[Event]:
    """Pushes all of them and checks after each that nothing is unaccounted for."""
    events: list[Event] = []
    for number, segment in enumerate(segments, start=target.segments.read + 1):
        events += target.push(segment)
        assert target.segments.read == number
        check_balance(target)
    return events


def check_balance(target: Assembler) -> None:
    """The ledger's identities for requests and exchanges."""
    requests, exchanges = target.requests, target.exchanges
    assert requests.started == (
        requests.complete
        + requests.gap
        + requests.malformed
        + requests.oversize
        + requests.evicted
        + requests.aborted
        + requests.open
    )
    assert requests.heads == (
        exchanges.answered + sum(exchanges.unanswered.values()) + exchanges.open
    )
    assert requests.open >= 0
    assert exchanges.open >= 0
    assert target.segments.held >= 0
    assert target.table.held_bytes >= 0


def begun(events: Iterable[Event]) -> list[Exchange]:
    """The exchanges that began, in order."""
    return [event.exchange for event in events if isinstance(event, RequestHeadSeen)]


def ended(events: Iterable[Event]) -> list[Exchange]:
    """The exchanges that ended, in order."""
    return [event.exchange for event in events if isinstance(event, ExchangeEnded)]
