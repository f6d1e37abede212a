"""Metrics of the agent itself: what it costs, when it does less, and what it could not keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from shadow_agent.policy.governor import Cause
from shadow_agent.telemetry.families import PREFIX, counter, gauge
from shadow_agent.telemetry.reasons import EvidenceLost
from shadow_agent.telemetry.run import Cost, State

__all__ = ["governed", "kept", "own_cost"]


def governed(target: str, state: State, lowered_s: float) -> Iterator[Metric]:
    """The governor: every cause is there from the start, the one in force with 1."""
    yield gauge(
        "sample_factor",
        "The governor's share of the configured sample; 1 when nothing is wrong.",
        target,
        state.factor,
    )
    yield counter(
        "governor_lowered_seconds",
        "Time in which less than the configured sample was mirrored.",
        target,
        lowered_s,
    )
    causes = GaugeMetricFamily(
        f"{PREFIX}governor_cause",
        "1 for why the sample factor is what it is.",
        labels=("target", "cause"),
    )
    for cause in Cause:
        causes.add_metric((target, str(cause)), float(cause == state.cause))
    yield causes


def kept(target: str, found: Mapping[str, Any]) -> Iterator[Metric]:
    """What is on disk, by the summary's names; nothing of what nobody asked for."""
    for name in ("evidence", "written"):
        counts = found.get(name)
        if counts is None:
            continue
        family = CounterMetricFamily(
            f"{PREFIX}{name}",
            "Pairs stored as evidence, or lost." if name == "evidence" else "Exchanges of --write.",
            labels=("target", "state", "reason"),
        )
        family.add_metric((target, "stored", ""), counts["stored"])
        for reason in EvidenceLost:
            family.add_metric((target, "lost", str(reason)), counts["lost"].get(reason, 0))
        yield family
    lost = "Entries that the audit log could not take."
    yield counter("audit_lost", lost, target, found.get("audit_lost", 0))


def own_cost(target: str, cost: Cost) -> Iterator[Metric]:
    """Processor time and memory, in all and by process, and the tap's time per packet."""
    yield counter("cpu_seconds", "CPU time of the whole agent.", target, cost.cpu_s)
    yield gauge(
        "max_resident_memory_bytes",
        "Resident memory of the whole agent.",
        target,
        cost.max_rss_bytes,
    )
    cpu = CounterMetricFamily(
        f"{PREFIX}process_cpu_seconds",
        "CPU time of each living process of the agent.",
        labels=("target", "process"),
    )
    memory = GaugeMetricFamily(
        f"{PREFIX}process_memory_bytes",
        "Proportional share of memory of each living process of the agent.",
        labels=("target", "process"),
    )
    # By name, once each, or no scrape is valid: a fork has its parent's until it takes its own.
    for name in sorted({process.name for process in cost.processes}):
        those = [process for process in cost.processes if process.name == name]
        cpu.add_metric((target, name), sum(one.cpu_s for one in those))
        memory.add_metric((target, name), sum(one.memory_bytes for one in those))
    yield cpu
    yield memory
    each = None if cost.bpf is None else cost.bpf.ns_per_packet
    yield gauge(
        "bpf_per_packet_seconds",
        "Time of the tap for each packet, one in 61 is timed; who sends or receives pays.",
        target,
        None if each is None else each / 1e9,
    )
