"""The shapes of metrics that the exporter is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.reasons import Reason

__all__ = ["FIRST_BYTE_BUCKETS_S", "PREFIX", "buckets", "by_reason", "counter", "gauge"]

PREFIX: Final = "shadow_agent_"
# From a cache hit on the same rack to a client's patience, about two steps an octave at first.
FIRST_BYTE_BUCKETS_S: Final = (
    0.0005,
    0.001,
    0.002,
    0.003,
    0.005,
    0.0075,
    0.01,
    0.015,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)


def counter(name: str, said: str, target: str, value: float) -> CounterMetricFamily:
    """What only grows, of one target."""
    family = CounterMetricFamily(f"{PREFIX}{name}", said, labels=("target",))
    family.add_metric((target,), value)
    return family


def gauge(name: str, said: str, target: str, value: float | None) -> GaugeMetricFamily:
    """What goes up and down; None: nothing to show."""
    family = GaugeMetricFamily(f"{PREFIX}{name}", said, labels=("target",))
    if value is not None:
        family.add_metric((target,), value)
    return family


def by_reason(
    name: str, label: str, said: str, target: str, enum: type[Reason], counts: Mapping[str, int]
) -> CounterMetricFamily:
    """A closed set of names: each is there from the start, with zero."""
    family = CounterMetricFamily(f"{PREFIX}{name}", said, labels=("target", label))
    for reason in enum:
        family.add_metric((target, str(reason)), counts.get(reason, 0))
    return family


def buckets(histogram: LogHistogram) -> list[tuple[str, float]]:
    """A histogram of latencies in µs as Prometheus has it, in seconds."""
    counts = histogram.cumulative(bound * 1e6 for bound in FIRST_BYTE_BUCKETS_S)
    buckets = [
        (str(bound), float(n)) for bound, n in zip(FIRST_BYTE_BUCKETS_S, counts, strict=True)
    ]
    return [*buckets, ("+Inf", float(histogram.count))]
