"""When what was captured is due: as it was then, some times as fast, or at once."""

from __future__ import annotations

import math
from typing import Final

# Further away than anybody waits, and a number that a clock in ns can take: 31 years.
_FAR_NS: Final = 1e18


class Pace:
    """Maps capture time to our own; both in ns."""

    __slots__ = ("_began", "_first", "_speed", "free")

    def __init__(self, speed: float) -> None:
        """``speed`` is how many times as fast as captured; infinity is no waiting at all."""
        self.free = speed == math.inf
        self._speed = speed
        self._first: int | None = None  # stamp of the first segment
        self._began = 0  # when it went out

    def due(self, ts: int, now: int) -> int:
        """When a segment with this stamp is due. The first one asked about is due now."""
        if self.free:
            return now
        if self._first is None:
            self._first, self._began = ts, now
        later = (ts - self._first) / self._speed  # may be infinite
        return self._began + round(max(-_FAR_NS, min(later, _FAR_NS)))
