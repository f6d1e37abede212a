"""What it costs to decide: each exchange waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shadow_agent.daemon.sessions import Session, Sessions
from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import Malformed, RequestHead, parse_request, parse_response
from shadow_agent.policy.decision import Policy
from shadow_agent.policy.outgoing import Outgoing, Settings
from shadow_agent.policy.rule import SAFE_METHODS, Action, Rule
from shadow_agent.policy.rules import RuleSet
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.reply import Reply
from tests.bench.figure import Figure, Target, at_most, median

_ROUNDS: Final = 5
_CALLS: Final = 20_000
_KEY: Final = flow_key("192.0.2.1", 4000, "198.51.100.7", 80)
_USERS: Final = 20_000
_FIELDS_OF_ALL: Final = (
    "Host: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    "Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br\r\n"
)
_FIELDS: Final = f"{_FIELDS_OF_ALL}Cookie: sid=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n"


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
        *_whole(fifty),
    ]


def _whole(fifty: list[Rule]) -> list[Figure]:
    """All that policy does with an exchange: decide, mark, alias, learn from both answers.

    Each request is another user's, on another connection, with a head never seen before; every
    eighth answer begins a session. Redaction is off by default: what is stored pays for it.
    """
    part = "policy: all of it, for one exchange"
    figures = []
    for name, rules, most in (("shipped defaults", [], 4), ("50 rules", fifty, 20)):
        each = [_pass(rules) for _ in range(_ROUNDS)]
        figures.append(median(part, name, each, "µs", at_most(most, "µs")))
    return figures


def _pass(rules: list[Rule]) -> float:
    made = RuleSet(rules, SAFE_METHODS) if rules else None
    decide = Policy(SAFE_METHODS, bytes(16), rules=made)
    outgoing = Outgoing(Settings(), "20260101T000000Z-abcdef-0.1")
    sessions = Sessions(Session("connection", ""), outgoing)
    pairs = [_answered(number) for number in range(_USERS)]
    began = time.perf_counter()
    for exchange, reply in pairs:
        sessions.begin(exchange)
        if decide.refuse(exchange) is not None:
            continue
        outgoing.ready(exchange, (), whole=True)
        outgoing.dress(exchange, ())
        replay = exchange.replay
        replay.reply = reply
        sessions.production_ended(exchange)
        sessions.shadow_ended(replay)
        sessions.diverged(exchange)
    return (time.perf_counter() - began) / _USERS * 1e6


def _answered(number: int) -> tuple[Exchange, Reply]:
    """An exchange that production has answered, and the shadow's answer."""
    target = f"/api/v1/items/{number}?page={number % 7}"
    user = f"Cookie: sid={number:032x}; theme=dark\r\n\r\n"
    head = parse_request(f"GET {target} HTTP/1.1\r\n{_FIELDS_OF_ALL}{user}".encode())
    cookie = f"Set-Cookie: sid={number * 7919:032x}; Path=/\r\n" if number % 8 == 0 else ""
    text = f"HTTP/1.1 200 OK\r\n{cookie}Content-Length: 2\r\n\r\n".encode()
    ours, theirs = parse_response(text), parse_response(text)
    if any(isinstance(one, Malformed) for one in (head, ours, theirs)):
        raise TypeError(target)
    key = flow_key("192.0.2.1", 1024 + number % 60_000, "198.51.100.7", 80)
    exchange = Exchange(number, key, f"c{number}", head, number, 0, 0)  # type: ignore[arg-type]
    exchange.response, exchange.answered = ours, True  # type: ignore[assignment]
    exchange.set_response_body(2, b"ok", None)
    exchange.replay = Replay(exchange, None, 0.0)  # type: ignore[arg-type]
    reply = Reply(head_only=False)
    reply.take_head(theirs)  # type: ignore[arg-type]
    reply.take_body(b"ok", 0, 2)
    return exchange, reply


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
