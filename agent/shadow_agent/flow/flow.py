"""Flow, and the limits of the table that holds flows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from shadow_agent.flow.segment import ACK, RST, SYN, Direction
from shadow_agent.flow.sequence import add, diff
from shadow_agent.flow.stream import UNALIGNED, Stream

if TYPE_CHECKING:
    from shadow_agent.flow.counts import SegmentCounts
    from shadow_agent.flow.segment import Segment
    from shadow_agent.telemetry.reasons import NotHttp

C = TypeVar("C")

# A SYN's data lie in one packet.
_MAX_SYN_DATA = 1 << 16

NEITHER: Final = -1  # no direction


class FlowLimits(NamedTuple):
    """What a table may hold, and for how long."""

    # flows; 2 KB each between messages: 200 MB. Over it: the one idle longest is evicted.
    max_flows: int = 131_072
    # bytes that wait for a hole to fill, per flow: one full window of 6 MiB, the most that Linux
    # gives a receiver (tcp_rmem), and what it costs to hold it. Over it: the holes are given up
    # (Gap) and what waited is delivered.
    max_held_bytes_per_flow: int = 8 << 20
    # the same, all flows together. Over it: the flow that asks for more gives its holes up.
    max_held_bytes_total: int = 64 << 20
    # ns without a segment. Over it: evicted. Longer than common keep-alive times (nginx: 75 s).
    idle_ns: int = 120_000_000_000
    # ns a hole may stay. Over it: Gap. Six retransmissions of a fast connection.
    hold_ns: int = 5_000_000_000
    # ns a closed flow is remembered, so that late retransmissions open no new one.
    linger_ns: int = 2_000_000_000
    # Whether an acknowledgement of bytes not seen proves that they are lost to us. True where one
    # tap sees both directions in causal order. False for captures that may be reordered: what
    # acknowledges bytes not seen waits for them as for a hole, for hold_ns at most.
    acks_prove_loss: bool = True


class Flow(Generic[C]):
    """One production TCP connection: two streams, and what reads them (`conversation`)."""

    __slots__ = ("classified", "closed", "conversation", "epoch", "held_cost", "key", "last_ts",
                 "missing", "not_http", "number", "opened", "request", "response",
                 "syn")  # fmt: skip

    def __init__(self, key: bytes, ts: int, counts: SegmentCounts) -> None:
        """A flow of which nothing is known yet."""
        self.key = key
        self.last_ts = ts  # ns, of a recent segment, at most 50 ms before the last
        self.request = Stream(Direction.REQUEST, counts)
        self.response = Stream(Direction.RESPONSE, counts)
        self.opened = False  # its SYN was seen, by us or the kernel; else joined in mid-connection
        self.classified = False  # its first request bytes were looked at
        self.not_http: NotHttp | None = None  # a tombstone: its segments are only counted
        self.held_cost = 0  # bytes of both streams that the table has accounted for
        self.missing = NEITHER  # a direction that was waited for in vain: it is not waited for
        self.closed = False  # both directions ended: remembered for late retransmissions
        self.syn: Segment | None = None  # of a new connection on the same ports, if it is one
        self.epoch: int | None = None  # of its last record, where records have numbers (resume)
        self.number: int | None = None  # of its last record towards the service
        self.conversation: C | None = None  # belongs to whoever reads the flow

    def doubts(self, syn: Segment) -> bool:
        """Whether a SYN that does not continue the flow needs something to follow it.

        A receiver answers one in the midst of a connection with a challenge and goes on (RFC 5961
        4): it may be forged, or left from before.
        """
        alive = not self.closed and self.not_http is None
        return alive and not (syn.flags & ACK or syn.length or syn.direction)

    def replaced_by(self, segment: Segment) -> bool:
        """Whether the segment shows that the SYN which was doubted has opened a connection."""
        syn = self.syn
        if syn is None:
            return False
        first = add(syn.seq, 1)
        if segment.direction:
            return segment.flags & (SYN | RST) > 0 and segment.ack == first
        return segment.length > 0 and segment.seq == first and not segment.flags & SYN

    def continued_by(self, syn: Segment) -> bool:
        """Whether a SYN is a retransmission or the handshake's other half, not a new connection."""
        stream, other = self.request, self.response
        if syn.direction:
            stream, other = other, stream
        if stream.first != UNALIGNED:
            return stream.first == add(syn.seq, 1)
        if not syn.flags & ACK or other.first == UNALIGNED:
            return True
        # It acknowledges the SYN, and of the data in it (TCP Fast Open) what the service took.
        return 0 <= diff(syn.ack, other.first) <= _MAX_SYN_DATA
