"""Judge: rows in the order in which they were written → blocks → evidence, kept across restarts.

A verdict is a fold over rows: live and from records it is this code, and the same to the bit,
wherever a batch ends.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from shadow_agent.verdict.blocks import Block, Folder
from shadow_agent.verdict.evidence import Evidence
from shadow_agent.verdict.gates import Gates, Kind
from shadow_agent.verdict.pairs import Names, Pairs, select
from shadow_agent.verdict.tally import Tally

# How long a block waits for rows that come late: a request is a row once it has ended. What comes
# later still counts in the oldest block that is open.
GRACE_S: Final = 10.0
# What is skewed keeps its mean on a wide scale: the go of a gate that allows some bad requests.
WIDE: Final = 3.0
VERSION: Final = 1


class Judge:
    """All evidence of one epoch."""

    def __init__(self, gates: Gates, *, baseline: bool = False, epoch: str = "") -> None:
        self.gates = gates
        self.baseline = baseline
        self.epoch = epoch
        self.judged = gates.judged(baseline=baseline)
        self.folder = Folder(self.judged, baseline=baseline, ratio=gates.ratio)
        self.worse = Evidence()  # streams: segment by segment, gate by gate
        self.fine = Evidence()
        self.tally = Tally(self.folder.streams)
        self.blocks = 0
        self._allowed = np.array([*(gate.allowed for gate in self.judged),
                                  *([gates.max_drift] if baseline else [])])  # fmt: skip
        wide = np.where(self._allowed > 0, WIDE, 1.0)
        for number, gate in enumerate(self.judged):
            if gate.kind is Kind.PAIRED:
                wide[number] = 1.0
        self._wide = wide
        self._latest = -(2**62)  # the latest time of any row
        self._open: list[Pairs] = []
        self._numbers: list[Any] = []  # block numbers of the open rows

    def add(self, pairs: Pairs) -> None:
        """Some more rows."""
        ts = np.asarray(pairs["ts"], np.int64)
        if not len(ts):
            return
        block_ns = round(self.gates.block_s * 1e9)
        latest = np.maximum(np.maximum.accumulate(ts), self._latest)
        oldest_open = (latest - round(GRACE_S * 1e9)) // block_ns
        self._latest = int(latest[-1])
        self._open.append(pairs)
        self._numbers.append(np.maximum(ts // block_ns, oldest_open))
        self._close(int(oldest_open[-1]))

    def finish(self) -> None:
        """No more rows: what is open is closed."""
        self._close(2**62)

    def _close(self, below: int) -> None:
        """Fold every open block with a number below that."""
        if not any((numbers < below).any() for numbers in self._numbers):
            return
        due = sorted({int(one) for numbers in self._numbers
                      for one in np.unique(numbers[numbers < below])})  # fmt: skip
        for number in due:
            parts = [
                select(pairs, numbers == number)
                for pairs, numbers in zip(self._open, self._numbers, strict=True)
                if (numbers == number).any()
            ]
            self.block(joined(parts))
        kept = [(select(pairs, numbers >= below), numbers[numbers >= below])
                for pairs, numbers in zip(self._open, self._numbers, strict=True)
                if (numbers >= below).any()]  # fmt: skip
        self._open = [pairs for pairs, _ in kept]
        self._numbers = [numbers for _, numbers in kept]

    def block(self, pairs: Pairs) -> Block:
        """One whole block."""
        made = self.folder.fold(pairs)
        size = made.heads.shape[0]
        more = size * self.folder.streams - len(self.worse)
        self.worse.grow(np.ones(more))
        self.fine.grow(np.tile(self._wide, more // self.folder.streams))
        seen = made.seen
        sums = (made.candidate - made.reference) - self._allowed[:, None] * seen
        noise = (made.candidate + made.reference).astype(np.float64)
        flat = sums.T.ravel(), noise.T.ravel(), (seen > 0).T.ravel()
        self.worse.update(*flat)
        self.fine.update(-flat[0], *flat[1:])
        self.tally.add(made)
        self.blocks += 1
        return made

    def state(self) -> dict[str, Any]:
        """Everything that was closed; what is still open is not in it (`finish` first)."""
        return {
            "version": VERSION,
            "epoch": self.epoch,
            "gates": repr((self.judged, self.baseline, self.gates.block_s, self.gates.ratio)),
            "folder": self.folder.state(),
            "worse": self.worse.state(),
            "fine": self.fine.state(),
            "tally": self.tally.state(),
            "blocks": self.blocks,
            "latest": self._latest,
        }

    def resume(self, state: dict[str, Any]) -> bool:
        """Go on from there; False, and a new start, when builds or gates are others.

        The evidence of earlier runs counts, so that trying again until it says go gains nothing.
        KeyError, TypeError or ValueError when that is no state.
        """
        mine = self.state()
        if any(state[key] != mine[key] for key in ("version", "epoch", "gates")):
            return False
        self.folder.resume(state["folder"])
        self.worse = Evidence.resume(state["worse"])
        self.fine = Evidence.resume(state["fine"])
        self.tally = Tally.resume(state["tally"])
        self.blocks, self._latest = int(state["blocks"]), int(state["latest"])
        return True


def joined(parts: list[Pairs]) -> Pairs:
    """Batches behind one another; names are numbered anew."""
    if len(parts) == 1:
        return parts[0]
    made: dict[str, Any] = {}
    for name, first in parts[0].items():
        if not isinstance(first, Names):
            made[name] = np.concatenate([np.asarray(part[name]) for part in parts])
            continue
        numbers: dict[str, int] = {}
        pieces = []
        for part in parts:
            column = part[name]
            if not isinstance(column, Names):
                raise TypeError(f"{name}: names in one batch and not in another")
            known = [numbers.setdefault(one, len(numbers)) for one in column.names]
            pieces.append(np.array(known or [0], np.int64)[column.numbers])
        made[name] = Names(np.concatenate(pieces), tuple(numbers))
    return made
