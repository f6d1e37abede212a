"""One segment of a known flow: alignment, acknowledgement, order, FIN and RST.

The general case, correct for every segment; the table's fast path is a short cut through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shadow_agent.flow.classify import starts_flow, starts_response
from shadow_agent.flow.flow import NEITHER
from shadow_agent.flow.items import EndKind, Item
from shadow_agent.flow.order import advance, peer, reset
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Direction
from shadow_agent.flow.sequence import MASK, diff
from shadow_agent.flow.stream import UNALIGNED, WINDOW

if TYPE_CHECKING:
    from shadow_agent.flow.flow import Flow, FlowLimits
    from shadow_agent.flow.segment import Segment
    from shadow_agent.flow.stream import Stream


def joins(direction: int, payload: bytes, limits: FlowLimits) -> bool:
    """Whether a segment in mid-connection begins something that its stream can start with."""
    if direction == Direction.REQUEST:
        return starts_flow(payload)
    # Where order is not trusted, the request may still come.
    return not limits.acks_prove_loss and starts_response(payload)


def arrive(
    flow: Flow[Any], stream: Stream, other: Stream, segment: Segment, limits: FlowLimits
) -> list[Item]:
    """Takes one segment of `stream`; returns what is in order now, in both directions."""
    ts, _, direction, seq, ack, flags, payload, length, final = segment
    counts = stream.counts
    if not flags & (ACK | SYN | RST):
        counts.out_of_window += final  # no stack takes a segment without the ACK flag
        return []
    if flags & RST:
        return _reset(flow, stream, other, segment, limits)
    if flags & SYN:
        seq = (seq + 1) & MASK
        _open(flow, stream, other, segment)
    elif stream.next_seq == UNALIGNED:
        if not joins(direction, payload, limits):
            counts.unaligned += final
            return []
        stream.align(seq)
    if not -WINDOW <= diff(seq, stream.next_seq) <= WINDOW:
        counts.out_of_window += final
        return []
    items: list[Item] = []
    causal = limits.acks_prove_loss
    awaited = _acknowledge(flow, stream, other, segment, items, causal=causal)
    if length:
        # A SYN's data are told by that they acknowledge nothing.
        known = ack if flags & ACK else UNALIGNED
        items += stream.push(seq, known, ts, payload, length, int(final), awaited)
    else:
        counts.used += final
    if flags & FIN and final:
        items += stream.finish((seq + length) & MASK, ts, ack, awaited)
    if not causal and (stream.waiting or other.waiting):
        advance(flow, items, ts)
    return items


def _open(flow: Flow[Any], stream: Stream, other: Stream, segment: Segment) -> None:
    flow.opened = True
    if stream.next_seq == UNALIGNED:
        stream.align((segment.seq + 1) & MASK)
        stream.plain = flow.classified or segment.direction == Direction.RESPONSE
    if segment.flags & ACK and other.next_seq == UNALIGNED:
        other.align(segment.ack)
        other.plain = segment.direction == Direction.REQUEST


def _acknowledge(
    flow: Flow[Any],
    stream: Stream,
    other: Stream,
    segment: Segment,
    items: list[Item],
    *,
    causal: bool,
) -> int | None:
    """What a segment says of the other direction; returns what it has to wait for there, if any."""
    ts, _, direction, _, ack, flags, payload, _, _ = segment
    if not flags & ACK:
        # A SYN's data wait until the service has said whether it takes them (TCP Fast Open).
        return UNALIGNED if flags & SYN and other.next_seq == UNALIGNED else None
    if flags & SYN and other.early is not None and other.early.head.ack == UNALIGNED:
        if ack == other.first:
            other.refuse_head()  # not taken: they are sent again, or others are
        else:
            other.drain(items, ts, None, forced=True)
    if other.next_seq == UNALIGNED and direction == Direction.REQUEST:
        # What answers the first request begins where its sender's acknowledgement stands.
        if payload:
            other.align(ack)
            other.plain = True
    elif causal or flow.missing == other.direction:
        if other.next_seq != UNALIGNED:
            items += other.lose_until(ack, ts)
    else:
        return _await(flow, stream, other, segment)
    return None


def _await(flow: Flow[Any], stream: Stream, other: Stream, segment: Segment) -> int | None:
    """What a segment has to wait for in the other direction, where order is not trusted."""
    if segment.length and flow.missing == stream.direction:
        flow.missing = NEITHER  # the capture has it after all
    response = flow.response
    if response.next_seq == response.first:
        # A response may have been seen before the handshake or its request: then it begins where
        # the request says, or where an earlier one does that was captured late.
        first = segment.ack if segment.direction == Direction.REQUEST else segment.seq
        sure = segment.direction == Direction.REQUEST or starts_response(segment.payload)
        if sure and 0 < diff(response.first, first) <= WINDOW:
            response.align(first)
    return peer(flow, other)


def _reset(
    flow: Flow[Any], stream: Stream, other: Stream, segment: Segment, limits: FlowLimits
) -> list[Item]:
    """A RST ends both directions if the receiver believes it (RFC 5961, decision 0010)."""
    counts = stream.counts
    if stream.next_seq != UNALIGNED:
        ahead = diff(segment.seq, stream.next_seq)
        if not -WINDOW <= ahead <= WINDOW:
            counts.out_of_window += segment.final
            return []
        # Linux takes one that repeats the FIN's own number too.
        if ahead < 0 and not (ahead == -1 and stream.ended is EndKind.FIN):
            counts.duplicate += segment.final
            return []
    counts.used += segment.final
    if stream.next_seq != UNALIGNED and not limits.acks_prove_loss and not stream.ended:
        awaited = peer(flow, other) if segment.flags & ACK else None
        return stream.finish(segment.seq, segment.ts, segment.ack, awaited, EndKind.RST)
    return reset(flow, segment.ts, segment.direction, causal=limits.acks_prove_loss)
