"""Hard trip: a shadow that breaks on every request stops being asked, long before a verdict.

A fuse, outside of what α promises: a short outage of the shadow blows it too. It pauses mirroring,
it never says no-go. Workers hold one each, so nothing here needs numpy.
"""

from __future__ import annotations

from typing import Final

# As a bet at nine tenths on each request, begun with an eighth: 14 in a row blow it, about what
# 50 segments at a chance of 1 in 20 ask for.
_WON: Final = 1.9
_LOST: Final = 0.1
_FLOOR: Final = 1 / 8
_BLOWN: Final = 900.0


class Trip:
    """One candidate's. Latched until `reset`."""

    __slots__ = ("_worth", "blown")

    def __init__(self) -> None:
        self._worth = _FLOOR
        self.blown = False

    def add(self, *, candidate_bad: bool, production_bad: bool) -> bool:
        """One request: bad is a 5xx or no whole answer. Whether the fuse is blown."""
        if not candidate_bad:
            self._worth = max(_FLOOR, self._worth * _LOST)
        elif not production_bad:  # both bad says nothing
            self._worth *= _WON
            self.blown = self.blown or self._worth >= _BLOWN
        return self.blown

    def reset(self) -> None:
        """Whoever looked says it may go on."""
        self._worth = _FLOOR
        self.blown = False
