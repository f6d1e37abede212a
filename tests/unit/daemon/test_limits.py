"""Every limit of the configuration reaches its room."""

from __future__ import annotations

from shadow_agent.config import Limits
from shadow_agent.daemon.limits import flow_limits, http_limits, kept_answer, pool_limits
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.rule import Part, Place
from tests.unit.daemon.conftest import MakeConfig

LIMITS = Limits(
    max_flows=1,
    max_held_bytes_per_flow=2,
    max_held_bytes=3,
    flow_idle_s=4.5,
    hold_s=0.5,
    max_head_bytes=5,
    head_s=1.5,
    max_heads_per_source=14,
    max_message_bytes=15,
    connect_timeout_s=6.0,
    first_byte_timeout_s=7.0,
    whole_timeout_s=8.0,
    idle_close_s=9.0,
    max_connections=10,
    max_queue=11,
    max_queue_age_s=12.0,
    max_backlog_bytes=13,
)


def test_flows() -> None:
    """Seconds become nanoseconds; acknowledgements prove nothing where packets are reordered."""
    found = flow_limits(LIMITS)
    assert found[:5] == (1, 2, 3, 4_500_000_000, 500_000_000)
    assert found.acks_prove_loss
    assert flow_limits(LIMITS, acks_prove_loss=False) == found._replace(acks_prove_loss=False)


def test_messages() -> None:
    """The longest head, how long it may take, how many of them, and what all may hold."""
    found = http_limits(LIMITS)
    assert found.max_head == 5
    assert found.head_ns == 1_500_000_000
    assert found.max_heads_per_source == 14
    assert found.max_held_bytes == 15
    assert found.max_kept_answer == 0
    assert http_limits(LIMITS, 16).max_kept_answer == 16


def test_the_pool() -> None:
    """Times in seconds, and no body limit but its own."""
    assert pool_limits(LIMITS)[:9] == (6.0, 7.0, 8.0, 9.0, 10, 11, 12.0, 13, 5)


def test_answers_are_kept_for_aliases_only(make_config: MakeConfig) -> None:
    """And of those only for what is looked for in bodies."""
    source = Place(Part.JSON, "$.id")
    wanted = make_config(aliases=(AliasRule(source=source),))
    assert kept_answer(make_config()) == 0
    assert kept_answer(wanted) == wanted.identity.max_body_bytes > 0
