"""Budgets: never more than they say, over any time and whoever takes."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.budget import (
    COST_OF_ONE,
    Bucket,
    Budget,
    Spent,
    Terms,
    bury,
    millionths,
    words,
)
from shadow_agent.telemetry.reasons import Refused

NS = 1_000_000_000
SECOND = st.integers(0, 3 * NS)


def purses(terms: Terms, workers: int = 1) -> tuple[list[int], list[Budget]]:
    """The words that so many workers share, and what each does with them."""
    shared = [0] * words(workers)
    return shared, [Budget(terms, shared, number) for number in range(workers)]


@given(
    rate=st.floats(0.2, 2000),
    burst=st.integers(1, 20),
    pauses=st.lists(st.tuples(st.integers(0, NS // 2), st.integers(0, 2)), max_size=200),
)
def test_a_rate_holds_over_any_time(rate: float, burst: int, pauses: list[tuple[int, int]]) -> None:
    """From any request let through to any other: at most rate × time + burst, over all workers."""
    bucket = Bucket.of(rate, burst)
    _, workers = purses(Terms(bucket=bucket), 3)
    now = 0
    through = []
    for pause, worker in pauses:
        now += pause
        if workers[worker].take(now, 0) is None:
            through.append(now)
    for number, begin in enumerate(through):
        for later, end in enumerate(through[number:], start=number):
            assert later - number + 1 <= rate * (end - begin) / NS + burst + 1e-6


@given(rate=st.floats(0.2, 2000), burst=st.integers(1, 20), begin=SECOND)
def test_a_rate_lets_through_what_it_says(rate: float, burst: int, begin: int) -> None:
    """The burst at once, then one for each interval; a lull gives no more than the burst."""
    bucket = Bucket.of(rate, burst)
    _, (budget,) = purses(Terms(bucket=bucket))
    for now in (begin, begin + bucket.interval * burst * 5):
        at_once = [budget.take(now, 0) for _ in range(burst + 2)]
        assert at_once == [None] * burst + [Refused.RATE] * 2
    now = begin + bucket.interval * burst * 5
    for _ in range(5):
        assert budget.take(now + bucket.interval - 1, 0) is Refused.RATE
        now += bucket.interval
        assert budget.take(now, 0) is None


@given(
    most=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["take", "end", "die"]))),
)
def test_no_more_at_a_time_than_allowed(most: int, steps: list[tuple[int, str]]) -> None:
    """Over all workers, whatever ends and whoever dies; and as many as that."""
    shared, workers = purses(Terms(concurrent=most), 3)
    flying = [0, 0, 0]
    for worker, step in steps:
        if step == "take":
            allowed = workers[worker].take(0, 0) is None
            assert allowed == (sum(flying) < most)
            flying[worker] += allowed
        elif step == "die":
            bury(shared, worker)
            workers[worker] = Budget(Terms(concurrent=most), shared, worker)
            flying[worker] = 0
        elif flying[worker]:
            workers[worker].end()
            flying[worker] -= 1
        assert Spent.read(shared).in_flight == sum(flying)


@given(
    requests=st.integers(1, 10),
    cost=st.floats(0, 10),
    steps=st.lists(st.tuples(st.integers(0, 1), st.floats(0, 4), st.booleans())),
)
def test_totals_are_never_overdrawn(
    requests: int, cost: float, steps: list[tuple[int, float, bool]]
) -> None:
    """What was taken and not given back stays within both."""
    terms = Terms(requests=requests, cost=millionths(cost))
    _, workers = purses(terms, 2)
    kept: list[int] = []
    for worker, price, sent in steps:
        one = millionths(price)
        if workers[worker].take(0, one) is None:
            if sent:
                kept.append(one)
            else:
                workers[worker].give_back(one)
    assert len(kept) <= requests
    assert sum(kept) <= millionths(cost)


def test_each_bound_has_its_name() -> None:
    """What is refused takes nothing from the others."""
    _, (budget,) = purses(Terms(requests=2, cost=3 * COST_OF_ONE))
    assert budget.take(0, 4 * COST_OF_ONE) is Refused.COST
    assert budget.take(0, 2 * COST_OF_ONE) is None
    assert budget.take(0, 2 * COST_OF_ONE) is Refused.COST
    assert budget.take(0, COST_OF_ONE) is None
    assert budget.take(0, 0) is Refused.REQUEST_LIMIT


def test_what_was_not_sent_is_given_back() -> None:
    """To the totals and the places, not to the rate: a connection may have been tried."""
    bucket = Bucket.of(1, 2)
    shared, (budget,) = purses(Terms(requests=1, cost=COST_OF_ONE, concurrent=1, bucket=bucket))
    assert budget.take(0, COST_OF_ONE) is None
    budget.give_back(COST_OF_ONE)
    assert budget.take(0, COST_OF_ONE) is None
    assert Spent.read(shared) == Spent(1, COST_OF_ONE, 1)
    budget.give_back(COST_OF_ONE)
    assert budget.take(0, COST_OF_ONE) is Refused.RATE


def test_a_second_time_takes_from_the_rate() -> None:
    """And from nothing else."""
    shared, (budget,) = purses(Terms(requests=1, bucket=Bucket.of(1, 2)))
    assert budget.take(0, 0) is None
    assert budget.again(0) is None
    assert budget.again(0) is Refused.RATE
    assert Spent.read(shared).requests == 1
    assert Budget(Terms(), shared, 0).again(0) is None


@pytest.mark.parametrize(("cost", "counted"), [(1.0, COST_OF_ONE), (0.1, 100_000), (1e-9, 1)])
def test_costs_are_whole_numbers(cost: float, counted: int) -> None:
    """Rounded up, so that many small ones are not free."""
    assert millionths(cost) == counted


def test_the_interval_is_never_too_short() -> None:
    """Three a second are no more than three."""
    assert Bucket.of(3, 1).interval == bisect_right(range(NS), NS // 3)


def test_bounds_that_come_later() -> None:
    """What began while nothing was bounded is under way, and counts as soon as it matters."""
    shared, (first, second) = purses(Terms(), 2)
    assert not first.terms.bounds
    for _ in range(3):
        first.note(COST_OF_ONE)
    first.end()
    assert Spent.read(shared) == Spent(0, 0, 2)
    for one in (first, second):
        one.terms = Terms(requests=5, concurrent=4)
    assert second.take(0, 0) is None
    assert first.take(0, 0) is None
    assert Spent.read(shared) == Spent(5, 3 * COST_OF_ONE, 4)
    assert second.take(0, 0) is Refused.REQUEST_LIMIT
    first.terms = Terms(concurrent=4)
    assert first.take(0, 0) is Refused.CONCURRENT
