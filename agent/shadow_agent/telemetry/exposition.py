"""What is known of one target at a time, for metrics; made without what renders them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.run import Cost, Interruption, Run, State
from shadow_agent.telemetry.snapshot import Snapshot


class Exposition(NamedTuple):
    """Everything one scrape shows of one target."""

    run: Run
    ledger: Ledger  # complete, as from Ledger.with_kernel
    snapshot: Snapshot  # all workers' merged
    state: State = State()
    interruptions: tuple[Interruption, ...] = ()
    alerts: int = 0  # raised so far
    cost: Cost | None = None
    untracked: int = 0  # packets over the byte budget for want of a slot in the kernel's table
    lowered_s: float = 0.0  # for how long less than the configured sample was mirrored
    kept: Mapping[str, Any] = {}  # on disk, as in the summary
