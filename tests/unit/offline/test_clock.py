"""Capture time."""

from __future__ import annotations

from collections.abc import Iterable

from shadow_agent.offline.clock import CaptureClock

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_700_000_000 * SECOND


def follow(stamps: Iterable[int]) -> list[int]:
    """Every ``now`` to which the clock went on, in seconds after the start."""
    clock = CaptureClock()
    return [
        (clock.now - START) // SECOND
        for ts in stamps
        if not clock.low <= ts < clock.high and clock.step(ts)
    ]


def test_it_goes_in_seconds() -> None:
    """Once each, when a second stamp has confirmed the first."""
    assert follow(START + n * SECOND // 10 for n in range(35)) == [1, 2, 3]


def test_a_long_pause() -> None:
    """Is believed, once there are two stamps behind it."""
    assert follow([START, START + DAY, START + DAY + 1]) == [86_400]


def test_one_wrong_stamp_moves_nothing() -> None:
    """Neither from the future nor from the past; what follows goes on as before."""
    for wrong in (START + 10_000 * DAY, START - DAY, 0):
        stamps = [START + n * SECOND // 2 for n in range(8)]
        found = follow([*stamps[:3], wrong, *stamps[3:]])
        assert max(found) in {2, 3}


def test_a_clock_that_was_set_back() -> None:
    """Is followed: the stamps behind it are all we have."""
    assert follow([START, START - DAY, START - DAY + 2 * SECOND, START - DAY + 3 * SECOND])[-1] < 0
