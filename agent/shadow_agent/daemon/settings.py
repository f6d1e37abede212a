"""From the configuration to what each part is told."""

from __future__ import annotations

import pwd
from dataclasses import dataclass

from shadow_agent.config import Config
from shadow_agent.daemon.budget import RequestBudget
from shadow_agent.daemon.limits import flow_limits, http_limits, pool_limits
from shadow_agent.daemon.mirror import Session
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.seccomp import NO_SANDBOX, Sandbox
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.http.exchange import Limits as HttpLimits
from shadow_agent.kernel.attach import Mechanism
from shadow_agent.kernel.tap import TapSettings
from shadow_agent.replay.pool import PoolLimits
from shadow_agent.replay.sockets import Endpoint


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told; everything else it finds out from the wire."""

    shard: int
    shards: int
    ring_bytes: int
    user: pwd.struct_passwd
    endpoint: Endpoint
    methods: frozenset[str] | None
    budget: RequestBudget | None
    loop_address: bytes  # requests from there are the shadow's own; b"" when it shares this host
    session: Session
    flow_limits: FlowLimits
    http_limits: HttpLimits
    pool_limits: PoolLimits
    drain_s: float
    debug: bool
    sandbox: Sandbox = NO_SANDBOX


def tap_settings(config: Config, plan: Plan) -> TapSettings:
    """For the kernel."""
    return TapSettings(
        target=config.target,
        ports=config.ports,
        shadow=(plan.address, config.shadow.port),
        guard=plan.guard,
        shards=config.workers,
        ring_bytes=config.limits.ring_bytes,
        sample=config.sample,
        mechanism=Mechanism(config.mechanism),
    )


def worker_settings(
    config: Config,
    plan: Plan,
    user: pwd.struct_passwd,
    budget: RequestBudget | None = None,
    sandbox: Sandbox = NO_SANDBOX,
) -> WorkerSettings:
    """For the worker of shard 0; the others differ in the shard only."""
    limits = config.limits
    return WorkerSettings(
        shard=0,
        shards=config.workers,
        ring_bytes=limits.ring_bytes,
        user=user,
        endpoint=plan.endpoint,
        methods=config.methods,
        budget=budget,
        # on one host client and shadow may have the same address, on loopback always
        loop_address=plan.endpoint.key if plan.guard else b"",
        session=Session(str(config.session.kind), config.session.name),
        flow_limits=flow_limits(limits),
        http_limits=http_limits(limits),
        pool_limits=pool_limits(limits),
        drain_s=limits.drain_s,
        debug=config.debug,
        sandbox=sandbox,
    )
