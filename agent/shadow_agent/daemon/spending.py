"""What a run has spent of its budgets, for whoever asks, and when that is all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.policy.budget import Terms

_MILLION = 1_000_000


class Spending:
    """Looks at the page that the workers write; changes nothing of it."""

    def __init__(
        self, page: BudgetPage | None, patience_s: float, say: Callable[[str], None]
    ) -> None:
        """``patience_s``: by when a request that was taken from the budget has been sent."""
        self._page = page
        self._patience_s = patience_s
        self._say = say
        self._gone_since: float | None = None  # monotonic, all requests are taken
        self._told = False
        self.over = False  # nothing is left, and what was taken has gone out or died

    def tick(self, now: float) -> None:
        """Four times a second."""
        page = self._page
        if page is None:
            return
        spent, terms = page.spent(), page.terms
        if terms.requests is None or spent.requests < terms.requests:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        # A worker that died has told nobody what it had sent: the run ends all the same.
        self.over = self._gone_since is not None and now - self._gone_since >= self._patience_s
        if terms.cost is not None and spent.cost >= terms.cost and not self._told:
            self._told = True
            self._say("the budget of cost is spent: what costs anything is refused from now on")

    def change(self, terms: Terms) -> None:
        """Others from now on; the workers are told by the fleet."""
        if self._page is not None and self._page.terms != terms:
            self._page.terms = terms
            self._told = False

    def bury(self, worker: int) -> None:
        """A worker died: nothing of it is under way any more."""
        if self._page is not None:
            self._page.bury(worker)

    def as_dict(self) -> dict[str, Any] | None:
        """For ``status`` and the summary; None without a budget."""
        page = self._page
        if page is None or not page.terms.bounds:
            return None
        spent, terms = page.spent(), page.terms
        return {
            "requests": {"spent": spent.requests, "of": terms.requests},
            "cost": {
                "spent": spent.cost / _MILLION,
                "of": None if terms.cost is None else terms.cost / _MILLION,
            },
            "concurrent": {"now": spent.in_flight, "of": terms.concurrent},
        }
