"""When bytes of our own connection passed the shadow-side tap (sans-io).

Both sides' latency is taken from the kernel at the same points, so that neither the agent's
scheduling nor its queues are billed to the shadow.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from shadow_agent.flow.segment import SYN, Direction, Segment
from shadow_agent.flow.sequence import diff

# Segments remembered per direction; beyond it the oldest is forgotten and its time unknown.
# 4096 GRO segments hold some 64 MiB, the largest body that is read.
_REMEMBERED: Final = 4096
_REQUEST: Final = Direction.REQUEST


class Span(NamedTuple):
    """A run of bytes [start, end) of one direction and when it passed."""

    start: int
    end: int
    ts: int


# Before a SYN; a deque takes 600 bytes even while it is empty, and there are two a connection.
_NONE: Final[deque[Span]] = deque(maxlen=0)
# NamedTuple's own __new__ takes as long again.
_new: Final = tuple.__new__


class _Track:
    """One direction: spans in order, by offset from the first byte of the connection."""

    __slots__ = ("base", "high", "resent_to", "spans")

    def __init__(self) -> None:
        self.base: int | None = None  # sequence number of offset 0; None when the SYN was lost
        self.high = 0
        self.resent_to = 0  # bytes below this may have travelled more than once
        self.spans = _NONE

    def push(self, seq: int, length: int, ts: int) -> None:
        base, high = self.base, self.high
        if base is None:
            return
        if seq == base + high & 0xFFFFFFFF:  # in order, as nearly all are
            self.high = end = high + length
            self.spans.append(_new(Span, (high, end, ts)))
            return
        start = high + diff(seq, base + high & 0xFFFFFFFF)
        end = start + length
        if start < self.high:
            self.resent_to = max(self.resent_to, min(end, self.high))
        if end > self.high:
            self.spans.append(Span(max(start, self.high), end, ts))
            self.high = end

    def passed(self, offset: int) -> int | None:
        """When the byte at ``offset`` passed; forgets what lies before its span."""
        spans = self.spans
        while spans:
            start, end, ts = spans[0]
            if end > offset:
                return ts if start <= offset else None
            spans.popleft()
        return None


class Timeline:
    """Both directions of one connection to the shadow."""

    __slots__ = ("_answers", "_requests")

    def __init__(self) -> None:
        """Nothing has passed yet, not even a SYN."""
        self._requests = _Track()
        self._answers = _Track()

    def push(self, segment: Segment) -> None:
        """A record of the shadow-side tap."""
        ts, _, direction, seq, _, flags, _, length, _ = segment
        track = self._requests if direction == _REQUEST else self._answers
        if flags & SYN:
            track.base = seq + 1 & 0xFFFFFFFF
            if track.spans is _NONE:
                track.spans = deque(maxlen=_REMEMBERED)
        elif length:
            track.push(seq, length, ts)

    @property
    def based(self) -> bool:
        """Both SYN records were seen."""
        return self._requests.base is not None and self._answers.base is not None

    def request_passed(self, end_offset: int) -> int | None:
        """When the request's last byte went out, ns; None when its record was lost."""
        return self._requests.passed(end_offset - 1)

    def answer_passed(self, offset: int) -> int | None:
        """When the answer's byte at ``offset`` came in, ns; None when its record was lost."""
        return self._answers.passed(offset)

    def resent(self, request_end: int, answer_offset: int) -> bool:
        """A byte that the latency hangs on travelled twice: whose time is meant is unknown."""
        return self._requests.resent_to >= request_end or self._answers.resent_to > answer_offset


class Timelines:
    """Those of all our connections, by key as the shadow-side tap reports it.

    A closed connection's stays until the ring has been read once more: its last records may
    still be in it.
    """

    __slots__ = ("_by_key", "_departed")

    def __init__(self) -> None:
        """No connection is known."""
        self._by_key: dict[bytes, Timeline] = {}
        self._departed: list[tuple[bytes, Timeline]] = []

    def add(self, key: bytes, timeline: Timeline) -> None:
        """A connection begins under this key."""
        self._by_key[key] = timeline

    def depart(self, key: bytes, timeline: Timeline) -> None:
        """It has been closed."""
        self._departed.append((key, timeline))

    def push(self, segment: Segment) -> None:
        """A record of the shadow-side tap; what is of no connection of ours is not ours."""
        timeline = self._by_key.get(segment.key)
        if timeline is not None:
            timeline.push(segment)

    def departed(self) -> int:
        """How many have been closed so far: ``forget`` that many once the ring has been read."""
        return len(self._departed)

    def forget(self, count: int) -> None:
        """The oldest ``count`` closed ones will get no more records."""
        for key, timeline in self._departed[:count]:
            if self._by_key.get(key) is timeline:  # the port may have been used again
                del self._by_key[key]
        del self._departed[:count]
