"""What it costs to decide: each exchange waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.decision import Policy
from shadow_agent.policy.rule import SAFE_METHODS, Action, Rule
from shadow_agent.policy.rules import RuleSet
from tests.bench.figure import Figure, Target, at_most, median

_ROUNDS: Final = 5
_CALLS: Final = 20_000
_KEY: Final = flow_key("192.0.2.1", 4000, "198.51.100.7", 80)
_FIELDS: Final = (
    "Host: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    "Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"
)


def policy() -> list[Figure]:
    """The decision alone, by rules: none, fifty, and fifty that are hard to tell apart."""
    part = "policy: to decide on one exchange"
    fifty = [_rule(number) for number in range(50)]
    fields = [
        Rule(name=f"r{number}", action=Action.DROP, headers=((f"x-{number}", "a*"),))
        for number in range(50)
    ]
    target = at_most(10, "µs")
    return [
        _figure(part, "default only", [], _asked("/api/v1/items/7?q=1"), at_most(1, "µs")),
        _figure(part, "50 rules, none matches", fifty, _asked("/api/v1/items/7?q=1"), target),
        _figure(part, "50 rules, the last matches", fifty, _asked("/api/v1/t49/7/x"), target),
        _figure(part, "50 rules, encoded path", fifty, _asked("/api/v1/t48/a%20b"), target),
        _figure(part, "50 rules by field", fields, _asked("/"), target),
    ]


def _rule(number: int) -> Rule:
    rest = "/**" if number % 2 else ""
    return Rule(
        name=f"r{number}",
        action=Action.DROP if number % 3 else Action.REPLAY,
        path=f"/api/v1/t{number}/{{id}}{rest}",
        host=None if number % 5 else "*.example.com",
    )


def _asked(target: str) -> Exchange:
    head = parse_request(f"GET {target} HTTP/1.1\r\n{_FIELDS}".encode())
    if not isinstance(head, RequestHead):
        raise TypeError(head.reason)
    return Exchange(1, _KEY, "s", head, 0, 0, 0)


def _figure(part: str, name: str, rules: list[Rule], exchange: Exchange, target: Target) -> Figure:
    made = RuleSet(rules, SAFE_METHODS) if rules else None
    decide = Policy(SAFE_METHODS, bytes(16), rules=made).refuse
    return median(part, name, [_each(decide, exchange) for _ in range(_ROUNDS)], "µs", target)


def _each(decide: Callable[[Exchange], object], exchange: Exchange) -> float:
    began = time.perf_counter()
    for _ in range(_CALLS):
        decide(exchange)
    return (time.perf_counter() - began) / _CALLS * 1e6
