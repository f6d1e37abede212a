"""How much is mirrored now: everybody who has a say in it, and the one who writes it down.

The operator and the gate each name a share of production's flows, of which the smaller counts, and
the governor a factor on it. Any of them can stop mirroring; it goes on when none does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Who(StrEnum):
    """Who has a say."""

    OPERATOR = "operator"  # --sample, and `ctl sample`, `pause`, `resume`
    GATE = "gate"  # the feature gate
    GOVERNOR = "governor"  # the host's or our own load
    GUARD = "guard"  # of the shadow host: it does not vouch for the shadow


@dataclass(frozen=True, slots=True)
class Change:
    """What one of them has changed."""

    who: Who
    why: str  # one line for people
    sample: float  # in effect from now on, 0 to 1
    stopped: tuple[Who, ...]  # mirroring stands still while there is one
    factor: float = 1.0  # the governor's part of it


class Switches(Protocol):
    """The control page's."""

    def set_sample(self, fraction: float) -> None:
        """Mirror this share of flows."""

    def set_paused(self, paused: bool) -> None:
        """The off switch."""


class Dial:
    """Puts what they say together and into the kernel, at once."""

    def __init__(self, switches: Switches, sample: float) -> None:
        """``sample`` is the operator's share, which is in the kernel already."""
        self._switches = switches
        self._shares = {Who.OPERATOR: sample, Who.GATE: 1.0}
        self._factor = 1.0
        self._stopped: dict[Who, str] = {}
        self._sample = sample
        self._paused = False
        self.on_change: list[Callable[[Change], None]] = []

    @property
    def sample(self) -> float:
        """In effect, 0 to 1."""
        return self._sample

    @property
    def ceiling(self) -> float:
        """What would be mirrored were it not for the governor, 0 to 1."""
        return min(self._shares.values())

    @property
    def stopped(self) -> dict[str, str]:
        """Who stands in the way of mirroring, and why."""
        return {who.value: why for who, why in self._stopped.items()}

    def share(self, who: Who, fraction: float, why: str) -> None:
        """The operator's or the gate's share of all flows."""
        if self._shares.get(who) != fraction:
            self._shares[who] = fraction
            self._apply(who, why)

    def scale(self, factor: float, why: str) -> None:
        """The governor's share of that, 0 to 1."""
        if factor != self._factor:
            self._factor = factor
            self._apply(Who.GOVERNOR, why)

    def stop(self, who: Who, why: str) -> None:
        """Copy nothing until ``go`` of the same."""
        if self._stopped.get(who) != why:
            self._stopped[who] = why
            self._apply(who, why)

    def go(self, who: Who, why: str) -> None:
        """Not for their sake any more."""
        if self._stopped.pop(who, None) is not None:
            self._apply(who, why)

    def _apply(self, who: Who, why: str) -> None:
        sample = self.ceiling * self._factor
        if sample != self._sample:
            self._sample = sample
            self._switches.set_sample(sample)
        if bool(self._stopped) != self._paused:
            self._paused = bool(self._stopped)
            self._switches.set_paused(self._paused)
        change = Change(who, why, sample, tuple(sorted(self._stopped)), self._factor)
        for listener in self.on_change:
            listener(change)
