"""Early: segments of one direction that wait for the bytes before them.

Which copy of overlapping bytes survives is the receiver's stack's choice; this is Linux's
(tcp_data_queue_ofo), see decision 0010.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from shadow_agent.flow.items import EndKind
from shadow_agent.flow.segment import UNSURE

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a held segment costs beside its payload, so that small ones cannot fill the memory.
HELD_OVERHEAD: Final = 320


class Held(NamedTuple):
    """A segment that waits."""

    seq: int
    ack: int
    ts: int  # ns
    payload: bytes
    length: int  # bytes on the wire
    packets: int  # 1 for the final piece of its packet, else 0


class Mark(NamedTuple):
    """A FIN or RST that waits for the bytes before it."""

    seq: int  # where it stands
    ack: int
    ts: int  # ns
    kind: EndKind


class Early:
    """In order of their position; none lies within another.

    Positions are offsets from where the stream stood when the first one came, not sequence
    numbers: they never wrap, and bisect compares them without a call.
    """

    __slots__ = ("_items", "_starts", "cost", "offset")

    def __init__(self) -> None:
        """Nothing waits."""
        self._items: list[Held] = []
        self._starts: list[int] = []
        self.cost = 0  # bytes, overhead included
        self.offset = 0  # where the stream stands now

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._items)

    @property
    def head(self) -> Held:
        """The next one."""
        return self._items[0]

    def add(self, new: Held, ahead: int) -> int:
        """Holds `new`, `ahead` bytes from where the stream stands.

        Returns how many packets are of no use now: the new one when it lies within one that is
        held, or those that it covers. Where it contradicts what is held and the receiver's choice
        cannot be foretold, none of the copies is believed.
        """
        starts, items = self._starts, self._items
        start = self.offset + ahead
        end = start + new.length
        place = bisect_right(starts, start)
        if len(items) > 1 and self._contradicts(new, start, place):
            new = new._replace(payload=UNSURE)
        if place:
            before = starts[place - 1]
            if before + items[place - 1].length >= end:
                return new.packets
            if before == start:
                place -= 1  # covered: it goes
        beyond = place
        while beyond < len(starts) and starts[beyond] + items[beyond].length <= end:
            beyond += 1
        covered = 0
        for item in items[place:beyond]:
            covered += item.packets
            self.cost -= len(item.payload) + HELD_OVERHEAD
        starts[place:beyond] = [start]
        items[place:beyond] = [new]
        self.cost += len(new.payload) + HELD_OVERHEAD
        return covered

    def _contradicts(self, new: Held, start: int, place: int) -> bool:
        """Whether bytes of `new` differ from a copy that is held: then that is unsure from here on.

        Linux merges neighbours and looks through a tree, so that which copy survives hangs on what
        else is held. With one segment there is nothing to merge.
        """
        starts, items = self._starts, self._items
        first = place - 1 if place else place
        beyond = place
        while beyond < len(starts) and starts[beyond] < start + new.length:
            beyond += 1
        met = [at for at in range(first, beyond) if starts[at] + items[at].length > start]
        if not any(_differ(items[at], starts[at], new, start) for at in met):
            return False
        for at in met:
            self.cost -= len(items[at].payload)
            items[at] = items[at]._replace(payload=UNSURE)
        return True

    def drop(self, number: int) -> None:
        """Forgets the first ones; what they cost was taken off as they were read."""
        del self._items[:number]
        del self._starts[:number]


def _differ(held: Held, held_at: int, new: Held, new_at: int) -> bool:
    """Whether two segments say different things of the bytes that both have."""
    if held.payload is UNSURE or new.payload is UNSURE:
        return True
    start = max(held_at, new_at)
    old, young = held.payload[start - held_at :], new.payload[start - new_at :]
    size = min(len(old), len(young))
    return old[:size] != young[:size]
