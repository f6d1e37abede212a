"""Gates: what is tested of them with and without something to compare latency with."""

from shadow_agent.verdict.gates import Gates, Kind, quantile


def _margins(gates: Gates, *, baseline: bool) -> dict[str, float]:
    return {gate.name: gate.margin for gate in gates.judged(baseline=baseline)}


def test_gross_regressions_only() -> None:
    """Production runs elsewhere: twice as slow is a finding, 10 % more is not."""
    alone, beside = (_margins(Gates(), baseline=one) for one in (False, True))
    assert (alone["p95"], beside["p95"]) == (1.0, 0.10)
    assert alone["error_rate"] == beside["error_rate"]


def test_a_declared_ratio_makes_latency_a_gate() -> None:
    """Whoever says how the two places compare is taken at their word."""
    assert _margins(Gates(ratio=1.3), baseline=False)["p95"] == 0.10


def test_a_limit_in_time_needs_no_reference() -> None:
    """It is the shadow's own."""
    gate = quantile("p99 limit", 0.99, 0.0)
    limited = gate.__class__(gate.name, Kind.QUANTILE, 0.0, 0.99, limit_us=1e5)
    assert Gates(gates=(limited,)).judged(baseline=False) == (limited,)
