"""Outgoing: TCP segments that a host sends to the ports it calls → the calls it makes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final

from shadow_agent.calls.call import Call
from shadow_agent.calls.reader import Reader
from shadow_agent.flow.classify import starts_flow
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.items import Data, Gap, Item
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Direction, Segment
from shadow_agent.flow.sequence import add
from shadow_agent.flow.stream import UNALIGNED, Stream

# Connections at a time. Over it: the one silent longest is given up, its open call told as cut.
MAX_CONNECTIONS: Final = 4096
# Bytes that wait for a hole to fill, per connection; over it the hole is given up.
_MAX_HELD: Final = 1 << 20
_HOLD_NS: Final = 2_000_000_000
_IDLE_NS: Final = 300_000_000_000

Tell = Callable[[Call, bytes, int], None]


@dataclass(slots=True)
class Losses:
    """What was not read, by name."""

    gaps: int = 0  # holes: what was being said there is lost, or told as cut
    unaligned: int = 0  # segments of connections that were joined in the middle of something
    evicted: int = 0  # connections over the limit, or silent for five minutes

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


class _Connection:
    __slots__ = ("isn", "last", "reader", "stream", "waiting")

    def __init__(self, first: int, key: bytes, ts: int) -> None:
        self.stream = Stream(Direction.REQUEST, SegmentCounts())
        self.stream.align(first)
        self.isn = first
        self.reader: Reader | None = Reader(key)
        self.last = ts
        self.waiting = 0  # since when, ns; 0: nothing waits


class Outgoing:
    """Puts what is sent in order, and reads it as the guard's stub server reads the shadow's."""

    def __init__(self, key: bytes, tell: Tell) -> None:
        """``tell`` gets each call with the 16-byte address and the port it went to."""
        self._key = key
        self._tell = tell
        self._table: OrderedDict[bytes, _Connection] = OrderedDict()
        self.losses = Losses()

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._table)

    def push(self, segment: Segment) -> None:
        """The next segment, of either direction; those of answers say nothing here."""
        if segment.direction != Direction.REQUEST:
            return
        if segment.flags & SYN:
            if not segment.flags & ACK:
                self._open(segment)
            return
        connection = self._table.get(segment.key) or self._join(segment)
        if connection is None:
            return
        self._table.move_to_end(segment.key)
        connection.last = segment.ts
        stream = connection.stream
        items: list[Item] = []
        if segment.length:
            items += stream.push(
                segment.seq, UNALIGNED, segment.ts, segment.payload, segment.length, 1
            )
        if segment.flags & FIN:
            items += stream.finish(add(segment.seq, segment.length), segment.ts)
        if stream.held_cost > _MAX_HELD:
            items += stream.release(segment.ts)
        connection.waiting = (connection.waiting or segment.ts) if stream.waiting else 0
        self._read(segment.key, connection, items)
        if segment.flags & RST or stream.ended is not None:
            self._close(segment.key)

    def expire(self, now: int) -> None:
        """Give up old holes and silent connections; ``now`` in ns, as the segments' times."""
        for key, connection in list(self._table.items()):
            if connection.waiting and now - connection.waiting > _HOLD_NS:
                self._read(key, connection, connection.stream.release(now))
                connection.waiting = 0
            if connection.stream.ended is not None:
                self._close(key)
            elif now - connection.last > _IDLE_NS:
                self.losses.evicted += 1
                self._close(key)

    def end(self) -> None:
        """Nothing follows: what is open is told as far as it came."""
        for key in list(self._table):
            self._close(key)

    def _open(self, segment: Segment) -> None:
        known = self._table.get(segment.key)
        first = add(segment.seq, 1)
        if known is not None:
            if known.isn == first:
                return  # retransmitted
            self._close(segment.key)
        self._add(segment, first)

    def _join(self, segment: Segment) -> _Connection | None:
        """A connection that was open before we looked: from its next request on."""
        if not segment.length:
            return None
        if not starts_flow(segment.payload):
            self.losses.unaligned += 1
            return None
        return self._add(segment, segment.seq)

    def _add(self, segment: Segment, first: int) -> _Connection:
        if len(self._table) >= MAX_CONNECTIONS:
            self.losses.evicted += 1
            self._close(next(iter(self._table)))
        made = self._table[segment.key] = _Connection(first, self._key, segment.ts)
        return made

    def _read(self, key: bytes, connection: _Connection, items: list[Item]) -> None:
        for item in items:
            if isinstance(item, Gap):
                self.losses.gaps += 1
                self._finish(key, connection)
            elif isinstance(item, Data):
                if connection.reader is None and starts_flow(item.payload):
                    connection.reader = Reader(self._key)
                if connection.reader is not None:
                    self._say(key, connection.reader.feed(item.payload))

    def _finish(self, key: bytes, connection: _Connection) -> None:
        if connection.reader is not None:
            self._say(key, connection.reader.end())
            connection.reader = None

    def _close(self, key: bytes) -> None:
        self._finish(key, self._table.pop(key))

    def _say(self, key: bytes, calls: list[Call]) -> None:
        for call in calls:
            self._tell(call, key[16:32], int.from_bytes(key[34:36], "big"))
