"""When what was captured is due."""

from __future__ import annotations

import math

from shadow_agent.offline.pace import Pace

START = 1_700_000_000_000_000_000


def test_as_captured() -> None:
    """The first now, the others as much later as then; late ones at once, and none is lost."""
    pace = Pace(1.0)
    assert not pace.free
    assert pace.due(START, 500) == 500
    assert pace.due(START + 7, 501) == 507
    assert pace.due(START - 7, 502) == 493


def test_faster_and_slower() -> None:
    """By a factor, counted from the first: rounding does not add up."""
    pace = Pace(10.0)
    assert [pace.due(START + n, 0) for n in (0, 100, 1_000_000_004)] == [0, 10, 100_000_000]
    slow = Pace(0.5)
    assert [slow.due(START + n, 0) for n in (0, 100)] == [0, 200]


def test_flat_out() -> None:
    """Everything is due when it is asked for."""
    pace = Pace(math.inf)
    assert pace.free
    assert pace.due(START, 5) == 5
    assert pace.due(START + 1, 9) == 9


def test_speeds_beyond_all_measure() -> None:
    """Give times that a clock can hold, both ways."""
    for speed in (5e-324, 1e-300):
        pace = Pace(speed)
        assert pace.due(START, 500) == 500
        assert pace.due(START + 1, 501) > 10**17
        assert pace.due(START - 1, 501) < -(10**17)
