"""Verdict: what the evidence of all segments and gates comes to, and why."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from shadow_agent.errors import ExitCode
from shadow_agent.verdict.gates import LATENCY
from shadow_agent.verdict.judge import Judge
from shadow_agent.verdict.lost import one_sided
from shadow_agent.verdict.segments import ALL, HEALTH


class State(StrEnum):
    """Of a whole run."""

    GO = "go"
    NO_GO = "no-go"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"


EXIT: Final = {
    State.GO: ExitCode.DONE,
    State.NO_GO: ExitCode.NO_GO,
    State.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    State.INVALID: ExitCode.INVALID,
}


class Finding(StrEnum):
    """Of one segment or gate."""

    WORSE = "worse"  # than its limit: the run is no-go
    FINE = "fine"  # proven to keep its limit
    UNDECIDED = "undecided"
    TOO_FEW = "too_few"  # pairs to judge it
    WAIVED = "waived"  # undecided, and by name it need not be
    OUTSIDE = "outside"  # health checks: no gate looks at them


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ledger knows and no row does."""

    # requests that never became a row: gap, oversize, evicted, lost; charged to every segment
    lost_heads: int = 0
    # payload was seen, and not one request in it
    payload_without_request: bool = False


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate in one segment. Shares are of requests, beyond the limit's margin."""

    gate: str
    finding: Finding
    n: int
    estimate: float | None  # share bad at the candidate beyond the reference's
    low: float | None
    high: float | None
    allowed: float  # that share
    evidence: float  # that it is worse than its limit; no-go from `no_go_at` on
    no_go_at: float
    evidence_fine: float  # that it is not; go from `go_at` on
    go_at: float
    reference_us: float | None = None  # the latest of this quantile
    candidate_us: float | None = None


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """One segment, its gates with the worst first."""

    segment: str
    finding: Finding
    heads: int
    pairs: int
    coverage: float | None
    reach: float | None
    gates: tuple[GateResult, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, and every segment with the worst first."""

    state: State
    reasons: tuple[str, ...]
    epoch: str
    blocks: int
    alpha: float
    baseline: bool
    coverage: float | None
    reach: float | None
    segments: tuple[SegmentResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """As a command ends."""
        return EXIT[self.state]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def decide(judge: Judge, facts: Facts | None = None) -> Verdict:
    """From all blocks so far. It may be asked at any time, as often as one likes."""
    facts = facts or Facts()
    segments = _segments(judge, facts)
    gates = judge.gates
    whole = next((one for one in segments if one.segment == ALL), None)
    coverage, reach = (whole.coverage, whole.reach) if whole else (None, None)
    made = [one for one in segments if one.finding is not Finding.OUTSIDE]
    worse = [one for one in made if one.finding is Finding.WORSE]
    open_ = [one for one in made if one.finding in {Finding.UNDECIDED, Finding.TOO_FEW}]
    notes = []
    if not judge.baseline and gates.ratio is None:
        notes.append("latency is judged for gross regressions only: no baseline, no ratio declared")
    reasons: list[str]
    if broken := _harness(judge, facts):
        state, reasons = State.INVALID, broken
    elif worse:
        state, reasons = State.NO_GO, [_named(one) for one in worse]
    else:
        reasons = [f"{one.segment}: {_why_open(one)}" for one in open_]
        if not whole or not whole.pairs:
            reasons = ["no pairs yet"]
        for name, value, least in (
            ("coverage", coverage, gates.min_coverage),
            ("reach", reach, gates.min_reach),
        ):
            if value is not None and value < least:
                reasons.insert(0, f"{name} {value:.4f} is below {least:g}")
        state = State.INCONCLUSIVE if reasons else State.GO
    return Verdict(
        state, tuple(reasons), judge.epoch, judge.blocks, gates.alpha, judge.baseline,
        coverage, reach, tuple(segments), tuple(notes),
    )  # fmt: skip


def standing(judge: Judge, facts: Facts | None = None) -> State:
    """The state that `decide` comes to, without the page: a millisecond, for every second."""
    facts, gates, folder = facts or Facts(), judge.gates, judge.folder
    if _harness(judge, facts):
        return State.INVALID
    names = folder.segments.names
    judged = np.array([name != HEALTH for name in names], bool)
    if not judged.any():
        return State.INCONCLUSIVE
    at = slice(0, len(judge.judged))
    worse = judge.worse.peak.reshape(-1, folder.streams)[:, at]
    fine = judge.fine.peak.reshape(-1, folder.streams)[:, at]
    needed = len(judge.judged) / (gates.alpha * np.array(folder.segments.shares))
    if (worse >= needed[:, None])[judged].any():
        return State.NO_GO
    waived = np.array([name in gates.waive for name in names], bool)
    proven = (fine >= 1 / gates.alpha).all(axis=1) | waived | ~judged
    heads, pairs, compared, lost = judge.tally.coverage[:, names.index(ALL)]
    meant, seen = compared + lost + facts.lost_heads, heads + facts.lost_heads
    covered = not meant or compared / meant >= gates.min_coverage
    reached = not seen or pairs / seen >= gates.min_reach
    return State.GO if pairs and proven.all() and covered and reached else State.INCONCLUSIVE


def _harness(judge: Judge, facts: Facts) -> list[str]:
    """Why the measurement, not the build, is at fault."""
    found = []
    if facts.payload_without_request:
        found.append("payload was seen and no request in it: is this HTTP?")
    if judge.baseline and len(judge.folder.segments):
        peak = judge.worse.peak.reshape(-1, judge.folder.streams)[:, -1]
        needed = 1.0 / (judge.gates.alpha * np.array(judge.folder.segments.shares))
        found += [
            f"{judge.folder.segments.names[number]}: the baseline disagrees with production"
            " (fix: start both from the same state)"
            for number in np.flatnonzero(peak >= needed)
        ]
    if one_sided(*judge.tally.first) >= 1.0 / judge.gates.alpha:
        found.append("pairs got lost that went to one build first rather than to the other")
    return found


def _segments(judge: Judge, facts: Facts) -> list[SegmentResult]:
    gates, streams = judge.gates, judge.folder.streams
    worse = judge.worse.peak.reshape(-1, streams)
    fine = judge.fine.peak.reshape(-1, streams)
    excess, spread = judge.tally.excess(), judge.tally.spread(gates.alpha)
    shares = tuple(gate.quantile or 0.5 for gate in judge.judged)
    latencies = [side.each(shares) for side in (judge.folder.reference, judge.folder.candidate)]
    heads, pairs, compared, lost = judge.tally.coverage
    go_at = 1.0 / gates.alpha
    made = []
    for number, name in enumerate(judge.folder.segments.names):
        no_go_at = len(judge.judged) / (gates.alpha * judge.folder.segments.shares[number])
        results = []
        for at, gate in enumerate(judge.judged):
            finding = Finding.UNDECIDED
            if worse[number, at] >= no_go_at:
                finding = Finding.WORSE
            elif fine[number, at] >= go_at:
                finding = Finding.FINE
            rate, half = excess[at, number], spread[at, number]
            us = [float(side[at, number]) if gate.kind in LATENCY else math.nan
                  for side in latencies]  # fmt: skip
            results.append(GateResult(
                gate.name, finding, int(judge.tally.each[0, at, number]), _known(rate),
                _known(rate - half), _known(rate + half), gate.allowed,
                float(worse[number, at]), no_go_at, float(fine[number, at]), go_at,
                _known(us[0]), _known(us[1]),
            ))  # fmt: skip
        results.sort(key=_worst_gate)
        meant = compared[number] + lost[number] + facts.lost_heads
        seen = heads[number] + facts.lost_heads
        made.append(SegmentResult(
            name, _finding(name, results, int(pairs[number]), judge), int(heads[number]),
            int(pairs[number]), _known(compared[number] / meant if meant else math.nan),
            _known(pairs[number] / seen if seen else math.nan),
            () if name == HEALTH else tuple(results),
        ))  # fmt: skip
    return sorted(made, key=_worst_segment)


def _finding(name: str, results: list[GateResult], pairs: int, judge: Judge) -> Finding:
    if name == HEALTH:
        return Finding.OUTSIDE
    if any(one.finding is Finding.WORSE for one in results):
        return Finding.WORSE
    if all(one.finding is Finding.FINE for one in results):
        return Finding.FINE
    if name in judge.gates.waive:
        return Finding.WAIVED
    return Finding.TOO_FEW if pairs < judge.gates.min_pairs else Finding.UNDECIDED


def _worst_gate(one: GateResult) -> tuple[int, float, float]:
    return (_ORDER[one.finding], -one.evidence / one.no_go_at, one.evidence_fine)


def _worst_segment(one: SegmentResult) -> tuple[int, float, int]:
    """Those that are worse by how much they surely are, the rest by how near they are to it."""
    if one.finding is Finding.WORSE:
        size = max((gate.low or 0.0) - gate.allowed for gate in one.gates
                   if gate.finding is Finding.WORSE)  # fmt: skip
    else:
        size = max((gate.evidence / gate.no_go_at for gate in one.gates), default=0.0)
    return (_ORDER[one.finding], -size, -one.pairs)


_ORDER: Final = {finding: number for number, finding in enumerate(
    (Finding.WORSE, Finding.UNDECIDED, Finding.TOO_FEW, Finding.WAIVED, Finding.FINE,
     Finding.OUTSIDE))}  # fmt: skip


def _named(one: SegmentResult) -> str:
    worst = [gate.gate for gate in one.gates if gate.finding is Finding.WORSE]
    return f"{one.segment}: worse than {', '.join(worst)} allows"


def _why_open(one: SegmentResult) -> str:
    if one.finding is Finding.TOO_FEW:
        return f"too few pairs ({one.pairs})"
    left = [gate.gate for gate in one.gates if gate.finding is not Finding.FINE]
    return f"not proven yet: {', '.join(left)}"


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
