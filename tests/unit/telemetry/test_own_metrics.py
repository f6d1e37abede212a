"""What the agent costs and when it does less, as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric

from shadow_agent.policy.governor import Cause
from shadow_agent.telemetry.own_metrics import governed, kept, own_cost
from shadow_agent.telemetry.reasons import EvidenceLost
from shadow_agent.telemetry.run import BpfCost, Cost, ProcessCost, State


def flat(families: Iterable[Metric]) -> dict[tuple[str, str], float]:
    """Values by name and second label; a name and labels twice is no valid scrape."""
    found: dict[tuple[str, str], float] = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, *[v for k, v in sample.labels.items() if k != "target"], "")[:2]
            assert key not in found
            found[key] = sample.value  # type: ignore[index]
    return found


def test_the_governor() -> None:
    """Its factor, since when, and one cause in force among all that there are."""
    found = flat(governed("web", State(factor=0.25, cause="host_cpu"), 12.5))
    assert found["shadow_agent_sample_factor", ""] == 0.25
    assert found["shadow_agent_governor_lowered_seconds_total", ""] == 12.5
    causes = {label: v for (name, label), v in found.items() if name.endswith("cause")}
    assert causes == {cause: float(cause is Cause.HOST_CPU) for cause in Cause}


def test_processes_of_one_name_are_one() -> None:
    """A fork that has no name of its own yet."""
    cost = Cost(
        1.0,
        10,
        (ProcessCost("a", 1, 1.0, 5), ProcessCost("a", 2, 2.0, 6), ProcessCost("b", 3, 0, 1)),
    )
    found = flat(own_cost("web", cost))
    assert found["shadow_agent_process_cpu_seconds_total", "a"] == 3.0
    assert found["shadow_agent_process_memory_bytes", "a"] == 11
    assert found["shadow_agent_process_memory_bytes", "b"] == 1


def test_the_tap() -> None:
    """Seconds for a packet, once measured."""
    name = "shadow_agent_bpf_per_packet_seconds"
    measured = Cost(1.0, 10, (), BpfCost(run_time_ns=1000, packets=10))
    assert flat(own_cost("web", measured))[name, ""] == 1e-7
    assert (name, "") not in flat(own_cost("web", Cost(1.0, 10)))


def test_what_is_kept() -> None:
    """Every reason from the start where it was asked for, nothing where not."""
    quiet = flat(kept("web", {}))
    assert quiet == {("shadow_agent_audit_lost_total", ""): 0}
    found = list(
        kept("web", {"written": {"stored": 5, "lost": {"disk": 2}}, "audit_lost": 1}),
    )
    (lines,) = (one.samples for one in found if one.name == "shadow_agent_written")
    by_reason = {(one.labels["state"], one.labels["reason"]): one.value for one in lines}
    assert by_reason.pop(("stored", "")) == 5
    assert by_reason == {("lost", str(one)): 2.0 * (one == "disk") for one in EvidenceLost}
    assert flat(found[-1:]) == {("shadow_agent_audit_lost_total", ""): 1}
