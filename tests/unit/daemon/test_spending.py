"""Spending: what is left, and when a run is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.daemon.spending import Spending
from shadow_agent.policy.budget import COST_OF_ONE, Terms


@pytest.fixture
def page() -> Iterator[BudgetPage]:
    """Two requests, of cost 3 together, one at a time."""
    made = BudgetPage(Terms(requests=2, cost=3 * COST_OF_ONE, concurrent=1), 1)
    yield made
    made.close()


def test_without_a_budget() -> None:
    """Nothing to say, and no end."""
    spending = Spending(None, 1.0, pytest.fail)
    spending.tick(0)
    spending.bury(0)
    assert spending.as_dict() is None
    assert not spending.over


def test_what_status_shows(page: BudgetPage) -> None:
    """Spent and of how much."""
    spending = Spending(page, 1.0, pytest.fail)
    page.purse(0).take(COST_OF_ONE // 2)
    spending.tick(0)
    assert spending.as_dict() == {
        "requests": {"spent": 1, "of": 2},
        "cost": {"spent": 0.5, "of": 3.0},
        "concurrent": {"now": 1, "of": 1},
    }
    spending.bury(0)
    shown = spending.as_dict()
    assert shown is not None
    assert shown["concurrent"] == {"now": 0, "of": 1}


def test_over_when_all_is_taken_for_a_while(page: BudgetPage) -> None:
    """Also when a worker died with one: nobody will report it."""
    spending = Spending(page, 2.0, pytest.fail)
    purse = page.purse(0)
    purse.take(0)
    purse.end()
    spending.tick(0)
    spending.tick(5)
    assert not spending.over
    purse.take(0)
    spending.tick(6)
    spending.tick(7.9)
    assert not spending.over
    spending.tick(8)
    assert spending.over


def test_what_is_given_back_goes_on(page: BudgetPage) -> None:
    """One was taken and shed, and another takes its place: the wait begins anew."""
    spending = Spending(page, 2.0, pytest.fail)
    purse = page.purse(0)
    for _ in range(2):
        purse.take(0)
        purse.end()
    spending.tick(0)
    purse.give_back(0)
    purse.give_back(0)
    purse.take(0)
    spending.tick(1.5)
    assert not spending.over
    purse.take(0)
    spending.tick(2.5)
    assert not spending.over


def test_the_end_of_the_money_is_said_once(page: BudgetPage) -> None:
    """The run goes on: what costs nothing may still be sent."""
    said: list[str] = []
    spending = Spending(page, 2.0, said.append)
    page.purse(0).take(3 * COST_OF_ONE)
    for now in range(5):
        spending.tick(now)
    assert len(said) == 1
    assert not spending.over


def test_other_bounds_under_way(page: BudgetPage) -> None:
    """A run without any shows none; one that is raised ends later."""
    spending = Spending(page, 1.0, pytest.fail)
    purse = page.purse(0)
    assert purse.take(0) is None
    purse.end()
    assert purse.take(0) is None
    spending.tick(0)
    spending.change(Terms(requests=3))
    spending.tick(2)
    assert not spending.over
    spending.change(Terms())
    assert spending.as_dict() is None
