"""Decisions: what is go, no-go, neither, or no measurement at all."""

import json
from typing import Any

import numpy as np
import pytest

from shadow_agent.errors import ExitCode
from shadow_agent.verdict.decision import Facts, Finding, State, Verdict, standing
from shadow_agent.verdict.decision import decide as decided
from shadow_agent.verdict.gates import Gates
from shadow_agent.verdict.judge import Judge
from tests.unit.verdict.rows import pairs

N = 600


def _judged(blocks: int = 60, gates: Gates | None = None, *, baseline: bool = False,
            **columns: Any) -> Judge:  # fmt: skip
    """Blocks that are alike but for noise; a column may be a function of the generator."""
    rng = np.random.default_rng(2)
    judge = Judge(gates or Gates(), baseline=baseline)
    for _ in range(blocks):
        shared = rng.lognormal(9, 0.5, N)
        drawn = {name: value(rng) if callable(value) else value for name, value in columns.items()}
        judge.block(pairs(N, **{
            "production_first_us": shared * rng.lognormal(0, 0.1, N),
            "shadow_first_us": shared * rng.lognormal(0, 0.1, N),
            **drawn,
        }))  # fmt: skip
    return judge


def decide(judge: Judge, facts: Facts | None = None) -> Verdict:
    """The page, and in every test the short form says the same."""
    made = decided(judge, facts)
    assert standing(judge, facts) is made.state
    return made


def _of(verdict: Verdict, name: str) -> Finding:
    return next(one.finding for one in verdict.segments if one.segment == name)


def _bad(share: float, bad: Any, good: Any) -> Any:
    return lambda rng: np.where(rng.random(N) < share, bad, good)


def test_alike_is_go() -> None:
    """Every limit is proven to be kept; exit 0."""
    verdict = decide(_judged())
    assert (verdict.state, verdict.exit_code) == (State.GO, ExitCode.DONE)
    assert not verdict.reasons


def test_at_first_inconclusive() -> None:
    """Nothing, or nearly nothing, proves nothing; exit 20."""
    for blocks in (0, 2):
        verdict = decide(_judged(blocks))
        assert (verdict.state, verdict.exit_code) == (State.INCONCLUSIVE, ExitCode.INCONCLUSIVE)
        assert verdict.reasons


def test_one_bad_endpoint_is_no_go() -> None:
    """A tenth of the traffic, and it stands first with the gate that it broke; exit 10."""
    rng = np.random.default_rng(4)
    bad = rng.random(N) < 0.1
    verdict = decide(_judged(
        endpoint=np.where(bad, "GET /bad", "GET /good"),
        shadow_status=lambda rng: np.where(bad & (rng.random(N) < 0.1), 500, 200),
    ))  # fmt: skip
    assert (verdict.state, verdict.exit_code) == (State.NO_GO, ExitCode.NO_GO)
    assert verdict.segments[0].segment == "endpoint GET /bad"
    assert verdict.segments[0].gates[0].gate == "error_rate"
    assert _of(verdict, "endpoint GET /good") is not Finding.WORSE


def test_hanging_is_no_go() -> None:
    """2 % time out: worse, with full coverage, not less of it."""
    verdict = decide(_judged(outcome=_bad(0.02, "timeout_first_byte", "answered")))
    assert verdict.state is State.NO_GO
    assert verdict.coverage == 1
    assert "throughput" in verdict.reasons[0]


def test_shed_is_no_go_and_low_coverage() -> None:
    """What the shadow was too slow for is bad in the completion gate."""
    verdict = decide(_judged(fate=_bad(0.05, "shed.age", "compared")))
    assert verdict.state is State.NO_GO
    assert verdict.coverage is not None
    assert verdict.coverage < 0.96


def test_low_coverage_withholds_go() -> None:
    """Pairs that the agent lost, or requests that never were rows: no go, and it is said why."""
    lost = decide(_judged(fate=_bad(0.03, "failed.internal", "compared")))
    unseen = decide(_judged(), Facts(lost_heads=2000))
    for verdict in (lost, unseen):
        assert verdict.state is State.INCONCLUSIVE
        assert verdict.reasons[0].startswith("coverage 0.9")


