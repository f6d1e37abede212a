"""Gates: the limits that a shadow build must keep, as values; `config.gates` reads the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What is counted as bad of a request."""

    # later than a quantile of the reference's earlier blocks
    QUANTILE = "quantile"
    # slower than the same request at the reference: the sign of their ratio
    PAIRED = "paired"
    # a 5xx, or no whole answer
    ERRORS = "errors"
    # status, headers or body other than production's
    MISMATCHES = "mismatches"
    # no whole answer, or shed because the shadow was too slow
    COMPLETION = "completion"


LATENCY: Final = frozenset({Kind.QUANTILE, Kind.PAIRED})


@dataclass(frozen=True, slots=True)
class Gate:
    """One limit. What is worse than it is no-go, what is proven not to be is go."""

    name: str
    kind: Kind
    # Latency: the reference times 1 + margin. Else: the share of bad requests more than the
    # reference's, or, absolute, at all.
    margin: float
    quantile: float = 0.0
    # A latency in µs that the quantile must not pass, whatever the reference does.
    limit_us: float | None = None
    absolute: bool = False

    @property
    def allowed(self) -> float:
        """The share of requests that may be bad beyond the reference's."""
        if self.kind is Kind.QUANTILE and self.limit_us is not None:
            return 1.0 - self.quantile
        return 0.0 if self.kind in LATENCY else self.margin


def quantile(name: str, share: float, margin: float) -> Gate:
    """A quantile of latency, relative to the reference."""
    return Gate(name, Kind.QUANTILE, margin, quantile=share)


# What a gate is called in the file without its max_ or min_.
DEFAULTS: Final = (
    Gate("typical", Kind.PAIRED, 0.10),
    quantile("p50", 0.50, 0.10),
    quantile("p95", 0.95, 0.10),
    quantile("p99", 0.99, 0.20),
    Gate("error_rate", Kind.ERRORS, 0.001),
    Gate("mismatch_rate", Kind.MISMATCHES, 0.001),
    Gate("throughput", Kind.COMPLETION, 0.005),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """All gates of a run, and what a verdict needs besides."""

    gates: tuple[Gate, ...] = DEFAULTS
    # The chance of a no-go for a build that keeps every limit, over the whole run; and of a go
    # for one that does not.
    alpha: float = 0.05
    min_coverage: float = 0.99
    min_reach: float = 0.0
    # A segment with fewer pairs has too little traffic to judge.
    min_pairs: int = 200
    # Segments that need not be proven, by name: "endpoint GET /old".
    waive: frozenset[str] = field(default_factory=frozenset)
    # The seconds of a block: at least as long as most bursts of one side.
    block_s: float = 5.0
    # How many times slower the shadow's place is by itself; None: nobody knows.
    ratio: float | None = None
    # Without a baseline and a ratio latency is a gate for gross regressions only.
    gross: float = 1.0
    # The baseline disagrees with production in a larger share of requests: drift.
    max_drift: float = 0.05

    def judged(self, *, baseline: bool) -> tuple[Gate, ...]:
        """The gates as they are tested, with and without a baseline."""
        if baseline or self.ratio is not None:
            return self.gates
        made = []
        for gate in self.gates:
            relative = gate.kind in LATENCY and gate.limit_us is None
            margin = max(gate.margin, self.gross) if relative else gate.margin
            made.append(Gate(gate.name, gate.kind, margin, gate.quantile, gate.limit_us,
                             gate.absolute))  # fmt: skip
        return tuple(made)
