"""The control law: down at once, up slowly, never above what was configured."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.governor import Cause, Governor, GovernorLimits, Reading

_CALM = Reading(host_cpu=0.1, host_memory=0.5, ring_full=0.0)
_BUSY = Reading(host_cpu=1.0)

shares = st.none() | st.floats(0, 1)
readings = st.builds(
    Reading,
    host_cpu=shares,
    host_memory=shares,
    cpu_pressure=shares,
    memory_pressure=shares,
    agent_cpu=st.none() | st.floats(0, 64),
    ring_full=shares,
    p95_us=st.none() | st.floats(0, 1e7),
)
limits = st.builds(
    GovernorLimits,
    host_cpu=shares,
    host_memory=shares,
    cpu_pressure=shares,
    agent_cpu=st.none() | st.floats(0, 8),
    p95_us=st.none() | st.floats(0, 1e6),
    floor=st.floats(0, 0.5),
    hold_s=st.floats(0, 30),
)
_NO_BASELINE = GovernorLimits(p95_times=None, cpu_pressure=0.5, agent_cpu=1.0, p95_us=1e5)


def test_what_is_calm_is_left_alone() -> None:
    """Below every limit the whole sample is mirrored, and nothing changes."""
    governor = Governor(GovernorLimits())
    assert [governor.update(_CALM, now) for now in range(100)] == [None] * 100
    assert (governor.factor, governor.cause) == (1.0, Cause.NONE)


@pytest.mark.parametrize(
    ("reading", "cause"),
    [
        (Reading(host_cpu=0.96), Cause.HOST_CPU),
        (Reading(host_memory=0.04), Cause.HOST_MEMORY),
        (Reading(memory_pressure=0.3), Cause.MEMORY_PRESSURE),
        (Reading(cpu_pressure=0.6), Cause.CPU_PRESSURE),
        (Reading(agent_cpu=1.1), Cause.AGENT_CPU),
        (Reading(ring_full=0.03), Cause.RING_FULL),
        (Reading(p95_us=200_000), Cause.PRODUCTION_P95),
    ],
)
def test_over_a_limit_it_is_lowered_at_once(reading: Reading, cause: Cause) -> None:
    """With the first reading, by half at least, under the name of what was over."""
    governor = Governor(_NO_BASELINE)
    change = governor.update(reading, 0)
    assert change is not None
    assert (change.before, change.cause) == (1.0, cause)
    assert governor.factor == change.after <= 0.5
    assert governor.cause is cause


def test_the_worst_names_the_cause() -> None:
    """Of several values over their limits, the one that is furthest over."""
    change = Governor(GovernorLimits()).update(Reading(host_cpu=1.0, ring_full=0.5), 0)
    assert change is not None
    assert (change.cause, change.value, change.limit) == (Cause.RING_FULL, 0.5, 0.02)
    assert change.after == pytest.approx(0.04)


def test_it_looks_away() -> None:
    """Overload that stays takes it to the floor within seconds: nothing is mirrored."""
    governor = Governor(GovernorLimits())
    factors = []
    for now in range(8):
        governor.update(_BUSY, now)
        factors.append(governor.factor)
    assert factors[-1] == 0.0
    assert factors == sorted(factors, reverse=True)


def test_a_floor_of_its_own_is_kept() -> None:
    """Where the operator wants to see something at any price."""
    governor = Governor(GovernorLimits(floor=0.1))
    for now in range(20):
        governor.update(_BUSY, now)
    assert governor.factor == 0.1


def test_nothing_allowed_is_exceeded_at_once() -> None:
    """A limit of 0: the floor with the first reading, and no way back."""
    governor = Governor(GovernorLimits(host_cpu=0.0))
    governor.update(Reading(host_cpu=0.001), 0)
    assert governor.factor == 0.0
    for now in range(1, 100):
        governor.update(Reading(host_cpu=0.0), now)
    assert governor.factor == 0.0
    assert Governor(GovernorLimits(host_cpu=0.0)).update(Reading(host_cpu=0.0), 0) is None


def test_it_recovers_slowly() -> None:
    """Nothing before the hold time is over, then step by step to the whole sample and no more."""
    governor = Governor(GovernorLimits())
    governor.update(_BUSY, 0)
    held = [governor.update(_CALM, now) for now in range(1, 10)]
    assert held == [None] * 9
    assert governor.cause is Cause.HOST_CPU
    changes = [governor.update(_CALM, now) for now in range(10, 40)]
    rises = [change for change in changes if change is not None]
    assert len(rises) == 10
    assert {change.cause for change in rises} == {Cause.RECOVERING}
    assert (governor.factor, governor.cause) == (1.0, Cause.NONE)


def test_between_margin_and_limit_it_stays() -> None:
    """Hysteresis: what is just below the limit neither lowers nor raises."""
    governor = Governor(GovernorLimits())
    governor.update(_BUSY, 0)
    for now in range(1, 100):
        assert governor.update(Reading(host_cpu=0.9), now) is None
    assert governor.cause is Cause.HOST_CPU


def test_production_is_held_against_its_own_past() -> None:
    """Five times its usual p95 lowers; the first windows only teach."""
    governor = Governor(GovernorLimits())
    for now in range(10):
        assert governor.update(Reading(p95_us=10_000), now) is None
    assert governor.baseline_us == pytest.approx(10_000)
    assert governor.update(Reading(p95_us=45_000), 10) is None
    change = governor.update(Reading(p95_us=60_000), 11)
    assert change is not None
    assert change.cause is Cause.PRODUCTION_P95


def test_a_rise_that_nobody_feels_is_none() -> None:
    """From 0.1 to 4 ms is many times as long, and no reason to look away."""
    governor = Governor(GovernorLimits())
    for now in range(20):
        governor.update(Reading(p95_us=100), now)
    assert governor.update(Reading(p95_us=4000), 20) is None


def test_a_slowness_that_stays_becomes_usual() -> None:
    """A slower build in production does not blind the comparison for ever."""
    governor = Governor(GovernorLimits())
    for now in range(60):
        governor.update(Reading(p95_us=10_000), now)
    governor.update(Reading(p95_us=80_000), 60)
    assert governor.factor < 1
    for now in range(61, 600):
        governor.update(Reading(p95_us=80_000), now)
    assert governor.factor == 1.0


def test_unknown_is_no_verdict() -> None:
    """Looked away, nothing is known of production: it comes back and looks again."""
    governor = Governor(GovernorLimits(p95_us=1000))
    while governor.factor > 0:
        governor.update(Reading(p95_us=1e6), 0)
    for now in range(100):
        governor.update(Reading(), now)
    assert governor.factor == 1.0


@given(limits, st.lists(readings, max_size=60))
def test_never_outside_its_range(limits: GovernorLimits, given_readings: list[Reading]) -> None:
    """The factor is from the floor to 1 whatever is read: never above the configured sample."""
    governor = Governor(limits)
    for now, reading in enumerate(given_readings):
        change = governor.update(reading, now)
        assert limits.floor <= governor.factor <= 1.0
        assert change is None or change.after == governor.factor
        assert (governor.cause is Cause.NONE) == (governor.factor == 1.0)


@given(limits, st.lists(st.tuples(readings, st.floats(0.01, 5)), max_size=80))
def test_never_faster_than_the_hold_time(
    limits: GovernorLimits, steps: list[tuple[Reading, float]]
) -> None:
    """After it was lowered it does not rise before the hold time is over."""
    governor = Governor(limits)
    now = 0.0
    turns = []
    for reading, later in steps:
        now += later
        change = governor.update(reading, now)
        if change is not None:
            turns.append((now, change.after > change.before))
    for (earlier, rose_before), (later, rises) in pairwise(turns):
        if rises and not rose_before:
            assert later - earlier >= limits.hold_s - 1e-9


def _worse(reading: Reading, by: float) -> Reading:
    def more(value: float | None) -> float | None:
        return None if value is None else value * (1 + by)

    memory = reading.host_memory
    return Reading(
        host_cpu=more(reading.host_cpu),
        host_memory=None if memory is None else memory / (1 + by),
        cpu_pressure=more(reading.cpu_pressure),
        memory_pressure=more(reading.memory_pressure),
        agent_cpu=more(reading.agent_cpu),
        ring_full=more(reading.ring_full),
        p95_us=more(reading.p95_us),
    )


@given(st.lists(st.tuples(readings, st.floats(0, 2)), max_size=80))
def test_more_overload_never_mirrors_more(steps: list[tuple[Reading, float]]) -> None:
    """Of two hosts of which one is never better off, that one never mirrors more."""
    one, other = Governor(_NO_BASELINE), Governor(_NO_BASELINE)
    for now, (reading, by) in enumerate(steps):
        one.update(reading, now)
        other.update(_worse(reading, by), now)
        assert other.factor <= one.factor + 1e-9


def test_other_limits_under_way() -> None:
    """They count from the next reading on; a floor at once, and nothing is left behind when off."""
    governor = Governor(GovernorLimits())
    governor.update(_BUSY, 0)
    assert governor.factor == 0.5
    assert governor.change(GovernorLimits(host_cpu=None), on=True) is None
    change = governor.change(GovernorLimits(floor=0.75), on=True)
    assert change is not None
    assert (change.before, change.after) == (0.5, 0.75)
    change = governor.change(GovernorLimits(), on=False)
    assert change is not None
    assert (governor.factor, governor.cause) == (1.0, Cause.NONE)
