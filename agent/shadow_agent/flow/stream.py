"""Stream: one direction of a flow, put in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.flow.early import HELD_OVERHEAD, Early, Held, Mark
from shadow_agent.flow.items import Data, End, EndKind, Gap, Item
from shadow_agent.flow.segment import UNSURE
from shadow_agent.flow.sequence import MASK, diff

if TYPE_CHECKING:
    from shadow_agent.flow.counts import SegmentCounts

__all__ = ["Data", "End", "EndKind", "Gap", "Item", "Stream"]

# TCP's largest window (RFC 7323): nothing farther ahead can belong to the connection.
WINDOW: Final = 1 << 30
UNALIGNED: Final = -1


class Stream:
    """Puts the segments of one direction in order and cuts off what was already seen.

    Of overlapping segments the copy that was delivered first wins, whatever a later one says.
    What arrives early is held until the hole before it fills, or until somebody who knows better
    calls `release` (a limit or the hold time) or `lose_until` (an acknowledgement).

    `peer` is where the other direction stands, for captures whose order is not trusted: what
    acknowledges bytes beyond it waits for them too. None: acknowledgements are not waited for.
    """

    __slots__ = ("counts", "direction", "early", "ended", "fin", "first", "next_seq",
                 "plain")  # fmt: skip

    def __init__(self, direction: int, counts: SegmentCounts) -> None:
        """A stream whose position is not known yet."""
        self.direction = direction
        self.counts = counts
        self.next_seq = UNALIGNED  # sequence number of the next byte to deliver
        self.first = UNALIGNED  # where it was aligned
        self.early: Early | None = None  # what waits
        self.fin: Mark | None = None  # the FIN or RST that waits
        self.ended: EndKind | None = None  # the End that was delivered
        # Whether a segment at next_seq can be delivered as it is: the table's fast path.
        self.plain = False

    @property
    def waiting(self) -> bool:
        """Whether something that was seen is held back."""
        return self.early is not None or self.fin is not None

    @property
    def held_cost(self) -> int:
        """Bytes that are held, overhead included."""
        return 0 if self.early is None else self.early.cost

    @property
    def head(self) -> Held | Mark:
        """What is delivered next of what waits; `waiting` holds."""
        early, fin = self.early, self.fin
        if early is None or (fin is not None and diff(fin.seq, early.head.seq) <= 0):
            if fin is None:
                raise AssertionError("nothing waits")
            return fin
        return early.head

    def hole(self) -> int:
        """How many bytes are missing before `head`; 0 or less if it waits for the peer only."""
        return diff(self.head.seq, self.next_seq)

    def align(self, seq: int) -> None:
        """The next byte to deliver has this sequence number; nothing was delivered yet."""
        if self.early is not None:
            self.early.offset += diff(seq, self.next_seq)
        self.next_seq = self.first = seq

    def push(
        self,
        seq: int,
        ack: int,
        ts: int,
        payload: bytes,
        length: int,
        packets: int,
        peer: int | None = None,
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
        if ahead > 0 or (peer is not None and _is_ahead(ack, peer)):
            self._hold(Held(seq, ack, ts, payload, length, packets), ahead)
            if ahead > 0 and self.hole() <= 0 and peer is None:
                self.drain(items, ts, peer)  # a SYN's data were taken, or nothing would follow them
            return items
        self.counts.used += packets
        self._deliver(items, seq, ack, ts, payload, length)
        if self.waiting:
            self.drain(items, ts, peer)
        return items

    def finish(
        self, fin: int, ts: int, ack: int = 0, peer: int | None = None, kind: EndKind = EndKind.FIN
    ) -> list[Item]:
        """A FIN (or RST) stands at this position: ends the stream now or when it gets there."""
        items: list[Item] = []
        if not self.ended and 0 <= diff(fin, self.next_seq) <= WINDOW:
            self.fin = Mark(fin, ack, ts, kind)
            self.plain = False
            self.drain(items, ts, peer)
        return items

    def lose_until(self, ack: int, ts: int, peer: int | None = None) -> list[Item]:
        """Everything before `ack` was acknowledged: what is missing there is lost to us."""
        items: list[Item] = []
        if diff(ack, self.next_seq) > WINDOW:
            return items
        while not self.ended and (missing := diff(ack, self.next_seq)) > 0:
            if self.waiting:
                missing = min(missing, self.hole())
                if missing <= 0:
                    before = self.next_seq
                    self.drain(items, ts, peer)
                    if self.next_seq == before:
                        break  # its head waits for the peer
                    continue
            self.skip(items, missing, ts, peer)
        return items

    def release(self, ts: int) -> list[Item]:
        """Delivers all that is held; every hole before it becomes a Gap."""
        items: list[Item] = []
        while self.waiting:
            self.skip(items, self.hole(), ts)
        return items

    def skip(self, items: list[Item], missing: int, ts: int, peer: int | None = None) -> None:
        """Gives up bytes that are missing here, and delivers what waited for them only."""
        if missing > 0:
            items.append(Gap(self.direction, missing, ts))
            self._advance(missing)
        if self.waiting:
            self.drain(items, ts, peer)

    def end(self, kind: EndKind, ts: int, by: int) -> list[Item]:
        """Ends the stream where it is, unless it has ended."""
        if self.ended:
            return []
        self.ended = kind
        self.plain = False
        self.fin = None
        return [End(self.direction, kind, ts, by)]

    def refuse_head(self) -> None:
        """The first of what waits was not taken by the receiver."""
        early = self.early
        if early is None:
            return
        head = early.head
        early.cost -= len(head.payload) + HELD_OVERHEAD
        early.drop(1)
        self.counts.held -= head.packets
        self.counts.duplicate += head.packets
        if not len(early):
            self.early = None

    def drop_held(self) -> int:
        """Forgets what is held; returns how many packets that were."""
        packets = sum(item.packets for item in self.early) if self.early is not None else 0
        self.counts.held -= packets
        self.early = None
        self.fin = None
        return packets

    def drain(self, items: list[Item], ts: int, peer: int | None, *, forced: bool = False) -> None:
        """Delivers what has become contiguous, and the FIN when the stream reaches it.

        `forced`: the first one does not wait for the peer.
        """
        early = self.early
        if early is not None:
            done = 0
            for seq, ack, held_ts, payload, length, packets in early:
                ahead = diff(seq, self.next_seq)
                if ahead > 0:
                    break
                old = ahead + length <= 0
                if peer is not None and not old and not forced and _is_ahead(ack, peer):
                    break
                done += 1
                early.cost -= len(payload) + HELD_OVERHEAD
                self.counts.held -= packets
                if old:
                    self.counts.duplicate += packets  # retransmitted in other pieces meanwhile
                    continue
                forced = False
                self.counts.used += packets
                self._deliver(items, seq, ack, held_ts, payload, length)
            early.drop(done)
            if not len(early):
                self.early = None
        fin = self.fin
        if (
            fin is not None
            and diff(fin.seq, self.next_seq) <= 0
            and (peer is None or forced or not _is_ahead(fin.ack, peer))
        ):
            if fin.kind is EndKind.FIN:
                self._advance(1)
            self.counts.out_of_window += self.drop_held()  # bytes beyond a FIN belong to nothing
            items += self.end(fin.kind, ts, self.direction)
        # Not before its first byte: those that open a flow are looked at (FlowTable._classify).
        self.plain = not self.waiting and not self.ended and self.next_seq != self.first

    def _hold(self, new: Held, ahead: int) -> None:
        if self.early is None:
            self.early = Early()
            self.plain = False
        useless = self.early.add(new, ahead)
        self.counts.duplicate += useless
        self.counts.held += new.packets - useless

    def _deliver(
        self, items: list[Item], seq: int, ack: int, ts: int, payload: bytes, length: int
    ) -> None:
        """Data for the new part of a segment; a Gap for the part that was not copied."""
        unsure = payload is UNSURE
        old = diff(self.next_seq, seq)
        if old:
            payload = payload[old:]
            length -= old
        if payload:
            items.append(Data(self.direction, payload, ts, self.next_seq, ack))
        if length > len(payload):
            items.append(Gap(self.direction, length - len(payload), ts, not unsure))
        self._advance(length)

    def _advance(self, length: int) -> None:
        self.next_seq = (self.next_seq + length) & MASK
        if self.early is not None:
            self.early.offset += length


def _is_ahead(ack: int, peer: int) -> bool:
    """Whether `ack` covers bytes that the peer has not delivered; a wild one proves nothing."""
    return peer == UNALIGNED or (ack != UNALIGNED and 0 < diff(ack, peer) <= WINDOW)
