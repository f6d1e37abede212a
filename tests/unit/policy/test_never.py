"""Rules that an earlier one leaves nothing to."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from shadow_agent.policy.never import covers, shadowed
from shadow_agent.policy.rule import Action, Rule


def rule(action: Action = Action.REPLAY, **given: Any) -> Rule:
    """A rule without a name of its own."""
    methods = given.pop("methods", None)
    return Rule(
        name="r",
        action=action,
        methods=None if methods is None else frozenset(methods.split(",")),
        sources=tuple(map(ip_network, given.pop("sources", ()))),
        **given,
    )


DROP = Action.DROP


@pytest.mark.parametrize(
    ("one", "other", "covered"),
    [
        (rule(DROP), rule(methods="POST", path="/a"), True),
        (rule(DROP, methods="POST"), rule(DROP), False),
        (rule(methods="POST,PUT"), rule(methods="PUT"), True),
        (rule(methods="PUT"), rule(methods="POST,PUT"), False),
        # a rule without methods takes what --methods says, not more
        (rule(), rule(methods="GET"), True),
        (rule(), rule(methods="POST"), False),
        (rule(), rule(), True),
        (rule(), rule(DROP), False),
        (rule(methods="GET,HEAD,OPTIONS"), rule(), False),
        (rule(DROP, path="/a/**"), rule(DROP, path="/a/{id}"), True),
        (rule(DROP, path="/a/{id}"), rule(DROP, path="/a/**"), False),
        (rule(DROP, path="/a"), rule(DROP), False),
        (rule(DROP, host="a.example"), rule(DROP, host="a.example"), True),
        (rule(DROP, host="*"), rule(DROP, host="a.example"), True),
        (rule(DROP, host="*.example"), rule(DROP, host="a.example"), True),
        (rule(DROP, host="*.example"), rule(DROP, host="*.a.example"), True),
        (rule(DROP, host="a?.example"), rule(DROP, host="ab.example"), False),
        (rule(DROP, host="a.example"), rule(DROP), False),
        (rule(DROP, headers=(("x", "1"),)), rule(DROP, headers=(("x", "1"), ("y", "2"))), True),
        (rule(DROP, headers=(("x", "*"),)), rule(DROP, headers=(("x", "1"),)), True),
        (rule(DROP, headers=(("x", "1"),)), rule(DROP, headers=(("x", "2"),)), False),
        (rule(DROP, sources=["10.0.0.0/8"]), rule(DROP, sources=["10.1.0.0/16"]), True),
        (rule(DROP, sources=["10.0.0.0/8"]), rule(DROP, sources=["10.1.0.0/16", "::/0"]), False),
        (rule(DROP, sources=["10.0.0.0/8"]), rule(DROP), False),
    ],
)
def test_covers(one: Rule, other: Rule, covered: bool) -> None:
    """Only what is certain: every dimension of it."""
    assert covers(one, other) is covered


def test_the_first_that_is_shadowed() -> None:
    """And by which."""
    rules = [rule(DROP, path="/b"), rule(DROP, path="/a/**"), rule(DROP, path="/a/b"), rule(DROP)]
    assert shadowed(rules) == (2, 1)
    assert shadowed(rules[:2] + rules[3:]) is None
    assert shadowed([]) is None
