"""From the configuration to what each part is told."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shadow_agent.compare.comparison import Comparer
from shadow_agent.compare.options import Options
from shadow_agent.config import Config
from shadow_agent.config.budget import Budget as BudgetConfig
from shadow_agent.config.compare import options_of
from shadow_agent.config.identity import outgoing_settings
from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.daemon.limits import flow_limits, http_limits, kept_answer, pool_limits
from shadow_agent.daemon.mirror import Session
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.seccomp import NO_SANDBOX, Sandbox
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.http.exchange import Limits as HttpLimits
from shadow_agent.kernel.attach import Mechanism
from shadow_agent.kernel.tap import ByteBudget, TapSettings
from shadow_agent.policy.breaker import Breaker, BreakerTerms
from shadow_agent.policy.budget import Bucket, Terms, millionths
from shadow_agent.policy.decision import Policy
from shadow_agent.policy.outgoing import Settings as OutgoingSettings
from shadow_agent.policy.rule import Rule
from shadow_agent.policy.rules import RuleSet
from shadow_agent.replay.admission import Admission
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.sockets import Endpoint

if TYPE_CHECKING:  # their libraries cost 16 MB, which who keeps nothing need not pay
    from shadow_agent.daemon.evidence import EvidenceSettings
    from shadow_agent.daemon.written import WriteSettings

# A worker reports twice a second.
_REPORTS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told; everything else it finds out from the wire."""

    shard: int
    shards: int
    ring_bytes: int
    user: pwd.struct_passwd
    endpoint: Endpoint
    methods: frozenset[str] | None
    rules: tuple[Rule, ...]
    writes_open: bool
    link_up: bool  # the shadow interface
    dry_run: bool
    budget: BudgetPage | None
    breaker: BreakerTerms
    loop_address: bytes  # requests from there are the shadow's own; b"" when it shares this host
    session: Session
    run_id: str
    outgoing: OutgoingSettings
    flow_limits: FlowLimits
    http_limits: HttpLimits
    pool_limits: PoolLimits
    drain_s: float
    debug: bool
    compare: Options
    sandbox: Sandbox = NO_SANDBOX
    evidence: EvidenceSettings | None = None
    write: WriteSettings | None = None
    data_limit: int | None = None  # bytes; None: a control group bounds them


def make_policy(
    told: WorkerSettings | Config, loop_address: bytes, take: Callable[[], bool] | None = None
) -> Policy:
    """As it was told, by a supervisor or by the configuration itself."""
    open_ = told.unguarded if isinstance(told, Config) else told.writes_open
    return Policy(
        told.methods,
        loop_address,
        take,
        rules=rules_of(told),
        writes_open=open_,
        dry_run=told.dry_run,
    )


def rules_of(told: WorkerSettings | Config) -> RuleSet | None:
    """Compiled; None costs nothing for each request."""
    return RuleSet(told.rules, told.methods) if told.rules else None


def comparer_of(told: WorkerSettings | Config) -> Comparer:
    """By what is tolerated today."""
    if isinstance(told, Config):
        comparer = Comparer(options_of(told.compare, told.tolerated))
    else:
        comparer = Comparer(told.compare)
    comparer.on(datetime.now(UTC).date())
    return comparer


def byte_budget(config: Config) -> ByteBudget | None:
    """What the kernel may copy; a second's worth at once unless it is said."""
    rate = config.budget.bytes_per_s
    return None if rate is None else ByteBudget(rate, config.budget.bytes_burst or rate)


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
        byte_budget=byte_budget(config),
    )


def budget_terms(budget: BudgetConfig, requests: int | None) -> Terms:
    """The bounds that all workers keep together; ``requests`` in all."""
    rate = budget.requests_per_s
    return Terms(
        requests=requests,
        cost=None if budget.cost is None else millionths(budget.cost),
        concurrent=budget.concurrent,
        bucket=None if rate is None else Bucket.of(rate, budget.burst_or_default()),
    )


def spending_patience_s(config: Config) -> float:
    """By when a request that was taken from the budget has gone out, or has been reported lost."""
    return config.limits.connect_timeout_s + _REPORTS_S


def longest_s(limits: PoolLimits) -> float:
    """By when a request that goes out has ended, whatever becomes of it."""
    return limits.connect_timeout + limits.whole_timeout + limits.max_queue_age


def admission(settings: WorkerSettings) -> Admission:
    """What one worker asks before it sends."""
    terms, budget = settings.breaker, settings.budget
    breaker = Breaker(terms, longest_s(settings.pool_limits)) if terms.enabled else None
    return Admission(breaker, None if budget is None else budget.purse(settings.shard))


def worker_settings(
    config: Config,
    plan: Plan,
    user: pwd.struct_passwd,
    budget: BudgetPage | None = None,
    sandbox: Sandbox = NO_SANDBOX,
    run_id: str = "",
    evidence: EvidenceSettings | None = None,
    write: WriteSettings | None = None,
) -> WorkerSettings:
    """For the worker of shard 0; the others differ in the shard only."""
    limits, kept = config.limits, kept_answer(config)
    return WorkerSettings(
        shard=0,
        shards=config.workers,
        ring_bytes=limits.ring_bytes,
        user=user,
        endpoint=plan.endpoint,
        methods=config.methods,
        rules=config.rules,
        writes_open=config.unguarded,
        link_up=True,
        dry_run=config.dry_run,
        budget=budget,
        breaker=config.breaker,
        # on one host client and shadow may have the same address, on loopback always
        loop_address=plan.endpoint.key if plan.guard else b"",
        session=Session(str(config.session.kind), config.session.name),
        run_id=run_id,
        outgoing=outgoing_settings(
            config.identity, config.aliases, config.namespaces, limits.max_head_bytes
        ),
        flow_limits=flow_limits(limits),
        http_limits=http_limits(limits, kept),
        pool_limits=pool_limits(limits, kept),
        drain_s=limits.drain_s,
        debug=config.debug,
        compare=options_of(config.compare, config.tolerated),
        sandbox=sandbox,
        evidence=evidence,
        write=write,
    )
