"""What a running worker can be told anew, and how it travels to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from shadow_agent.config import Config, Limits, as_dict
from shadow_agent.config.budget import Budget
from shadow_agent.config.file import settings_of
from shadow_agent.daemon.limits import pool_limits
from shadow_agent.daemon.settings import WorkerSettings, budget_terms
from shadow_agent.policy.breaker import BreakerTerms
from shadow_agent.policy.budget import Terms
from shadow_agent.policy.rule import Rule
from shadow_agent.replay.limits import PoolLimits

_KEYS: Final = ("breaker", "budget", "limits", "methods", "requests", "rule")


class Live(NamedTuple):
    """The settings themselves."""

    methods: frozenset[str] | None
    rules: tuple[Rule, ...]
    pool_limits: PoolLimits
    drain_s: float
    breaker: BreakerTerms
    terms: Terms  # of the budget

    def over(self, settings: WorkerSettings) -> WorkerSettings:
        """Those with these; the page of the budget has its terms itself."""
        changed = self._asdict()
        del changed["terms"]
        return replace(settings, **changed)


def message_of(config: Config) -> dict[str, Any]:
    """As JSON: the configuration's own keys."""
    whole = as_dict(config)
    return {key: whole[key] for key in _KEYS if key in whole}


def live_of(message: Mapping[str, Any], now: PoolLimits) -> Live:
    """From ``message_of``; ``now`` is what cannot change of the limits.

    Raises UsageError for what no configuration says.
    """
    told = settings_of(message)
    limits = Limits(**told.sections.get("limits", {}))
    new = pool_limits(limits)
    budget = Budget(**told.sections.get("budget", {}))
    return Live(
        methods=told.values["methods"],
        rules=told.values.get("rules", ()),
        pool_limits=now._replace(
            connect_timeout=new.connect_timeout,
            first_byte_timeout=new.first_byte_timeout,
            whole_timeout=new.whole_timeout,
            idle_close=new.idle_close,
            max_queue=new.max_queue,
            max_queue_age=new.max_queue_age,
            max_backlog_bytes=new.max_backlog_bytes,
        ),
        drain_s=limits.drain_s,
        breaker=BreakerTerms(**told.sections.get("breaker", {})),
        terms=budget_terms(budget, told.values.get("requests", budget.requests)),
    )
