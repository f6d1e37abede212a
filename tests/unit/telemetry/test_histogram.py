"""The histogram is accurate to 1 %, merges exactly and refuses what it did not write."""

from __future__ import annotations

import math
import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.telemetry.histogram import MAX_INDEX, LogHistogram

DAY_US = 86_400e6
durations = st.lists(st.floats(min_value=1.0, max_value=DAY_US), min_size=1, max_size=200)


def histogram_of(values: list[float]) -> LogHistogram:
    """A histogram that counted these."""
    histogram = LogHistogram()
    for value in values:
        histogram.add(value)
    return histogram


def nearest_rank(values: list[float], percent: float) -> float:
    """The exact order statistic."""
    return sorted(values)[max(0, math.ceil(percent * len(values) / 100 - 1e-6) - 1)]


@given(durations, st.sampled_from([0.0, 1.0, 50.0, 95.0, 99.0, 99.9, 100.0]))
def test_percentiles_are_within_one_percent(values: list[float], percent: float) -> None:
    """Any percentile of any values is the order statistic, up to 1 %."""
    read = histogram_of(values).percentile(percent)
    assert read == pytest.approx(nearest_rank(values, percent), rel=0.01)


@given(durations, durations)
def test_merging_is_adding_both(one: list[float], other: list[float]) -> None:
    """Merged histograms are the histogram of everything, and the second is left alone."""
    merged, second = histogram_of(one), histogram_of(other)
    merged.merge(second)
    merged.add(1.0)
    assert merged == histogram_of([*one, *other, 1.0])
    assert merged.sum == pytest.approx(sum(one) + sum(other) + 1.0)
    assert second == histogram_of(other)


@given(st.lists(st.floats(min_value=0.0, max_value=1e12)))
def test_the_wire_form_comes_back(values: list[float]) -> None:
    """What ``as_dict`` wrote through JSON is what ``from_dict`` reads."""
    histogram = histogram_of(values)
    again = LogHistogram.from_dict(orjson.loads(orjson.dumps(histogram.as_dict())))
    assert again == histogram
    assert again.sum == histogram.sum
    assert again.count == len(values)


def test_an_empty_histogram_knows_nothing() -> None:
    """No values: no percentile, no count, no bucket."""
    empty = LogHistogram()
    assert empty.percentiles((50.0, 99.0)) == [None, None]
    assert (empty.count, empty.sum, list(empty)) == (0, 0.0, [])


def test_extremes_are_clamped() -> None:
    """Nothing below 1 µs or above a day makes a bucket of its own."""
    histogram = histogram_of([-5.0, 0.0, 0.5, 1.0, DAY_US, 1e300, math.inf])
    assert len(list(histogram)) == 2
    assert histogram.percentile(100.0) == pytest.approx(DAY_US, rel=0.01)
    assert math.isfinite(histogram.sum)


def test_percentiles_keep_the_order_asked_for() -> None:
    """Several percentiles in one pass equal one by one, in any order."""
    random.seed(1)
    histogram = histogram_of([random.uniform(1, 1e6) for _ in range(1000)])
    asked = [99.0, 0.0, 50.0, 99.9, 50.0, 100.0]
    assert histogram.percentiles(asked) == [histogram.percentile(p) for p in asked]


def test_cumulative_counts_never_fall() -> None:
    """Counts up to ascending bounds ascend, and a bound past all values counts all."""
    histogram = histogram_of([100.0, 400.0, 900.0, 900.0, 5000.0])
    assert histogram.cumulative([10.0, 500.0, 1000.0, 1e6]) == [0, 2, 4, 5]
    assert LogHistogram().cumulative([1.0, 2.0]) == [0, 0]


def test_a_copy_is_independent() -> None:
    """Adding to a copy leaves the original alone."""
    original = histogram_of([5.0])
    twin = original.copy()
    twin.add(7.0)
    assert original.count == 1
    assert twin != original


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"sum": 1.0, "buckets": [], "more": 1},
        {"sum": -1.0, "buckets": []},
        {"sum": "1", "buckets": []},
        {"sum": 1.0, "buckets": {}},
        {"sum": 1.0, "buckets": [1]},
        {"sum": 1.0, "buckets": [1, -1]},
        {"sum": 1.0, "buckets": [1, 1.5]},
        {"sum": 1.0, "buckets": [1, 1, 1, 1]},
        {"sum": 1.0, "buckets": [MAX_INDEX + 1, 1]},
        {"sum": 1.0, "buckets": [0, 1] * (MAX_INDEX + 2)},
    ],
)
def test_a_forged_wire_form_is_refused(data: Any) -> None:
    """Anything ``as_dict`` could not have written is a ValueError of one line."""
    with pytest.raises(ValueError, match=r"^h[^\n]*$"):
        LogHistogram.from_dict(data, "h")


@given(st.lists(st.floats(0, 1e9)), st.lists(st.floats(0, 1e9)))
def test_since_is_what_was_added(first: list[float], later: list[float]) -> None:
    """The histogram of the later ones alone."""
    whole, alone = LogHistogram(), LogHistogram()
    for us in first:
        whole.add(us)
    before = whole.copy()
    for us in later:
        whole.add(us)
        alone.add(us)
    assert whole.since(before) == alone
    assert before.since(before).count == 0
