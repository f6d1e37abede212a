"""Lookahead: a capture's next segment, and the one behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shadow_agent.flow.segment import Segment


class Lookahead:
    """Reads ahead by one, because a stamp from the future shows by what follows it."""

    __slots__ = ("_after", "_owed", "_segments", "segment")

    def __init__(self, segments: Iterator[Segment | None]) -> None:
        """None among the segments: packets were read of which none is the service's."""
        self._segments = segments
        self.segment: Segment | None = None  # the next one; None at the end
        self._after: Segment | None = None
        self._owed = 2  # of these two are still to be read

    def load(self) -> bool:
        """Reads what is missing; false when somebody else is to have a turn before it goes on."""
        while self._owed:
            found = next(self._segments, self)
            if found is None:
                return False
            self._owed -= 1
            self.segment, self._after = self._after, None if isinstance(found, Lookahead) else found
        return True

    def take(self) -> None:
        """The next segment was handled."""
        self._owed = 1

    def stamp(self, segment: Segment) -> int:
        """The next segment's capture time, unless its successor shows that it is wrong; ns."""
        after = self._after
        return segment.ts if after is None else min(segment.ts, after.ts)
