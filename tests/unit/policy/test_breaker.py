"""Breaker: opens for overload alone, never twice for one reason, and always finds its way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.breaker import Breaker, BreakerState, BreakerTerms
from shadow_agent.telemetry.reasons import Overload

TERMS = BreakerTerms()
PROBE_S = 40.0
CLOSED, HALF_OPEN, OPEN = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN


def opened(now: float = 0.0, cause: Overload = Overload.TIMEOUT) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker(TERMS, PROBE_S)
    for _ in range(TERMS.min_requests):
        breaker.ended(breaker.enter(now), cause, now)
    assert breaker.state is OPEN
    return breaker


def probe(breaker: Breaker, cause: Overload | None, now: float) -> None:
    """One probe, to its end."""
    assert breaker.lets(now, safe=True)
    breaker.ended(breaker.enter(now), cause, now)


def test_few_signs_say_nothing() -> None:
    """One less than the least leaves it closed; the next one opens it."""
    breaker = Breaker(TERMS)
    said = [
        breaker.ended(breaker.enter(0), Overload.UNREACHABLE, 0) for _ in range(TERMS.min_requests)
    ]
    assert said == [False] * (TERMS.min_requests - 1) + [True]
    assert breaker.causes == {Overload.UNREACHABLE: 1}


def test_a_small_share_leaves_it_closed() -> None:
    """Below the share nothing happens, however many there are."""
    breaker = Breaker(TERMS)
    for number in range(1000):
        breaker.ended(breaker.enter(0), Overload.TIMEOUT if number % 5 == 4 else None, 0)
    assert breaker.closed
    assert breaker.causes == {}


def test_good_ends_never_open_it() -> None:
    """Whatever is wrong with an answer in time, it is good here."""
    breaker = Breaker(TERMS)
    for number in range(1000):
        assert breaker.lets(number, safe=False)
        assert not breaker.ended(breaker.enter(number), None, number)


def test_old_signs_are_forgotten() -> None:
    """The window has moved on."""
    breaker = Breaker(TERMS)
    for number in range(10 * TERMS.min_requests):
        breaker.ended(breaker.enter(number), Overload.TIMEOUT, number)
    assert breaker.closed


def test_the_commonest_cause_is_named() -> None:
    """Requests that were shed count as well."""
    breaker = Breaker(TERMS)
    breaker.ended(breaker.enter(0), Overload.BUSY, 0)
    while breaker.closed:
        breaker.shed(0)
    assert breaker.causes == {Overload.SHED: 1}
    assert not breaker.shed(0)


def test_half_opens_after_its_pause_for_one_probe() -> None:
    """The next safe request, and nothing beside it."""
    breaker = opened()
    assert not breaker.lets(TERMS.pause_s - 0.01, safe=True)
    assert not breaker.lets(TERMS.pause_s, safe=False)
    assert breaker.lets(TERMS.pause_s, safe=True)
    ticket = breaker.enter(TERMS.pause_s)
    assert breaker.state is HALF_OPEN
    assert not breaker.lets(TERMS.pause_s, safe=True)
    breaker.ended(ticket, None, TERMS.pause_s)
    assert breaker.lets(TERMS.pause_s, safe=True)


def test_good_probes_close_it() -> None:
    """So many, one after the other; then it knows nothing of before."""
    breaker = opened()
    for _ in range(TERMS.probes):
        assert not breaker.closed
        probe(breaker, None, 1.0)
    assert breaker.closed
    assert breaker.open_s(5.0) == 1.0
    assert not breaker.ended(breaker.enter(1), Overload.TIMEOUT, 1)


def test_bad_probes_double_the_pause() -> None:
    """Up to the longest, always the same."""
    breaker = opened()
    now, pauses = 0.0, []
    for _ in range(8):
        begin = now
        while not breaker.lets(now, safe=True):
            now += 0.25
        pauses.append(now - begin)
        probe(breaker, Overload.TIMEOUT, now)
        assert breaker.state is OPEN
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10, 10]
    assert breaker.causes == {Overload.TIMEOUT: 1}
    assert breaker.open_s(now) == now


def test_opening_again_soon_pauses_longer() -> None:
    """What was taken for recovery was none; after a good while it begins anew."""
    breaker = opened()
    for gap, pause in ((0.0, 1.0), (0.0, 2.0), (100.0, 0.5)):
        now = 1000.0
        for _ in range(TERMS.probes):
            probe(breaker, None, now)
        now += gap
        for _ in range(TERMS.min_requests):
            breaker.ended(breaker.enter(now), Overload.BUSY, now)
        assert not breaker.lets(now + pause - 0.01, safe=True)
        assert breaker.lets(now + pause, safe=True)
        breaker.forget(breaker.enter(now + pause))


def test_what_was_sent_before_says_nothing_after() -> None:
    """A late time-out neither opens it again nor ends a probe."""
    breaker = Breaker(TERMS)
    before = breaker.enter(0)
    while breaker.closed:
        breaker.shed(0)
    assert breaker.lets(1, safe=True)
    probing = breaker.enter(1)
    breaker.ended(before, Overload.TIMEOUT, 1)
    breaker.forget(before)
    assert breaker.state is HALF_OPEN
    assert not breaker.lets(1, safe=True)
    breaker.ended(probing, None, 1)
    assert breaker.good_probes == 1


def test_a_probe_that_came_to_nothing_is_followed_by_another() -> None:
    """It was paused or drained: that says nothing of the shadow."""
    breaker = opened()
    assert breaker.lets(1, safe=True)
    breaker.forget(breaker.enter(1))
    assert breaker.state is HALF_OPEN
    assert breaker.lets(1, safe=True)


def test_a_probe_that_never_ends_is_bad() -> None:
    """No request holds the breaker for ever."""
    breaker = opened()
    assert breaker.lets(1, safe=True)
    breaker.enter(1)
    breaker.tick(1 + PROBE_S - 1)
    assert breaker.state is HALF_OPEN
    breaker.tick(1 + PROBE_S)
    assert breaker.state is OPEN


def test_without_a_safe_request_another_probes() -> None:
    """After the longest pause: a service that is only written to is not left alone for ever."""
    breaker = opened()
    breaker.tick(1)
    assert not breaker.lets(1 + TERMS.longest_pause_s - 0.1, safe=False)
    assert breaker.lets(1 + TERMS.longest_pause_s, safe=False)


@pytest.mark.parametrize(
    ("behind", "answered", "opens"),
    [
        ([20, 40, 60, 80, 100, 120], 10, True),
        ([21, 22, 23, 24, 25, 26], 20, True),  # a little faster than it answers
        ([20, 40, 40, 60, 80, 80], 10, False),  # it stopped growing
        ([3, 4, 5, 6, 7, 8], 0, False),  # too few to say
        ([20, 40, 60, 80, 100, 120], 500, False),  # a second's worth is not behind
    ],
)
def test_falling_behind_opens_it(behind: list[int], answered: int, opens: bool) -> None:
    """What production has answered and the shadow has not grew for seconds on end."""
    breaker = Breaker(TERMS)
    said = []
    for second, due in enumerate(behind, start=1):
        for _ in range(answered):
            breaker.ended(breaker.enter(second), None, second)
        said.append(breaker.watch(due, second))
        said.append(breaker.watch(2 * due, second))  # within the same second: not looked at
    assert any(said) == opens
    assert (breaker.causes == {Overload.BEHIND: 1}) == opens


Step = tuple[str, float, Overload | None]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask unsafe", "end", "forget", "shed", "tick", "watch"]),
        st.floats(0, 15),
        st.sampled_from([None, None, *Overload]),
    ),
    max_size=120,
)


@given(steps=STEPS, least=st.integers(1, 4))
def test_no_stuck_state(steps: list[Step], least: int) -> None:
    """Whatever has happened: once the shadow is well again and is asked, the breaker closes."""
    terms = BreakerTerms(min_requests=least)
    breaker = Breaker(terms, PROBE_S)
    under_way: list[int] = []
    now = 0.0
    before = 0.0
    for what, pause, cause in steps:
        now += pause
        if what.startswith("ask"):
            was_closed = breaker.closed
            if breaker.lets(now, safe=what == "ask"):
                under_way.append(breaker.enter(now))
                assert was_closed or not breaker.lets(now, safe=True), "one probe at a time"
        elif what == "end" and under_way:
            breaker.ended(under_way.pop(0), cause, now)
        elif what == "forget" and under_way:
            breaker.forget(under_way.pop())
        elif what == "shed":
            breaker.shed(now)
        elif what == "watch":
            breaker.watch(100, now)
        else:
            breaker.tick(now)
        assert breaker.open_s(now) >= before
        before = breaker.open_s(now)
    tries = 0
    while not breaker.closed:
        now += 1
        tries += 1
        assert tries <= PROBE_S + terms.longest_pause_s + terms.probes + 2, "stuck"
        if breaker.lets(now, safe=True):
            breaker.ended(breaker.enter(now), None, now)
    assert breaker.open_s(now) <= now


def test_other_terms_under_way() -> None:
    """They count from now on; what it did before stays counted."""
    breaker = opened()
    breaker.change(BreakerTerms(probes=1, longest_pause_s=TERMS.pause_s), PROBE_S, 0.1)
    assert breaker.state is OPEN
    probe(breaker, None, TERMS.pause_s)
    assert breaker.closed
    breaker.change(BreakerTerms(min_requests=1), PROBE_S, 5.0)
    assert breaker.ended(breaker.enter(5.0), Overload.BUSY, 5.0)
    assert breaker.causes == {Overload.TIMEOUT: 1, Overload.BUSY: 1}


def test_switched_off_under_way() -> None:
    """It closes at once and opens no more; requests under way end as they would have."""
    breaker = opened()
    ticket = breaker.enter(1.0)
    breaker.change(BreakerTerms(enabled=False, min_requests=1, behind_s=1), PROBE_S, 2.0)
    assert breaker.closed
    assert breaker.open_s(9.0) == 2.0
    breaker.ended(ticket, Overload.TIMEOUT, 2.0)
    for now in range(3, 30):
        assert breaker.lets(now, safe=False)
        assert not breaker.ended(breaker.enter(now), Overload.TIMEOUT, now)
        assert not breaker.shed(now)
        assert not breaker.watch(100 * now, now)


def test_the_same_terms_change_nothing() -> None:
    """A reload of something else forgets no sign."""
    breaker = Breaker(TERMS, PROBE_S)
    for _ in range(TERMS.min_requests - 1):
        breaker.ended(breaker.enter(0), Overload.TIMEOUT, 0)
    breaker.change(BreakerTerms(), PROBE_S, 0.0)
    assert breaker.ended(breaker.enter(0), Overload.TIMEOUT, 0)
