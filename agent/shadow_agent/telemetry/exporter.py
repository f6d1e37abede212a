"""Prometheus metrics: the ledger as counters that balance there too, and both sides' latency.

For each line of the ledger, ``shadow_agent_<line>_<left>_total`` is what came in and
``shadow_agent_<line>_total{state, reason}`` what became of it; what may go down again (open,
held, queued, in a ring) is a gauge ``shadow_agent_<line>_<name>``.  After the drain the sum over
states is what came in.  Every name of the closed sets is there from the start, with zero, so that
``increase()`` sees the first one.  Endpoints are not exported: clients choose their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from shadow_agent.telemetry.breakers import Breakers
from shadow_agent.telemetry.exposition import Exposition
from shadow_agent.telemetry.families import (
    FIRST_BYTE_BUCKETS_S,
    PREFIX,
    buckets,
    by_reason,
    counter,
    gauge,
)
from shadow_agent.telemetry.ledger import LINES, Line, coverage, reach
from shadow_agent.telemetry.own_metrics import governed, kept, own_cost
from shadow_agent.telemetry.reasons import (
    AliasEvent,
    BodyResult,
    LatencyUnknown,
    Outcome,
    Overload,
)
from shadow_agent.telemetry.scrape import serve
from shadow_agent.telemetry.snapshot import Snapshot

__all__ = ["FIRST_BYTE_BUCKETS_S", "Exposition", "render_metrics", "serve"]


def render_metrics(*expositions: Exposition) -> bytes:
    """The targets in Prometheus' text format 0.0.4; their names must differ."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(expositions))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, expositions: tuple[Exposition, ...]) -> None:
        self._expositions = expositions

    def collect(self) -> Iterator[Metric]:
        """Every family once, with the samples of all targets in it."""
        families: dict[str, Metric] = {}
        for exposition in self._expositions:
            for family in _families(exposition):
                held = families.setdefault(family.name, family)
                if held is not family:
                    held.samples += family.samples
        return iter(families.values())


def _families(shown: Exposition) -> Iterator[Metric]:
    target = shown.run.target
    for name, kind in LINES.items():
        line: Line = getattr(shown.ledger, name)
        yield from _line(target, name, kind, line)
    yield from _comparisons(target, shown.snapshot)
    yield from _breaker(target, shown.snapshot.breakers)
    yield from _latencies(target, shown.snapshot)
    yield from _shares(target, shown)
    yield from _about(target, shown)


def _line(target: str, name: str, kind: type[Line], line: Line) -> Iterator[Metric]:
    for alone in (kind.LEFT, *kind.ASIDE):
        yield counter(f"{name}_{alone}", _help(kind, alone), target, line.total(alone))
    parts = CounterMetricFamily(
        f"{PREFIX}{name}", _said(kind), labels=("target", "state", "reason")
    )
    for part in kind.parts():
        if part in kind.GAUGES:
            continue
        if part in kind.REASONS:
            by_reason: Mapping[str, int] = getattr(line, part)
            for reason in kind.REASONS[part]:
                parts.add_metric((target, part, str(reason)), by_reason.get(reason, 0))
        else:
            parts.add_metric((target, part, ""), line.total(part))
    yield parts
    for part in kind.GAUGES:
        yield gauge(f"{name}_{part}", _help(kind, part), target, line.total(part))


def _comparisons(target: str, snapshot: Snapshot) -> Iterator[Metric]:
    yield counter(
        "pairs_different",
        "Compared pairs whose status, body or outcome differ.",
        target,
        snapshot.different,
    )
    yield counter(
        "pairs_eligible", "Compared pairs that may count in a verdict.", target, snapshot.eligible
    )
    yield counter(
        "pairs_diverged",
        "Compared pairs that may not: the shadow lacks an earlier write of their session.",
        target,
        snapshot.diverged,
    )
    statuses = CounterMetricFamily(
        f"{PREFIX}statuses",
        "Compared pairs by class of both statuses and whether the statuses are equal.",
        labels=("target", "production", "shadow", "equal"),
    )
    classes: dict[tuple[str, str, str], int] = {}
    for pair, n in snapshot.status_pairs.items():
        production, _, shadow = pair.partition("→")
        key = (_class(production), _class(shadow), "true" if production == shadow else "false")
        classes[key] = classes.get(key, 0) + n
    for key, n in sorted(classes.items()):
        statuses.add_metric((target, *key), n)
    yield statuses
    for name, label, said, enum, counts in (
        ("bodies", "result", "Compared pairs by whether bodies match.", BodyResult, snapshot.body),
        ("outcomes", "outcome", "Pairs by how the shadow did.", Outcome, snapshot.outcomes),
        ("aliases", "event", "Values of both sides.", AliasEvent, snapshot.aliases),
        (
            "latency_unknown",
            "reason",
            "Latencies of one side that the kernel's timestamps do not give.",
            LatencyUnknown,
            snapshot.latency_unknown,
        ),
    ):
        yield by_reason(name, label, said, target, enum, counts)


