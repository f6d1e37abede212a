"""Stream: one direction of a flow, put in order."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from shadow_agent.flow.items import Data, End, EndKind, Gap, Item
from shadow_agent.flow.sequence import MASK, diff

if TYPE_CHECKING:
    from shadow_agent.flow.counts import SegmentCounts

__all__ = ["Data", "End", "EndKind", "Gap", "Held", "Item", "Stream"]

# TCP's largest window (RFC 7323): nothing farther ahead can belong to the connection.
WINDOW: Final = 1 << 30
# What a held segment costs beside its payload, so that empty ones cannot fill the memory.
HELD_OVERHEAD: Final = 256
UNALIGNED: Final = -1


class Held(NamedTuple):
    """A segment that waits for the bytes before it."""

    seq: int
    ack: int
    ts: int  # ns
    payload: bytes
    length: int  # bytes on the wire
    packets: int  # 1 for the final piece of its packet, else 0


class Stream:
    """Puts the segments of one direction in order and cuts off what was already seen.

    Of overlapping segments the copy that was delivered first wins, whatever a later one says.
    What arrives early is held until the hole before it fills, or until somebody who knows better
    calls `release` (a limit or the hold time) or `lose_until` (an acknowledgement).
    """

    __slots__ = ("counts", "direction", "ended", "fin", "first", "held", "held_cost", "hole_since",
                 "next_seq", "plain")  # fmt: skip

    def __init__(self, direction: int, counts: SegmentCounts) -> None:
        """A stream whose position is not known yet."""
        self.direction = direction
        self.counts = counts
        self.next_seq = UNALIGNED  # sequence number of the next byte to deliver
        self.first = UNALIGNED  # where it was aligned
        self.held: list[Held] | None = None  # by sequence number
        self.held_cost = 0  # bytes
        self.hole_since = 0  # ns; valid while `waiting`
        self.fin: int | None = None  # where the FIN stands that was seen early
        self.ended = False  # an End was delivered
        # Whether a segment at next_seq can be delivered as it is: the table's fast path.
        self.plain = False

    @property
    def waiting(self) -> bool:
        """Whether there is a hole before something that was seen."""
        return self.held is not None or self.fin is not None

    def align(self, seq: int) -> None:
        """The next byte to deliver has this sequence number."""
        self.next_seq = self.first = seq

    def push(
        self, seq: int, ack: int, ts: int, payload: bytes, length: int, packets: int
    ) -> list[Item]:
        """Takes a payload at any position and counts its packets; returns what is in order now."""
        ahead = diff(seq, self.next_seq)
        if ahead + length <= 0 or self.ended:
            self.counts.duplicate += packets
            return []
        if ahead > WINDOW:
            self.counts.out_of_window += packets
            return []
        items: list[Item] = []
        if ahead > 0:
            self._hold(Held(seq, ack, ts, payload, length, packets))
            return items
        self.counts.used += packets
        self._deliver(items, seq, ack, ts, payload, length)
        if self.waiting:
            self._drain(items, ts)
        return items

    def finish(self, fin: int, ts: int) -> list[Item]:
        """A FIN stands at this position: ends the stream now or when it gets there."""
        items: list[Item] = []
        if not self.ended and 0 <= diff(fin, self.next_seq) <= WINDOW:
            if not self.waiting:
                self.hole_since = ts
            self.fin = fin
            self.plain = False
            self._drain(items, ts)
        return items

    def lose_until(self, ack: int, ts: int) -> list[Item]:
        """Everything before `ack` was acknowledged: what is missing there is lost to us."""
        items: list[Item] = []
        if diff(ack, self.next_seq) > WINDOW:
            return items
        while not self.ended and (missing := diff(ack, self.next_seq)) > 0:
            self._skip(items, min(missing, self._hole()) if self.waiting else missing, ts)
        return items

    def release(self, ts: int) -> list[Item]:
        """Delivers all that is held; every hole before it becomes a Gap."""
        items: list[Item] = []
        while self.waiting:
            self._skip(items, self._hole(), ts)
        return items

    def end(self, kind: EndKind, ts: int, by: int) -> list[Item]:
        """Ends the stream where it is, unless it has ended."""
        if self.ended:
            return []
        self.ended = True
        self.plain = False
        self.fin = None
        return [End(self.direction, kind, ts, by)]

    def drop_held(self) -> int:
        """Forgets what is held; returns how many packets that were."""
        packets = sum(item.packets for item in self.held) if self.held is not None else 0
        self.counts.held -= packets
        self.held = None
        self.held_cost = 0
        self.fin = None
        return packets

    def _hold(self, new: Held) -> None:
        held = self.held
        if held is None:
            if self.fin is None:
                self.hole_since = new.ts
            self.held = [new]
            self.plain = False
        else:
            ahead = diff(new.seq, self.next_seq)
            place = bisect_right(held, ahead, key=lambda item: diff(item.seq, self.next_seq))
            before = held[place - 1] if place else None
            if before and diff(before.seq, new.seq) + before.length >= new.length:
                self.counts.duplicate += new.packets  # lies within what is held
                return
            held.insert(place, new)
        self.counts.held += new.packets
        self.held_cost += len(new.payload) + HELD_OVERHEAD

    def _drain(self, items: list[Item], ts: int) -> None:
        """Delivers what has become contiguous, and the FIN when the stream reaches it."""
        held = self.held
        if held is not None:
            done = 0
            for seq, ack, held_ts, payload, length, packets in held:
                ahead = diff(seq, self.next_seq)
                if ahead > 0:
                    break
                done += 1
                self.held_cost -= len(payload) + HELD_OVERHEAD
                self.counts.held -= packets
                if ahead + length <= 0:
                    self.counts.duplicate += packets  # retransmitted in other pieces meanwhile
                    continue
                self.counts.used += packets
                self._deliver(items, seq, ack, held_ts, payload, length)
            del held[:done]
            if not held:
                self.held = None
            elif done:
                self.hole_since = ts
        if self.fin is not None and diff(self.fin, self.next_seq) <= 0:
            self.next_seq = (self.next_seq + 1) & MASK
            self.counts.out_of_window += self.drop_held()  # bytes beyond a FIN belong to nothing
            items += self.end(EndKind.FIN, ts, self.direction)
        self.plain = not self.waiting and not self.ended

    def _deliver(
        self, items: list[Item], seq: int, ack: int, ts: int, payload: bytes, length: int
    ) -> None:
        """Data for the new part of a segment; a Gap for the part that was not copied."""
        old = diff(self.next_seq, seq)
        if old:
            payload = payload[old:]
            length -= old
        if payload:
            items.append(Data(self.direction, payload, ts, self.next_seq, ack))
        if length > len(payload):
            items.append(Gap(self.direction, length - len(payload), ts))
        self.next_seq = (self.next_seq + length) & MASK

    def _hole(self) -> int:
        """How many bytes are missing before the next thing that was seen; `waiting` holds."""
        ends = [self.fin] if self.fin is not None else []
        if self.held is not None:
            ends.append(self.held[0].seq)
        return min(diff(end, self.next_seq) for end in ends)

    def _skip(self, items: list[Item], missing: int, ts: int) -> None:
        items.append(Gap(self.direction, missing, ts))
        self.next_seq = (self.next_seq + missing) & MASK
        if self.waiting:
            self._drain(items, ts)
