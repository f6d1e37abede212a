"""Evidence that a stream of sums is more often above nought than below, valid at any look.

A bet on the sign of each block's sum: y = clip(sum / scale, -1, 1), the scale from earlier blocks
only. While a block is as likely to come out one way as the other, no bet on it gains on average,
so wealth that began at 1 ever reaches 1/α with a probability of at most α (Ville), whenever one
looks. The bets are a grid of stakes, and of blocks to begin at, so that a late change shows too.

What is not as likely one way as the other is the block after a burst of one side, when the burst
goes on in it. So none is bet on behind an outlier, up to three in a row: a burst that is as long
as two or three blocks counts once, and a build that is simply broken is bet on all the same.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STAKES: Final[Floats] = np.array((0.1, 0.2, 0.4, 0.6, 0.8, 0.95))
# Half of the wealth bets from the first block on. The rest begins later: at block t with weight
# LATE / ((t + LATE - 1)(t + LATE)), so half of it within that many blocks.
FIRST: Final = 0.5
LATE: Final = 120.0
# The noise of a block is that of about so many before it.
MEMORY: Final = 60.0
# A sum beyond that many times the noise is an outlier, if it is above 2 at all; ...
OUTLIER: Final = 4.0
# ... so many blocks behind outliers are not bet on; ...
HOLD: Final = 3
# ... and no block raises the noise by more than to that many times itself.
WINSOR: Final = 4.0
# Far beyond any threshold; wealth stops there, so that it stays a number.
MOST: Final = 1e200


class Evidence:
    """Wealth of many streams side by side, numbered in the order in which they came."""

    def __init__(self) -> None:
        self._wealth: Floats = np.zeros((0, len(STAKES)))
        self._scale: Floats = np.zeros(0)  # in units of the noise
        self._noise: Floats = np.zeros(0)  # mean of what the blocks' squared noise was
        self._row: Ints = np.zeros(0, np.int64)  # outliers since the last block that was none
        self.blocks: Ints = np.zeros(0, np.int64)  # that had something in them
        self.peak: Floats = np.zeros(0)  # the most that the evidence ever was

    def __len__(self) -> int:
        return len(self.blocks)

    def grow(self, scales: Floats) -> None:
        """Add so many streams.

        A wide scale keeps the mean of what is skewed, a narrow one takes a block for its sign.
        """
        more = len(scales)
        self._wealth = np.concatenate([self._wealth, np.zeros((more, len(STAKES)))])
        self._scale = np.concatenate([self._scale, scales])
        self._noise = np.concatenate([self._noise, np.zeros(more)])
        self._row = np.concatenate([self._row, np.zeros(more, np.int64)])
        self.blocks = np.concatenate([self.blocks, np.zeros(more, np.int64)])
        self.peak = np.concatenate([self.peak, np.ones(more)])

    def update(self, sums: Floats, noise: Floats, seen: npt.NDArray[np.bool_]) -> None:
        """One block: for each stream its sum, its squared noise, and whether it had anything."""
        held = (self._row > 0) & (self._row <= HOLD)
        bets = seen & (self.blocks > 0)
        age = np.maximum(self.blocks - 1.0, 0.0)
        begins = np.where(age == 0, FIRST, (1 - FIRST) * LATE / ((age + LATE - 1) * (age + LATE)))
        scale = self._scale * np.maximum(np.sqrt(self._noise), 1.0)
        bet = np.where(bets & ~held, np.clip(sums / scale, -1.0, 1.0), 0.0)
        self._wealth += np.where(bets, begins, 0.0)[:, None]
        self._wealth *= 1.0 + bet[:, None] * STAKES
        np.minimum(self._wealth, MOST, out=self._wealth)
        self._learn(sums, noise, seen)
        np.maximum(self.peak, self.value(), out=self.peak)

    def value(self) -> Floats:
        """The evidence of each stream now: 1 is none."""
        begun = self.blocks - 1.0
        waiting = np.where(begun <= 0, 1.0, (1 - FIRST) * LATE / (begun - 1.0 + LATE))
        now: Floats = self._wealth.mean(axis=1) + waiting
        return now

    def _learn(self, sums: Floats, noise: Floats, seen: npt.NDArray[np.bool_]) -> None:
        """What this block says about the next ones."""
        first = self.blocks == 0
        most = np.where(first, np.inf, WINSOR * (self._noise + 1.0))
        share = np.maximum(1.0 / (self.blocks + 1.0), 1.0 / MEMORY)
        learned = self._noise + (np.minimum(noise, most) - self._noise) * share
        self._noise = np.where(seen, learned, self._noise)
        out = np.abs(sums) > np.maximum(OUTLIER * np.sqrt(self._noise), 2.0)
        self._row = np.where(seen, np.where(out, self._row + 1, 0), self._row)
        self.blocks = self.blocks + seen

    def state(self) -> dict[str, Any]:
        """All of it as lists; the same to the bit through JSON and `resume`."""
        return {name.strip("_"): getattr(self, name).tolist() for name in _KEPT}

    @classmethod
    def resume(cls, state: dict[str, Any]) -> Evidence:
        """As it was. ValueError or KeyError when that is no state."""
        made = cls()
        for name, kind in _KEPT.items():
            setattr(made, name, np.array(state[name.strip("_")], kind))
        made._wealth = made._wealth.reshape(-1, len(STAKES))
        sizes = {len(getattr(made, name)) for name in _KEPT}
        if len(sizes) != 1 or not all(np.isfinite(getattr(made, name)).all() for name in _KEPT):
            raise ValueError("the evidence kept is damaged")
        return made


_KEPT: Final = {
    "_wealth": np.float64,
    "_scale": np.float64,
    "_noise": np.float64,
    "_row": np.int64,
    "blocks": np.int64,
    "peak": np.float64,
}