def _breaker(target: str, seen: Breakers) -> Iterator[Metric]:
    workers = GaugeMetricFamily(
        f"{PREFIX}breaker_workers",
        "Workers that hold back requests because the shadow cannot keep up.",
        labels=("target", "state"),
    )
    workers.add_metric((target, "open"), seen.open)
    workers.add_metric((target, "half_open"), seen.half_open)
    yield workers
    said = "Times that a worker's breaker opened, by cause."
    yield by_reason("breaker_opened", "cause", said, target, Overload, seen.cause)
    yield counter(
        "breaker_open_seconds",
        "Time in which breakers were not closed, added up over workers.",
        target,
        seen.open_s,
    )


def _latencies(target: str, snapshot: Snapshot) -> Iterator[Metric]:
    for name, said, sides in (
        (
            "first_byte_seconds",
            "From the request's last byte to the answer's first, by kernel timestamps.",
            (("production", snapshot.production_first), ("shadow", snapshot.shadow_first)),
        ),
        (
            "last_byte_seconds",
            "From the request's last byte to the answer's last, by kernel timestamps.",
            (("production", snapshot.production_last), ("shadow", snapshot.shadow_last)),
        ),
    ):
        family = HistogramMetricFamily(f"{PREFIX}{name}", said, labels=("target", "side"))
        for side, histogram in sides:
            family.add_metric((target, side), buckets(histogram), histogram.sum / 1e6)
        yield family
    lag = HistogramMetricFamily(
        f"{PREFIX}dispatch_lag_seconds",
        "From a request's capture to its dispatch to the shadow.",
        labels=("target",),
    )
    lag.add_metric((target,), buckets(snapshot.dispatch_lag), snapshot.dispatch_lag.sum / 1e6)
    yield lag


def _shares(target: str, shown: Exposition) -> Iterator[Metric]:
    # Absent while there is nothing to divide by, so that no alert fires on an idle service.
    rtt = shown.snapshot.network_rtt_us
    for name, said, value in (
        ("coverage_ratio", "Share of what should be compared that was.", coverage(shown.ledger)),
        (
            "reach_ratio",
            "Share of production's requests that a verdict can speak for.",
            reach(shown.ledger, shown.snapshot.eligible),
        ),
        (
            "network_rtt_seconds",
            "Smallest network round trip to the shadow.",
            None if rtt is None else rtt / 1e6,
        ),
        ("sample_ratio", "Share of production's traffic that is mirrored.", shown.state.sample),
        ("paused", "1 while mirroring is paused.", float(shown.state.paused)),
    ):
        yield gauge(name, said, target, value)


def _about(target: str, shown: Exposition) -> Iterator[Metric]:
    run = shown.run
    info = GaugeMetricFamily(
        f"{PREFIX}build_info",
        "Always 1; the labels say which builds are compared and by what.",
        labels=("target", "version", "loader", "run_id", "epoch", "production", "shadow"),
    )
    builds = (run.builds.get("production") or "", run.builds.get("shadow") or "")
    info.add_metric((target, run.version, run.loader, run.run_id, str(run.epoch), *builds), 1)
    yield info
    attached = GaugeMetricFamily(
        f"{PREFIX}attached",
        "1 for each tapped interface; how it is tapped is a label.",
        labels=("target", "iface", "mechanism"),
    )
    for iface, mechanism in run.attached.items():
        attached.add_metric((target, iface, mechanism), 1)
    yield attached
    away: dict[str, float] = {}
    for interruption in shown.interruptions:
        away[interruption.iface] = away.get(interruption.iface, 0.0) + interruption.seconds
    interrupted = CounterMetricFamily(
        f"{PREFIX}interrupted_seconds",
        "Time in which an interface was away, or the shadow's was down: nothing was mirrored.",
        labels=("target", "iface"),
    )
    for iface in {**run.attached, **away}:
        interrupted.add_metric((target, iface), away.get(iface, 0.0))
    yield interrupted
    yield counter("alerts", "Alerts raised.", target, shown.alerts)
    help_text = (
        "Packets of packets.over_budget whose connection found no slot in the kernel's table."
    )
    yield counter("untracked_packets", help_text, target, shown.untracked)
    yield from governed(target, shown.state, shown.lowered_s)
    yield from kept(target, shown.kept)
    if shown.cost is not None:
        yield from own_cost(target, shown.cost)


def _class(status: str) -> str:
    """``2xx`` for a status; an outcome's name, or "other", as it is. At most 9 x 20 values."""
    return f"{status[0]}xx" if status.isdigit() else status or "other"


def _said(kind: type[Line]) -> str:
    """A line's meaning: the first line of its docstring, which is for readers of the code too."""
    return (kind.__doc__ or "").partition("\n")[0].replace("`", "")


def _help(kind: type[Line], name: str) -> str:
    return f"{kind.__name__}: {kind.meaning(name)}."
