"""Block: what came within some seconds, as a sum for each segment and gate."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shadow_agent.verdict.gates import Gate, Kind
from shadow_agent.verdict.pairs import Bools, Pairs, Read, read
from shadow_agent.verdict.quantiles import Quantiles, bin_of
from shadow_agent.verdict.segments import Entries, Segments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRIFT: Final = "drift"


class Block(NamedTuple):
    """Gates × segments. The last row is the baseline's drift, where there is a baseline."""

    neither: Ints
    candidate: Ints  # bad at the candidate alone
    reference: Ints
    both: Ints
    heads: Ints  # per segment: requests, and those of them ...
    pairs: Ints  # ... that count in a gate
    compared: Ints  # ... compared, also what counts in none
    lost: Ints  # ... meant to be compared and not
    first: tuple[int, int]  # pairs that the baseline, or the candidate, got first

    @property
    def seen(self) -> Ints:
        """Requests that each gate looked at."""
        return self.neither + self.candidate + self.reference + self.both


class Folder:
    """Pairs of one block after the other → sums. It remembers latencies of earlier blocks only."""

    def __init__(self, gates: tuple[Gate, ...], *, baseline: bool, ratio: float | None) -> None:
        self.gates = gates
        self.segments = Segments()
        self.reference = Quantiles()  # of earlier blocks: what later than a quantile means
        self.candidate = Quantiles()  # to show
        self._baseline = baseline
        self._ratio = 1.0 if baseline or ratio is None else ratio
        self._shares = tuple(
            sorted({gate.quantile for gate in gates if gate.kind is Kind.QUANTILE})
        )

    @property
    def streams(self) -> int:
        """How many sums a segment has."""
        return len(self.gates) + self._baseline

    def fold(self, pairs: Pairs) -> Block:
        """One block."""
        rows = read(pairs)
        entries = self.segments.entries(pairs, rows.health, np.arange(len(rows.ts)))
        size = len(self.segments)
        self.reference.grow(size)
        self.candidate.grow(size)
        with np.errstate(invalid="ignore"):
            made = self._count(rows, entries, size)
        self._remember(rows, entries)
        return made

    def _count(self, rows: Read, entries: Entries, size: int) -> Block:
        row, segment = entries
        counted = rows.paired if self._baseline else rows.compared & ~rows.repeat
        later = self.reference.each(self._shares)  # by share and segment: what counts as late
        each = np.zeros((self.streams, size, 4), np.int64)
        wide = counted | rows.slow
        picks = {mask: (row[use], segment[use])
                 for mask, use in (("counted", counted[row]), ("wide", wide[row]))}  # fmt: skip
        for number, gate in enumerate(self.gates):
            at, where = picks["wide" if gate.kind is Kind.COMPLETION else "counted"]
            candidate, reference, valid = self._bad(gate, rows, at, where, later)
            code = where * 4 + candidate + 2 * reference
            code = code if valid is None else code[valid]
            each[number] = np.bincount(code, minlength=size * 4).reshape(-1, 4)
        if self._baseline:
            at, where = picks["counted"]
            code = where * 4 + rows.baseline_differs[at]
            each[-1] = np.bincount(code, minlength=size * 4).reshape(-1, 4)
        order = rows.baseline_first[rows.paired]
        sums = [np.bincount(segment, weights=mask[row], minlength=size).astype(np.int64)
                for mask in (counted, rows.covered, rows.lost)]  # fmt: skip
        heads = np.bincount(segment, minlength=size)
        zero, one, two, three = np.moveaxis(each, 2, 0)
        return Block(zero, one, two, three, heads, sums[0], sums[1], sums[2],
                     (int(order.sum()), int((~order).sum())))  # fmt: skip

    def _bad(
        self, gate: Gate, rows: Read, at: Ints, where: Ints, later: Floats
    ) -> tuple[Bools, Bools, Bools | None]:
        """Of these entries: bad at the candidate, bad at the reference, known at all."""
        nothing = np.zeros(len(at), np.bool_)
        if gate.kind is Kind.ERRORS:
            error = rows.baseline_error if self._baseline else rows.production_error
            return rows.candidate_error[at], nothing if gate.absolute else error[at], None
        if gate.kind is Kind.MISMATCHES:
            differs = rows.baseline_differs[at] if self._baseline else nothing
            return rows.candidate_differs[at], nothing if gate.absolute else differs, None
        if gate.kind is Kind.COMPLETION:
            broken = rows.baseline_broken[at] if self._baseline else nothing
            return rows.candidate_broken[at] | rows.slow[at], broken, None
        candidate = rows.candidate_us[at]
        if gate.limit_us is not None:
            return candidate > gate.limit_us, nothing, ~np.isnan(candidate)
        reference = (rows.baseline_us if self._baseline else rows.production_us)[at]
        candidate = candidate / ((1.0 + gate.margin) * self._ratio)
        known = ~(np.isnan(candidate) | np.isnan(reference))
        if gate.kind is Kind.PAIRED:
            return candidate > reference, candidate < reference, known
        late = later[self._shares.index(gate.quantile)][where]
        return candidate > late, reference > late, known & ~np.isnan(late)

    def _remember(self, rows: Read, entries: Entries) -> None:
        """For the blocks to come."""
        latency = rows.baseline_us if self._baseline else rows.production_us
        for kept, us in ((self.reference, latency), (self.candidate, rows.candidate_us)):
            known = rows.compared & ~np.isnan(us) & ~rows.repeat
            bins = bin_of(np.where(known, us, 1.0))[entries.row]
            use = slice(None) if known.all() else known[entries.row]
            kept.add(entries.segment[use], bins[use])
            kept.fade()

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {"segments": self.segments.state(), "reference": self.reference.state(),
                "candidate": self.candidate.state()}  # fmt: skip

    def resume(self, state: dict[str, Any]) -> None:
        """As it was."""
        self.segments = Segments.resume(state["segments"])
        self.reference = Quantiles.resume(state["reference"])
        self.candidate = Quantiles.resume(state["candidate"])
