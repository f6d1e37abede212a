"""The configuration's limits, as each room is told its own."""

from __future__ import annotations

from typing import Final

from shadow_agent.config import Config, Limits
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.http.exchange import Limits as HttpLimits
from shadow_agent.policy.rule import Part
from shadow_agent.replay.limits import PoolLimits

_NS: Final = 1_000_000_000


def flow_limits(limits: Limits, *, acks_prove_loss: bool = True) -> FlowLimits:
    """For the flow room; ``acks_prove_loss`` is false where packets may come in another order."""
    return FlowLimits(
        max_flows=limits.max_flows,
        max_held_bytes_per_flow=limits.max_held_bytes_per_flow,
        max_held_bytes_total=limits.max_held_bytes,
        idle_ns=round(limits.flow_idle_s * _NS),
        hold_ns=round(limits.hold_s * _NS),
        acks_prove_loss=acks_prove_loss,
    )


def kept_answer(config: Config) -> int:
    """Bytes of an answer's body that are kept, because values are looked for in it."""
    wanted = any(rule.source.part is Part.JSON for rule in config.aliases)
    return config.identity.max_body_bytes if wanted else 0


def http_limits(limits: Limits, kept: int = 0) -> HttpLimits:
    """For the http room; ``kept`` as `kept_answer`."""
    return HttpLimits(
        max_head=limits.max_head_bytes,
        max_held_bytes=limits.max_message_bytes,
        head_ns=round(limits.head_s * _NS),
        max_heads_per_source=limits.max_heads_per_source,
        max_kept_answer=kept,
    )


def pool_limits(limits: Limits, kept: int = 0) -> PoolLimits:
    """For the replay room; ``kept`` as `kept_answer`."""
    return PoolLimits(
        connect_timeout=limits.connect_timeout_s,
        first_byte_timeout=limits.first_byte_timeout_s,
        whole_timeout=limits.whole_timeout_s,
        idle_close=limits.idle_close_s,
        max_connections=limits.max_connections,
        max_queue=limits.max_queue,
        max_queue_age=limits.max_queue_age_s,
        max_backlog_bytes=limits.max_backlog_bytes,
        max_reply_head=limits.max_head_bytes,
        max_kept_reply=kept,
    )
