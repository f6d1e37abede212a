"""May this request be sent to the shadow?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead
from shadow_agent.policy.rule import SAFE_METHODS, Action
from shadow_agent.policy.rules import RuleSet
from shadow_agent.telemetry.reasons import Refused

__all__ = ["PASSED", "SAFE_METHODS", "Policy", "is_write"]

PASSED: Final = "passed"  # what a rule let through, beside the values of Refused
_DROP: Final = Action.DROP


class Policy:
    """Decides on heads alone, so that a body can stream. Default-deny: see docs/policy.md."""

    __slots__ = (
        "_dry",
        "_methods",
        "_rules",
        "_shadow",
        "_take",
        "counts",
        "paused",
        "writes_open",
    )

    def __init__(
        self,
        methods: frozenset[str] | None,
        shadow_address: bytes,
        take: Callable[[], bool] | None = None,
        *,
        rules: RuleSet | None = None,
        writes_open: bool = False,
        dry_run: bool = False,
    ) -> None:
        """``methods``: what goes out where no rule matches, None is all.

        ``shadow_address`` is 16 bytes as in a flow key. ``take`` takes one from the run's budget
        of requests, if it has one. ``writes_open``: a guard keeps the shadow's side effects from
        the world, or the operator said that none is needed. ``dry_run``: nothing goes out.
        """
        self._methods = methods
        self._shadow = shadow_address
        self._take = take
        self._rules = rules
        self._dry = dry_run
        self.writes_open = writes_open
        self.paused = False
        # by a rule's name: what became of the requests that it decided
        self.counts: dict[str, dict[str, int]] = {}

    def change(self, methods: frozenset[str] | None, rules: RuleSet | None) -> None:
        """Other rules from the next request on; what was counted by name stays."""
        self._methods = methods
        self._rules = rules

    def drops(self, exchange: Exchange) -> bool:
        """Whether it would be refused, were it judged by its head now; nothing is counted."""
        if self._rules is None or (match := self._rules.find(exchange)) is None:
            methods = self._methods
            return methods is not None and not _among(exchange.request, methods)
        exchange.rule = match.rule
        return match.rule.action is _DROP or not match.sure

    def refuse(self, exchange: Exchange) -> Refused | None:
        """The reason not to send it, or None: then it was taken from the budget.

        ``exchange.rule`` is then the rule that let it through, None for the default.
        """
        if self.paused:
            return Refused.PAUSED
        if self._rules is not None:
            match = self._rules.find(exchange)
            if match is not None:
                exchange.rule = match.rule
                if match.rule.action is _DROP:
                    why: Refused | None = Refused.RULE
                elif not match.sure:
                    why = Refused.AMBIGUOUS
                else:
                    why = self._refuse_sent(exchange)
                counts = self.counts.setdefault(match.rule.name, {})
                outcome = PASSED if why is None else why.value
                counts[outcome] = counts.get(outcome, 0) + 1
                return why
        methods = self._methods
        if methods is not None and not _among(exchange.request, methods):
            return Refused.METHOD
        return self._refuse_sent(exchange)

    def _refuse_sent(self, exchange: Exchange) -> Refused | None:
        """Whatever opened it."""
        request = exchange.request
        if not self.writes_open and is_write(request):
            return Refused.UNGUARDED
        if request.upgrade:
            return Refused.UPGRADE
        if exchange.flow_key[:16] == self._shadow:
            return Refused.LOOP
        if self._dry:
            return Refused.DRY_RUN
        if self._take is not None and not self._take():
            return Refused.REQUEST_LIMIT
        return None


def is_write(request: RequestHead) -> bool:
    """Whether it may change something in a service that keeps to RFC 9110."""
    return not _among(request, SAFE_METHODS)


def _among(request: RequestHead, methods: frozenset[str]) -> bool:
    """Whether the method is one of them, and so is what frameworks may take it for."""
    return request.method in methods and (
        not request.override or methods.issuperset(request.override)
    )
