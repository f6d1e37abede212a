"""From the configuration to what each part is told: nothing is dropped on the way."""

from __future__ import annotations

import pwd
from dataclasses import replace
from ipaddress import ip_address

from shadow_agent.config import Limits, SessionKey, SessionKind
from shadow_agent.config.budget import Budget
from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.daemon.mirror import Session
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.settings import (
    admission,
    budget_terms,
    make_policy,
    tap_settings,
    worker_settings,
)
from shadow_agent.kernel.attach import Mechanism
from shadow_agent.kernel.tap import ByteBudget
from shadow_agent.policy.breaker import BreakerTerms
from shadow_agent.replay.limits import PoolLimits
from tests.unit.daemon.conftest import MakeConfig
from tests.unit.replay.bed import at

PLAN = Plan((), at(9090), ip_address("127.0.0.1"), guard=True, warnings=())


def test_the_tap(make_config: MakeConfig) -> None:
    """Ports, shadow, shards, sample and the way to attach."""
    config = make_config(ports=(80, 8080), workers=3, sample=0.25, mechanism="clsact")
    settings = tap_settings(config, PLAN)
    assert settings.ports == (80, 8080)
    assert settings.shadow == (PLAN.address, 9090)
    assert settings.guard
    assert settings.shards == 3
    assert settings.sample == 0.25
    assert settings.mechanism is Mechanism.CLSACT
    assert settings.ring_bytes == config.limits.ring_bytes


def test_the_byte_budget(make_config: MakeConfig) -> None:
    """None by default; a second's worth at once unless it is said."""
    assert tap_settings(make_config(), PLAN).byte_budget is None
    some = make_config(budget=Budget(bytes_per_s=9))
    assert tap_settings(some, PLAN).byte_budget == ByteBudget(9, 9)
    more = make_config(budget=Budget(bytes_per_s=9, bytes_burst=4))
    assert tap_settings(more, PLAN).byte_budget == ByteBudget(9, 4)


def test_a_worker(make_config: MakeConfig) -> None:
    """Seconds become nanoseconds for those rooms that count in them."""
    limits = Limits(flow_idle_s=1.5, hold_s=0.25, max_queue=7, max_connections=9, drain_s=3)
    config = make_config(limits=limits, methods=None, session=SessionKey(SessionKind.COOKIE, "sid"))
    settings = worker_settings(config, PLAN, pwd.getpwuid(0))
    assert settings.shard == 0
    assert settings.endpoint == PLAN.endpoint
    assert settings.budget is None
    assert settings.methods is None
    assert settings.session == Session("cookie", "sid")
    assert settings.flow_limits.idle_ns == 1_500_000_000
    assert settings.flow_limits.hold_ns == 250_000_000
    assert settings.http_limits.max_head == limits.max_head_bytes
    assert (settings.pool_limits.max_queue, settings.pool_limits.max_connections) == (7, 9)
    assert settings.drain_s == 3


def test_the_defaults_agree(make_config: MakeConfig) -> None:
    """The pool's own defaults are those of the configuration."""
    settings = worker_settings(make_config(), PLAN, pwd.getpwuid(0))
    assert settings.pool_limits == PoolLimits()


def test_writes_are_closed_unless_somebody_opens_them(make_config: MakeConfig) -> None:
    """By configuration, or by a word of the supervisor's."""
    for unguarded in (False, True):
        config = make_config(unguarded=unguarded)
        settings = worker_settings(config, PLAN, pwd.getpwuid(0))
        assert make_policy(config, b"").writes_open is unguarded
        assert make_policy(settings, b"").writes_open is unguarded
        told = replace(settings, writes_open=not unguarded)
        assert make_policy(told, b"").writes_open is not unguarded


def test_a_shadow_on_the_same_host_may_be_a_client_too(make_config: MakeConfig) -> None:
    """Its requests are no loop then; where it is another host they are."""
    user = pwd.getpwuid(0)
    assert worker_settings(make_config(), PLAN, user).loop_address == PLAN.endpoint.key
    assert worker_settings(make_config(), replace(PLAN, guard=False), user).loop_address == b""


def test_what_a_worker_asks_before_it_sends(make_config: MakeConfig) -> None:
    """The breaker unless it is off, and the page of budgets."""
    off = make_config(breaker=BreakerTerms(enabled=False), budget=Budget(requests_per_s=5))
    user = pwd.getpwuid(0)
    asked = admission(worker_settings(make_config(), PLAN, user))
    assert (asked.breaker is None, asked._purse is None) == (False, True)
    page = BudgetPage(budget_terms(off.budget, off.most_requests), off.workers)
    try:
        asked = admission(worker_settings(off, PLAN, user, page))
        assert (asked.breaker is None, asked._purse is None) == (True, False)
    finally:
        page.close()
