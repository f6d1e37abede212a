"""Where a flow is taken up again: the kernel skipped some of it on purpose (decision 0013).

A record's number (`bpf/record.h`) tells skipped from lost: its low 16 bits count the packets of its
flow and direction that were to be copied, lost ones too; 7 bits change when copying was left off in
between; then one says that a request starts and no other is open; and the highest 8 change when the
kernel had forgotten the flow meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from shadow_agent.flow.classify import starts_flow
from shadow_agent.flow.items import Gap, Item, Skip
from shadow_agent.flow.segment import ACK, SYN, Direction
from shadow_agent.flow.sequence import MASK, diff
from shadow_agent.flow.stream import UNALIGNED, WINDOW

if TYPE_CHECKING:
    from shadow_agent.flow.flow import Flow
    from shadow_agent.flow.segment import Segment

_COUNT: Final = 0xFFFF
_EPOCH_SHIFT: Final = 16
_EPOCHS: Final = 0x7F
SURE: Final = 1 << 23
_TENANCY: Final = 0xFF << 24
# A record so many epochs behind, modulo 128, was overtaken by one of the other direction.
_OLD: Final = 0x40


class Resumption(NamedTuple):
    """What is known of the bytes that were passed over."""

    sure: bool  # the kernel knew the flow all the time: a request starts here, and nothing is open
    lost: bool  # some of them should have been copied


def keep_number(flow: Flow[Any], direction: int, number: int) -> None:
    """The last record of a flow has this number."""
    flow.epoch = number & ~(SURE | _COUNT)
    if direction == Direction.REQUEST:
        flow.number = number & _COUNT


def resumption(flow: Flow[Any], segment: Segment, number: int) -> Resumption | None:
    """How the segment takes its flow up again, or None if it only goes on. Keeps the number."""
    before, last = flow.epoch, flow.number
    epoch = number & ~(SURE | _COUNT)
    if epoch == before or (before is None and not number & SURE):
        keep_number(flow, segment.direction, number)
        return None
    # None: numbers began in mid-run, and the flow's first request since then may have been skipped.
    same = before is not None and not (epoch ^ before) & _TENANCY
    if before is not None and same and (epoch - before) >> _EPOCH_SHIFT & _EPOCHS >= _OLD:
        return None
    keep_number(flow, segment.direction, number)
    stream = flow.response if segment.direction else flow.request
    if (
        segment.flags & SYN
        or flow.closed
        or flow.not_http is not None
        or stream.ended
        or stream.next_seq == UNALIGNED
        or flow.replaced_by(segment)
    ):
        return None
    ahead = diff(segment.seq, stream.next_seq)
    sure = bool(number & SURE) and starts_flow(segment.payload)
    if ahead == 0 or (-WINDOW <= ahead < 0 and not (sure and same)):
        return None  # nothing is missing, or it was seen before
    lost = same and segment.direction == Direction.REQUEST and last is not None
    return Resumption(sure, lost and (number - (last or 0)) & _COUNT > 1)


def restart(flow: Flow[Any], segment: Segment, how: Resumption) -> list[Item]:
    """Goes on at the segment, in both directions; nothing is held any more."""
    ts, _, direction, seq, ack, flags, payload, _, _ = segment
    stream, other = flow.request, flow.response
    if direction:
        stream, other = other, stream
    items: list[Item] = []
    if how.lost:
        items.append(Gap(direction, max((seq - stream.next_seq) & MASK, 1), ts))
    stream.next_seq = seq
    if payload and not flow.classified and not direction and not starts_flow(payload):
        stream.next_seq = UNALIGNED  # the request that was to be first is cut: wait for another
    # The sender has what it acknowledges; what answers its request begins there.
    if (
        flags & ACK
        and other.next_seq != UNALIGNED
        and not other.ended
        and (how.sure or diff(ack, other.next_seq) > 0)
    ):
        other.next_seq = ack
    if flow.classified:
        items.append(Skip(direction, ts, how.sure))
    return items
