"""The shapes of metrics."""

from __future__ import annotations

from shadow_agent.telemetry.families import (
    FIRST_BYTE_BUCKETS_S,
    buckets,
    by_reason,
    counter,
    gauge,
)
from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.reasons import BodyResult


def test_a_counter_and_a_gauge() -> None:
    """Of one target; a gauge may have nothing to show."""
    (sample,) = counter("things", "Things.", "web", 3).samples
    assert (sample.name, sample.labels, sample.value) == (
        "shadow_agent_things_total",
        {"target": "web"},
        3,
    )
    (sample,) = gauge("level", "Level.", "web", 0.5).samples
    assert (sample.name, sample.value) == ("shadow_agent_level", 0.5)
    assert gauge("level", "Level.", "web", None).samples == []


def test_every_name_of_a_closed_set() -> None:
    """From the start, with zero."""
    family = by_reason("bodies", "result", "Bodies.", "web", BodyResult, {"matched": 2})
    assert {one.labels["result"]: one.value for one in family.samples} == {
        "matched": 2,
        "mismatched": 0,
        "unknown": 0,
    }


def test_buckets_are_cumulative_and_in_seconds() -> None:
    """The last one holds all."""
    histogram = LogHistogram()
    histogram.add(700)
    histogram.add(60_000_000)
    shown = dict(buckets(histogram))
    assert (shown["0.0005"], shown["0.001"], shown["10.0"], shown["+Inf"]) == (0, 1, 1, 2)
    assert len(shown) == len(FIRST_BYTE_BUCKETS_S) + 1
