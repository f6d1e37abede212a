"""Breakers: what workers say of theirs, added up and believed in form only."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_agent.policy.breaker import Breaker, BreakerState, BreakerTerms
from shadow_agent.telemetry.breakers import Breakers, breakers_of, merge_breakers
from shadow_agent.telemetry.reasons import Overload

ONE = Breakers(open=1, open_s=2.5, cause={"timeout": 2})
TWO = Breakers(half_open=1, open_s=1.0, cause={"timeout": 1, "busy": 1})


def test_added_up() -> None:
    """Workers, seconds and causes; the state is the worst."""
    whole = merge_breakers([ONE, TWO, Breakers()])
    assert whole.summary() == {
        "state": "open",
        "open_workers": 2,
        "opened": 4,
        "open_s": 3.5,
        "cause": {"timeout": 3, "busy": 1},
    }
    assert TWO.state is BreakerState.HALF_OPEN
    assert merge_breakers([]) == Breakers()
    assert Breakers().state is BreakerState.CLOSED


def test_the_dead_hold_back_nothing() -> None:
    """What theirs has done stays."""
    assert ONE.ended() == Breakers(open_s=2.5, cause={"timeout": 2})


def test_there_and_back() -> None:
    """As a worker sends it."""
    for one in (ONE, TWO, Breakers()):
        assert Breakers.from_dict(one.as_dict()) == one


@pytest.mark.parametrize(
    "wrong",
    [
        {"open": -1},
        {"open": 10**9},
        {"open_s": float("nan")},
        {"cause": {"magic": 1}},
        {"cause": {"busy": 1.5}},
        {"more": 1},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    """By its form."""
    with pytest.raises(ValueError, match="breaker"):
        Breakers.from_dict({**ONE.as_dict(), **wrong})


def test_of_a_breaker() -> None:
    """Its state, its time, its causes; without one there is nothing to say."""
    breaker = Breaker(BreakerTerms(min_requests=1))
    breaker.shed(10.0)
    assert breakers_of(breaker, 12.0) == Breakers(1, 0, 2.0, {str(Overload.SHED): 1})
    breaker.tick(12.0)
    assert breakers_of(breaker, 12.0).half_open == 1
    assert breakers_of(None, 12.0) == Breakers()
