"""Capture time, by which flows expire: it follows the stamps, but not a single wrong one."""

from __future__ import annotations

from typing import Final

_STEP_NS: Final = 1_000_000_000


class CaptureClock:
    """Goes on in steps of a second; ask it about a stamp only when ``low <= ts < high`` is false.

    A stamp is believed when another one confirms it: one packet from the far future must not
    expire every flow.
    """

    __slots__ = ("_before", "high", "low", "now")

    def __init__(self) -> None:
        """No stamp was seen."""
        self.now = self.low = self.high = 0  # ns
        self._before: int | None = None

    def step(self, ts: int) -> bool:
        """Take such a stamp; whether ``now`` has moved."""
        before, self._before = self._before, ts
        believed = ts if before is None else min(before, ts)
        if before is not None and self.low <= believed < self.high:
            return False
        self.now = believed
        self.low = believed - _STEP_NS
        self.high = believed + _STEP_NS
        return before is not None