def test_low_coverage_withholds_no_no_go() -> None:
    """What is worse is worse, whatever else was lost."""
    verdict = decide(_judged(fate=_bad(0.03, "failed.internal", "compared"), shadow_status=500))
    assert verdict.state is State.NO_GO


def test_low_reach_withholds_go() -> None:
    """Most requests were not let through to the shadow."""
    columns = {"fate": _bad(0.6, "refused.method", "compared")}
    assert decide(_judged(90, Gates(min_reach=0.5), **columns)).state is State.INCONCLUSIVE
    assert decide(_judged(90, **columns)).state is State.GO


def test_health_checks_are_outside() -> None:
    """They fail, and it is neither go nor no-go because of it."""
    probes = np.arange(N) % 20 == 0
    verdict = decide(_judged(90, health=probes, shadow_status=np.where(probes, 500, 200)))
    assert verdict.state is State.GO
    assert _of(verdict, "health") is Finding.OUTSIDE


@pytest.mark.parametrize(("waive", "state"), [
    (frozenset(), State.INCONCLUSIVE), (frozenset({"endpoint GET /rare"}), State.GO),
])  # fmt: skip
def test_a_segment_with_too_few_pairs(waive: frozenset[str], state: State) -> None:
    """Undecided, which blocks go unless it is waived by name."""
    rare = np.where(np.arange(N) < 2, "GET /rare", "GET /")
    verdict = decide(_judged(gates=Gates(waive=waive), endpoint=rare))
    assert verdict.state is state


def test_a_waived_segment_can_be_no_go() -> None:
    """Waived is only that it need not be proven."""
    gates = Gates(waive=frozenset({"all", "endpoint GET /"}))
    assert decide(_judged(gates=gates, shadow_status=500)).state is State.NO_GO


def test_drift_is_invalid() -> None:
    """The old build beside production disagrees with it: the harness; exit 30, whatever else."""
    verdict = decide(_judged(
        baseline=True, baseline_outcome="answered", baseline_status=200,
        baseline_body_differs=_bad(0.2, True, False), shadow_status=500,
        baseline_first=_bad(0.5, True, False),
    ))  # fmt: skip
    assert (verdict.state, verdict.exit_code) == (State.INVALID, ExitCode.INVALID)
    assert "drift" in verdict.reasons[0] or "disagrees" in verdict.reasons[0]


def test_one_sided_loss_is_invalid() -> None:
    """Pairs that went to the baseline first are missing."""
    verdict = decide(_judged(
        baseline=True, baseline_outcome="answered", baseline_status=200, baseline_first_us=9e3,
        baseline_first=_bad(0.45, True, False),
    ))  # fmt: skip
    assert verdict.state is State.INVALID


def test_payload_without_a_request_is_invalid() -> None:
    """Nothing was parsed: that is no all-green."""
    assert decide(_judged(0), Facts(payload_without_request=True)).state is State.INVALID


def test_latency_without_a_baseline() -> None:
    """30 % slower on other hardware is no finding, three times as slow is; it is said."""
    slower: dict[str, Any] = {"production_first_us": 1000.0}
    verdict = decide(_judged(shadow_first_us=1300.0, **slower))
    assert verdict.state is State.GO
    assert "gross" in verdict.notes[0]
    assert decide(_judged(shadow_first_us=3000.0, **slower)).state is State.NO_GO
    assert decide(_judged(gates=Gates(ratio=1.0), shadow_first_us=1300.0, **slower)).state \
        is State.NO_GO  # fmt: skip


def test_trying_again_gains_nothing() -> None:
    """A second run of the same build goes on where the first one stopped."""
    first = _judged(shadow_status=_bad(0.02, 500, 200))
    assert decide(first).state is State.NO_GO
    again = Judge(Gates())
    assert again.resume(json.loads(json.dumps(first.state())))
    for _ in range(60):
        again.block(pairs(N))
    assert decide(again).state is State.NO_GO


def test_as_json() -> None:
    """Every number is one, or null; n, estimate, interval, evidence and coverage are there."""
    told = json.loads(json.dumps(decide(_judged(3)).as_dict(), allow_nan=False))
    gate = told["segments"][0]["gates"][0]
    assert {"n", "estimate", "low", "high", "evidence", "evidence_fine"} <= set(gate)
    assert {"coverage", "reach", "pairs", "heads"} <= set(told["segments"][0])
