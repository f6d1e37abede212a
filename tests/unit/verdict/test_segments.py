"""Segments: bounded, named, and α shared among those that come when they come."""

import numpy as np
import pytest

from shadow_agent.verdict.segments import MOST, Segments
from tests.unit.verdict.rows import pairs


def _entries(segments: Segments, **columns: object) -> dict[str, int]:
    n = len(next(iter(columns.values())))  # type: ignore[arg-type]
    rows = pairs(n, **columns)
    made = segments.entries(rows, np.asarray(rows["health"]), np.arange(n))
    return {segments.names[one]: int((made.segment == one).sum()) for one in set(made.segment)}


def test_a_row_is_in_each_of_its_segments() -> None:
    """The whole, its endpoint, its cohort; none for what has no name."""
    found = _entries(Segments(), endpoint=["GET /", "GET /a"], cohort=["beta", ""])
    assert found == {"all": 2, "endpoint GET /": 1, "endpoint GET /a": 1, "cohort beta": 1}


def test_health_checks_are_apart() -> None:
    """In a segment of their own and in no other."""
    found = _entries(Segments(), health=[True, False], endpoint=["GET /live", "GET /"])
    assert found == {"all": 1, "health": 1, "endpoint GET /": 1}


def test_shares_never_pass_one() -> None:
    """However many come, at once or one by one, there is a part of α for each."""
    segments = Segments()
    for first in range(0, 60, 3):
        _entries(segments, endpoint=[f"GET /{first + i}" for i in range(3)])
    assert len(segments.shares) == len(segments) == 61
    assert sum(segments.shares) <= 1
    assert min(segments.shares) > 0


def test_too_many_are_other() -> None:
    """Names beyond the limit count together."""
    segments = Segments()
    found = _entries(segments, endpoint=[f"GET /{i:04}" for i in range(MOST + 7)])
    assert found["endpoint other"] == 7
    assert len(segments) == MOST + 2


def test_numbers_in_a_batch_do_not_matter() -> None:
    """The same rows in another order: the same segments in the same order."""
    one, two = Segments(), Segments()
    _entries(one, endpoint=["a", "b", "c"])
    _entries(two, endpoint=["c", "b", "a"])
    assert one.names == two.names


def test_kept() -> None:
    """As it was; a damaged one is refused."""
    segments = Segments()
    _entries(segments, endpoint=["a", "b"])
    assert Segments.resume(segments.state()).state() == segments.state()
    with pytest.raises(ValueError, match="damaged"):
        Segments.resume({**segments.state(), "shares": []})
