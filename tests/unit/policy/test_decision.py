"""What may be sent to the shadow, decided on heads alone."""

from __future__ import annotations

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.decision import SAFE_METHODS, Policy
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
    policy = Policy(None, SHADOW)
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
