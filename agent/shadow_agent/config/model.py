"""What an attachment is told to do: frozen values, valid once they exist.

Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path
from typing import Literal

from shadow_agent.config.budget import Budget
from shadow_agent.config.compare import Compare, Tolerate
from shadow_agent.config.egress import Egress
from shadow_agent.config.gate import Gate
from shadow_agent.config.governor import GovernorConfig
from shadow_agent.config.identity import IdentityOptions, Namespace
from shadow_agent.config.privacy import Privacy
from shadow_agent.config.values import SessionKey, ShadowUrl
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.breaker import BreakerTerms
from shadow_agent.policy.rule import SAFE_METHODS, Rule

LoaderName = Literal["auto", "libbpf", "bcc"]
MechanismName = Literal["auto", "tcx", "clsact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds memory and time. Each field says what happens to what is over it."""

    # One worker's ring: a power of two. Above some MiB it leaves the cache and costs production.
    # A full ring loses the record: packets.ring_full.
    ring_bytes: int = 2 << 20
    # Flows one worker tracks; the one used longest ago is evicted: segments.evicted.
    max_flows: int = 131_072
    # Out-of-order bytes held back, per flow and in one worker; over it they become a gap.
    max_held_bytes_per_flow: int = 8 << 20
    max_held_bytes: int = 64 << 20
    # Request line and headers; nginx and Apache stop at 8 to 64 KiB. Over it: requests.oversize.
    max_head_bytes: int = 64 << 10
    # How long a request's head may stay unfinished, and how many of one client's may be at a time;
    # over it the oldest is given up: requests.evicted. nginx and Apache wait 40 to 60 s.
    head_s: float = 60.0
    max_heads_per_source: int = 256
    # Unfinished heads and unanswered requests of one worker; over it the flow that has been holding
    # longest gives them up: requests.evicted, exchanges.unanswered.evicted.
    max_message_bytes: int = 64 << 20
    # A flow silent for this long is evicted, its open exchange as exchanges.unanswered.evicted;
    # longer than common keep-alive times (nginx: 75 s).
    flow_idle_s: float = 120.0
    # How long a hole is waited for before it is a gap.
    hold_s: float = 2.0
    # Deadlines on the shadow; over one: compared, with the outcome timeout.
    connect_timeout_s: float = 1.0
    first_byte_timeout_s: float = 10.0
    whole_timeout_s: float = 30.0
    # An unused shadow connection is closed, before most servers (60 to 75 s) would close it.
    idle_close_s: float = 15.0
    # Shadow connections of one worker; over it: replay.shed.connections.
    max_connections: int = 1024
    # Requests waiting on one shadow connection; over it: replay.shed.queue_full.
    max_queue: int = 64
    # How long a request may wait there; over it: replay.shed.age.
    max_queue_age_s: float = 5.0
    # Bytes waiting on one shadow connection; over it: replay.shed.backlog_bytes.
    max_backlog_bytes: int = 4 << 20
    # After detaching, how long open exchanges may take to finish.
    drain_s: float = 5.0
    # Endpoints told apart in the summary; the rest is summed under one name.
    max_endpoints: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One attachment. ``load`` makes and checks it."""

    interfaces: tuple[str, ...]
    ports: tuple[int, ...]
    shadow: ShadowUrl
    target: str
    shadow_interface: str | None = None
    sample: float = 1.0
    # How many times as fast as it was captured a file is replayed; inf: as the shadow takes it.
    speed: float = 1.0
    duration_s: float | None = None
    requests: int | None = None
    # None: every method is replayed.
    methods: frozenset[str] | None = SAFE_METHODS
    rules: tuple[Rule, ...] = ()
    # Writes go out although no guard keeps what the shadow build does with them from the world.
    unguarded: bool = False
    # Decide and count, and open no connection to the shadow.
    dry_run: bool = False
    workers: int = 1
    data_dir: Path = Path("/var/lib/shadow-agent")
    # Where metrics are served: host (IPv6 without brackets) and port.
    metrics: tuple[str, int] | None = None
    # The guard of the shadow host: where it says hello, the key shared with it, and its record
    # where that is fetched by other means.
    guard: tuple[str, int] | None = None
    guard_key: Path | None = None
    guard_calls: Path | None = None
    # Where production's own outgoing calls pass.
    observe_egress: Egress | None = None
    loader: LoaderName = "auto"
    json: bool = False
    allow_same_interface: bool = False
    require_shadow: bool = False
    # Replay sockets live in a namespace of their own, on a macvlan child of the shadow interface.
    isolate: bool = False
    isolate_address: IPv4Interface | IPv6Interface | None = None
    isolate_gateway: IPv4Address | IPv6Address | None = None
    # Keep connections to the shadow out of this host's conntrack table where that works.
    notrack: Literal["auto", "off"] = "auto"
    # Filter the system calls of children; "auto": where the host can.
    seccomp: Literal["auto", "require", "off"] = "auto"
    mechanism: MechanismName = "auto"
    # None: ``shadow-agent`` if there is such a user, else ``nobody``; see ``unprivileged_user``.
    user: str | None = None
    runtime_dir: Path = Path("/run/shadow-agent")
    session: SessionKey = field(default_factory=SessionKey)
    production_build: str = "unknown"
    shadow_build: str = "unknown"
    limits: Limits = field(default_factory=Limits)
    gate: Gate = field(default_factory=Gate)
    budget: Budget = field(default_factory=Budget)
    breaker: BreakerTerms = field(default_factory=BreakerTerms)
    identity: IdentityOptions = field(default_factory=IdentityOptions)
    # In addition to what Set-Cookie and Location teach.
    aliases: tuple[AliasRule, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    compare: Compare = field(default_factory=Compare)
    tolerated: tuple[Tolerate, ...] = ()
    privacy: Privacy = field(default_factory=Privacy)
    # A new pcapng file for what was copied, after redaction, and the bytes it may take. Over them
    # nothing more goes in: written.lost.full.
    write: Path | None = None
    write_limit: int = 1 << 30
    governor: GovernorConfig = field(default_factory=GovernorConfig)
    debug: bool = False

    @property
    def most_requests(self) -> int | None:
        """How many are replayed before the run ends; None for no end."""
        return self.requests if self.requests is not None else self.budget.requests

    @property
    def most_seconds(self) -> float | None:
        """How long the run lasts; None for no end."""
        return self.duration_s if self.duration_s is not None else self.budget.wall_s
