"""RequestBudget: exact, whoever takes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from shadow_agent.daemon.budget import RequestBudget


@pytest.fixture
def budget() -> Iterator[RequestBudget]:
    """Of five requests."""
    made = RequestBudget(5)
    yield made
    made.close()


def test_counts_down_to_zero(budget: RequestBudget) -> None:
    """Not one more, and never again."""
    assert [budget.take() for _ in range(7)] == [True] * 5 + [False] * 2


def test_none_at_all() -> None:
    """A budget of nothing."""
    budget = RequestBudget(0)
    assert not budget.take()
    budget.close()


def test_shared_with_children(budget: RequestBudget) -> None:
    """What a child takes is gone, also when the child is."""
    taken = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(sum(budget.take() for _ in range(2)))
        taken.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    assert taken == [2, 2, 1]
    assert not budget.take()
