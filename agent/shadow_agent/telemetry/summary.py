"""What a run ends with: one JSON object for programs, and the same in words for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from shadow_agent.telemetry.ledger import Ledger, coverage, imbalances, left_over, reach
from shadow_agent.telemetry.render import render_summary
from shadow_agent.telemetry.snapshot import OTHER_DIFFERENCES, PASSED

if TYPE_CHECKING:
    from shadow_agent.telemetry.endpoints import Endpoint
    from shadow_agent.telemetry.histogram import LogHistogram
    from shadow_agent.telemetry.lines import Packets
    from shadow_agent.telemetry.run import BpfCost, Cost, Interruption, Run
    from shadow_agent.telemetry.snapshot import Snapshot

__all__ = ["percentiles", "render_summary", "statuses", "summary_json"]

_MOST_DIFFERENCES: Final = 50
_PERCENTS: Final = (50.0, 95.0, 99.0)


def summary_json(
    run: Run,
    ledger: Ledger,
    snapshot: Snapshot,
    *,
    duration_s: float,
    interruptions: Iterable[Interruption] = (),
    alerts: Sequence[str] = (),
    cost: Cost | None = None,
    cage: Mapping[str, Any] | None = None,
    governor: Mapping[str, Any] | None = None,
    load: Mapping[str, Any] | None = None,
    shadow_packets: Packets | None = None,
    budget: Mapping[str, Any] | None = None,
    untracked: int = 0,
    drained: bool = False,
    ended: str | None = None,
) -> dict[str, Any]:
    """The object that ``attach --json`` prints, ready for orjson.

    ``budget``: what was spent of it, if the run has one.
    ``untracked``: of ``packets.over_budget``, those whose flow found no slot in the kernel's table.
    ``shadow_packets``: what the tap on the shadow side saw, a line of its own.
    ``cage``: what holds the agent to its own; ``governor``: when less than configured was
    mirrored, and ``load``: what range of production's load was compared (telemetry.load).
    ``ended``: why the run is over, None while it is not.
    ``drained``: it is over, so whatever is still open counts as an imbalance.
    ``ledger`` is the complete one (``Ledger.with_kernel``), ``snapshot`` all workers' merged.
    Shares are from 0 to 1, latencies in microseconds; null means nothing to compute it from.
    Endpoints come worst first.
    """
    return {
        "version": run.version,
        "target": run.target,
        "shadow": run.shadow,
        "run_id": run.run_id,
        "builds": dict(run.builds),
        "epoch": run.epoch,
        "loader": run.loader,
        "attached": dict(run.attached),
        "isolation": dict(run.isolation),
        "unguarded": run.unguarded,
        "dry_run": run.dry_run,
        "duration_s": round(duration_s, 3),
        "ledger": ledger.as_dict(),
        "imbalances": imbalances(ledger) + (left_over(ledger) if drained else []),
        "shadow_packets": None if shadow_packets is None else shadow_packets.as_dict(),
        "coverage": coverage(ledger),
        "reach": reach(ledger, snapshot.eligible),
        "different": snapshot.different,
        "diverged": snapshot.diverged,
        "aliases": dict(snapshot.aliases),
        "latency_us": _sides(snapshot.production_first, snapshot.shadow_first),
        "last_byte_us": _sides(snapshot.production_last, snapshot.shadow_last),
        "latency_unknown": dict(snapshot.latency_unknown),
        "dispatch_lag_us": percentiles(snapshot.dispatch_lag),
        "network_rtt_us": snapshot.network_rtt_us,
        "status": statuses(snapshot.status_pairs),
        "bodies": {
            name: snapshot.body.get(name, 0) for name in ("matched", "mismatched", "unknown")
        },
        "differences": differences(snapshot.differences),
        "suppressed": differences(snapshot.suppressed),
        "outcomes": dict(snapshot.outcomes),
        "endpoints": [_endpoint(row) for row in sorted(snapshot.endpoints, key=_worst)],
        "breaker": snapshot.breakers.summary(),
        "budget": budget,
        "rules": [_rule(*rule, snapshot.rules) for rule in run.rules],
        "interruptions": [interruption.as_dict() for interruption in interruptions],
        "untracked": untracked,
        "ended": ended,
        "alerts": list(alerts),
        "governor": None if governor is None else dict(governor),
        "load": None if load is None else dict(load),
        "agent": None if cost is None else _cost(cost, ledger, cage),
    }


def percentiles(histogram: LogHistogram) -> dict[str, float | None]:
    """``{"p50", "p95", "p99"}`` in microseconds, to a tenth."""
    values = histogram.percentiles(_PERCENTS)
    return {
        f"p{percent:.0f}": None if value is None else round(value, 1)
        for percent, value in zip(_PERCENTS, values, strict=True)
    }


def differences(counted: Mapping[str, int]) -> dict[str, int]:
    """The commonest names of what differs, and ``other`` for the sum of the rest."""
    named = [(name, n) for name, n in counted.items() if name != OTHER_DIFFERENCES]
    named.sort(key=lambda item: (-item[1], item[0]))
    rest = sum(n for _, n in named[_MOST_DIFFERENCES:]) + counted.get(OTHER_DIFFERENCES, 0)
    found = dict(named[:_MOST_DIFFERENCES])
    return found | {OTHER_DIFFERENCES: rest} if rest else found


def statuses(pairs: Mapping[str, int]) -> dict[str, Any]:
    """``{"matched", "mismatched", "by_pair"}``, the commonest pair first."""
    ordered = dict(sorted(pairs.items(), key=lambda item: (-item[1], item[0])))
    matched = sum(n for pair, n in pairs.items() if _equal(pair))
    return {
        "matched": matched,
        "mismatched": sum(pairs.values()) - matched,
        "by_pair": ordered,
    }


def _equal(pair: str) -> bool:
    production, _, shadow = pair.partition("→")
    return production == shadow


def _sides(production: LogHistogram, shadow: LogHistogram) -> dict[str, dict[str, float | None]]:
    return {"production": percentiles(production), "shadow": percentiles(shadow)}


def _endpoint(row: Endpoint) -> dict[str, Any]:
    return {
        "method": row.method,
        "path": row.path,
        "pairs": row.pairs,
        "status_mismatches": row.status_mismatches,
        "body_mismatches": row.body_mismatches,
        "latency_us": _sides(row.production, row.shadow),
    }


def _rule(name: str, action: str, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    refused = dict(counts.get(name, {}))
    passed = refused.pop(PASSED, 0)
    return {
        "name": name,
        "action": action,
        "matched": passed + sum(refused.values()),
        "passed": passed,
        "refused": refused,
    }


def _worst(row: Endpoint) -> tuple[int, int, str, str]:
    return (-(row.status_mismatches + row.body_mismatches), -row.pairs, row.path, row.method)


def _cost(cost: Cost, ledger: Ledger, cage: Mapping[str, Any] | None) -> dict[str, Any]:
    compared = ledger.pairs.compared
    return {
        "cpu_s": round(cost.cpu_s, 3),
        "max_rss_bytes": cost.max_rss_bytes,
        "cpu_us_per_compared": round(cost.cpu_s * 1e6 / compared, 1) if compared else None,
        "processes": [process.as_dict() for process in cost.processes],
        "bpf": None if cost.bpf is None else _bpf(cost.bpf, ledger.packets.seen),
        "budget": None if cage is None else dict(cage),
    }


def _bpf(cost: BpfCost, seen: int) -> dict[str, Any]:
    each = cost.ns_per_packet
    return {
        "ns_per_packet": None if each is None else round(each, 1),
        "measured_packets": cost.packets,
        # of all packets, were they like those that were measured; production and its clients pay it
        "cpu_s_estimate": None if each is None else round(each * seen / 1e9, 3),
    }
