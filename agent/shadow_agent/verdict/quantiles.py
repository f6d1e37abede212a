"""Quantiles of the latest latencies of many segments, from histograms of powers of two."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

# 1.1 % to either side of a bin's middle; 1 µs to 134 s.
PER_OCTAVE: Final = 32
OCTAVES: Final = 27
BINS: Final = PER_OCTAVE * OCTAVES
# The latest 20 to 40 thousand requests: older ones fade.
FADE_ABOVE: Final = 40_000


def bin_of(us: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """The bin of each latency; what is beyond the last, and no answer at all, is in the last."""
    with np.errstate(divide="ignore"):
        found = np.log2(np.maximum(us, 1.0)) * PER_OCTAVE
    made: npt.NDArray[np.int64] = np.minimum(found, BINS - 1).astype(np.int64)
    return made


class Quantiles:
    """One histogram per segment."""

    def __init__(self) -> None:
        self._counts: npt.NDArray[np.float64] = np.zeros((0, BINS))

    def grow(self, segments: int) -> None:
        """There are that many segments now."""
        more = segments - len(self._counts)
        if more > 0:
            self._counts = np.concatenate([self._counts, np.zeros((more, BINS))])

    def add(self, segment: npt.NDArray[np.int64], bins: npt.NDArray[np.int64]) -> None:
        """A block's latencies, each of its segment."""
        size = self._counts.size
        self._counts += np.bincount(segment * BINS + bins, minlength=size).reshape(-1, BINS)

    def fade(self) -> None:
        """After a block: what is many keeps its half."""
        self._counts[self._counts.sum(axis=1) > FADE_ABOVE] *= 0.5

    def of(self, share: float) -> npt.NDArray[np.float64]:
        """That quantile of each segment in µs; NaN while fewer than two would be beyond it."""
        made: npt.NDArray[np.float64] = self.each((share,))[0]
        return made

    def each(self, shares: tuple[float, ...]) -> npt.NDArray[np.float64]:
        """Several at once: shares × segments."""
        whole = np.cumsum(self._counts, axis=1)
        total = whole[:, -1]
        made = np.full((len(shares), len(total)), np.nan)
        for number, share in enumerate(shares):
            first = (whole < share * total[:, None]).sum(axis=1)
            known = total * (1.0 - share) >= 2.0
            made[number] = np.where(known, 2.0 ** ((first + 0.5) / PER_OCTAVE), np.nan)
        return made

    def state(self) -> list[list[list[float]]]:
        """Per segment its bins that are not empty, and their counts."""
        kept = []
        for row in self._counts:
            full = np.flatnonzero(row)
            kept.append([full.tolist(), row[full].tolist()])
        return kept

    @classmethod
    def resume(cls, state: list[list[list[float]]]) -> Quantiles:
        """As it was. ValueError or IndexError when that is no state."""
        made = cls()
        made.grow(len(state))
        for row, (full, counts) in zip(made._counts, state, strict=True):
            row[np.array(full, np.int64)] = np.array(counts, np.float64)
        return made
