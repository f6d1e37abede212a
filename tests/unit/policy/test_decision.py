"""What may be sent to the shadow, decided on heads alone."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.decision import SAFE_METHODS, Policy
from shadow_agent.policy.rule import Action, Rule
from shadow_agent.policy.rules import RuleSet
from shadow_agent.telemetry.reasons import Refused

SHADOW = bytes(10) + b"\xff\xff\xc0\x00\x02\x09"


def asked(method: str = "GET", fields: str = "", client: str = "192.0.2.1") -> Exchange:
    """A request of production's client."""
    target = "a:1" if method == "CONNECT" else "/"
    head = parse_request(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
    assert isinstance(head, RequestHead)
    key = flow_key(client, 4000, "198.51.100.7", 80)
    return Exchange(1, key, "s", head, 0, 0, 0, unsure=False)


@pytest.mark.parametrize("method", sorted(SAFE_METHODS))
def test_safe_methods_may(method: str) -> None:
    """They change nothing in a service that keeps to RFC 9110."""
    assert Policy(SAFE_METHODS, SHADOW).refuse(asked(method)) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"])
def test_what_is_not_allowed_is_refused(method: str) -> None:
    """Default-deny."""
    assert Policy(SAFE_METHODS, SHADOW).refuse(asked(method)) is Refused.METHOD


def test_all_methods() -> None:
    """None allows each, but not what would leave HTTP."""
    policy = Policy(None, SHADOW, writes_open=True)
    assert policy.refuse(asked("POST")) is None
    assert policy.refuse(asked("CONNECT")) is Refused.UPGRADE
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n"
    assert policy.refuse(asked(fields=upgrade)) is Refused.UPGRADE


def test_the_shadow_s_own_requests() -> None:
    """Replaying what it asks of production could go on for ever."""
    policy = Policy(SAFE_METHODS, SHADOW)
    assert policy.refuse(asked(client="192.0.2.9")) is Refused.LOOP


def test_a_limit_counts_what_may_go_out() -> None:
    """What is refused for another reason uses none of it."""
    budget = iter([True, True, False])
    policy = Policy(SAFE_METHODS, SHADOW, lambda: next(budget))
    answers = [policy.refuse(asked(method)) for method in ("POST", "GET", "POST", "GET", "GET")]
    assert answers == [Refused.METHOD, None, Refused.METHOD, None, Refused.REQUEST_LIMIT]


def test_paused() -> None:
    """Before any other reason; it goes on where it was."""
    policy = Policy(SAFE_METHODS, SHADOW, iter([True]).__next__)
    policy.paused = True
    assert policy.refuse(asked("POST")) is Refused.PAUSED
    assert policy.refuse(asked()) is Refused.PAUSED
    policy.paused = False
    assert policy.refuse(asked()) is None


def with_rules(*rules: Rule, writes_open: bool = True, **given: Any) -> Policy:
    """The default beside these rules."""
    return Policy(
        SAFE_METHODS,
        SHADOW,
        rules=RuleSet(rules, SAFE_METHODS),
        writes_open=writes_open,
        **given,
    )


POSTS = Rule(name="posts", action=Action.REPLAY, methods=frozenset({"POST"}), path="/")


def test_a_write_needs_a_rule_and_a_guard() -> None:
    """Neither alone sends it; whatever opened it."""
    assert Policy(SAFE_METHODS, SHADOW, writes_open=True).refuse(asked("POST")) is Refused.METHOD
    assert Policy(None, SHADOW).refuse(asked("POST")) is Refused.UNGUARDED
    policy = with_rules(POSTS, writes_open=False)
    assert policy.refuse(asked("POST")) is Refused.UNGUARDED
    assert policy.refuse(asked("GET")) is None
    policy.writes_open = True
    assert policy.refuse(asked("POST")) is None
    assert policy.refuse(asked("PUT")) is Refused.METHOD
    policy.writes_open = False
    assert policy.refuse(asked("POST")) is Refused.UNGUARDED
    assert policy.counts == {"posts": {"unguarded": 2, "passed": 1}}


def test_a_read_that_frameworks_take_for_a_write() -> None:
    """X-HTTP-Method-Override makes it one."""
    hidden = asked(fields="X-HTTP-Method-Override: DELETE\r\n")
    assert Policy(SAFE_METHODS, SHADOW, writes_open=True).refuse(hidden) is Refused.METHOD
    assert Policy(None, SHADOW).refuse(hidden) is Refused.UNGUARDED
    assert Policy(SAFE_METHODS, SHADOW).refuse(asked(fields="X-Method-Override: get\r\n")) is None


def test_what_a_rule_says() -> None:
    """Dropped, let out, or in doubt; the exchange carries the rule, and counts are by its name."""
    drop = Rule(name="d", action=Action.DROP, headers=(("x", "1"),))
    tag = Rule(name="t", action=Action.TAG, tag="X-Dry: 1", headers=(("y", "1"),))
    policy = with_rules(drop, tag, POSTS)
    dropped, tagged = asked(fields="X: 1\r\n"), asked(fields="Y: 1\r\n")
    assert policy.refuse(dropped) is Refused.RULE
    assert (policy.refuse(tagged), tagged.rule) == (None, tag)
    assert policy.refuse(asked(fields="Y: 1\r\nY: 2\r\n")) is Refused.AMBIGUOUS
    plain = asked()
    assert (policy.refuse(plain), plain.rule) == (None, None)
    assert policy.counts == {"d": {"rule": 1}, "t": {"passed": 1, "ambiguous": 1}}


def test_a_rule_lets_out_no_more_than_the_default_would() -> None:
    """Loops, upgrades and the limit hold whatever a rule says."""
    tag = Rule(name="t", action=Action.TAG, tag="X-Dry: 1")
    policy = with_rules(tag, take=iter([True, False]).__next__)
    assert policy.refuse(asked(client="192.0.2.9")) is Refused.LOOP
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n"
    assert policy.refuse(asked(fields=upgrade)) is Refused.UPGRADE
    assert policy.refuse(asked()) is None
    assert policy.refuse(asked()) is Refused.REQUEST_LIMIT


def test_what_would_be_refused_now() -> None:
    """For requests that wait while the rules change: as refuse, but nothing is counted."""
    drop = Rule(name="d", action=Action.DROP, headers=(("x", "1"),))
    tag = Rule(name="t", action=Action.TAG, tag="X-Dry: 1", headers=(("y", "1"),))
    policy = with_rules(drop, tag)
    assert policy.drops(asked(fields="X: 1\r\n"))
    assert not policy.drops(asked(fields="Y: 1\r\n"))
    assert policy.drops(asked(fields="Y: 1\r\nY: 2\r\n"))  # in doubt
    assert not policy.drops(asked())
    assert policy.drops(asked("POST"))
    policy.change(None, None)
    assert not policy.drops(asked("POST"))
    assert policy.counts == {}


def test_a_dry_run() -> None:
    """Refuses what would go out, last of all, and takes nothing from the budget."""
    policy = with_rules(POSTS, take=iter([]).__next__, dry_run=True)
    assert policy.refuse(asked("PUT")) is Refused.METHOD
    assert policy.refuse(asked("POST")) is Refused.DRY_RUN
    assert policy.refuse(asked()) is Refused.DRY_RUN
    assert policy.counts == {"posts": {"dry_run": 1}}


def test_other_rules() -> None:
    """From the next request on; what was counted stays."""
    policy = with_rules(POSTS)
    assert policy.refuse(asked("POST")) is None
    policy.change(frozenset({"PUT"}), None)
    assert policy.refuse(asked("POST")) is Refused.METHOD
    assert policy.refuse(asked("PUT")) is None
    assert policy.counts == {"posts": {"passed": 1}}
