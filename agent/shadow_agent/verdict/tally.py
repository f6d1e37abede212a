"""Tally: how often what happened, for each gate and segment; estimates and intervals of it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shadow_agent.verdict.blocks import Block

Floats = npt.NDArray[np.float64]

# The interval is tightest at about so many blocks; valid at any.
_TUNED: Final = 100.0
_KEPT: Final = ("each", "moments", "coverage")


class Tally:
    """Sums over blocks."""

    def __init__(self, streams: int) -> None:
        # requests, bad at the candidate alone, at the reference alone, at both
        self.each: Floats = np.zeros((4, streams, 0))
        # over blocks: n², n · excess, excess²
        self.moments: Floats = np.zeros((3, streams, 0))
        # per segment: heads, pairs, compared, lost
        self.coverage: Floats = np.zeros((4, 0))
        self.first = [0, 0]

    def add(self, block: Block) -> None:
        """One block."""
        more = block.heads.shape[0] - self.coverage.shape[1]
        if more:
            grown = [(0, 0), (0, 0), (0, more)]
            self.each = np.pad(self.each, grown)
            self.moments = np.pad(self.moments, grown)
            self.coverage = np.pad(self.coverage, grown[1:])
        n = block.seen
        excess = block.candidate - block.reference
        self.each += np.stack([n, block.candidate, block.reference, block.both])
        self.moments += np.stack([n * n, n * excess, excess * excess])
        self.coverage += np.stack([block.heads, block.pairs, block.compared, block.lost])
        self.first = [a + b for a, b in zip(self.first, block.first, strict=True)]

    def excess(self) -> Floats:
        """The share of requests that are bad at the candidate beyond the reference's."""
        with np.errstate(invalid="ignore", divide="ignore"):
            made: Floats = (self.each[1] - self.each[2]) / self.each[0]
        return made

    def spread(self, alpha: float) -> Floats:
        """Half the width of an interval around it that holds at any look (for many blocks)."""
        rate = np.nan_to_num(self.excess())
        left = self.moments[2] - 2 * rate * self.moments[1] + rate**2 * self.moments[0]
        # never less than one odd request makes
        left = np.maximum(left, 1.0)
        tuned = left + left / np.maximum(1.0, _blocks_of(self.moments, self.each)) * _TUNED
        with np.errstate(invalid="ignore", divide="ignore"):
            share = (tuned - left) / tuned
            wide = np.sqrt(tuned * (2 * np.log(1 / alpha) - np.log(share))) / self.each[0]
        made: Floats = wide
        return made

    def state(self) -> dict[str, Any]:
        """All of it."""
        kept = {name: getattr(self, name).tolist() for name in _KEPT}
        return {**kept, "first": self.first}

    @classmethod
    def resume(cls, state: dict[str, Any]) -> Tally:
        """As it was."""
        made = cls(0)
        for name in _KEPT:
            setattr(made, name, np.array(state[name], np.float64))
        made.first = [int(one) for one in state["first"]]
        return made


def _blocks_of(moments: Floats, each: Floats) -> Floats:
    """About how many blocks it was: n² / Σ n²."""
    with np.errstate(invalid="ignore", divide="ignore"):
        made: Floats = np.nan_to_num(each[0] ** 2 / moments[0])
    return made
