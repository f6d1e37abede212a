"""What an attachment is made of, made in the order in which it can be."""

from __future__ import annotations

import selectors
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from shadow_agent import __version__
from shadow_agent.config import Config, unprivileged_user
from shadow_agent.daemon.account import Account
from shadow_agent.daemon.audit import AuditTrail
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.budget import BudgetPage
from shadow_agent.daemon.control import ControlServer, Handler
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.effects import SideEffects
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.gate import make_gate
from shadow_agent.daemon.kept import FullDisk, Kept, open_kept
from shadow_agent.daemon.operator import Operator
from shadow_agent.daemon.own import Own
from shadow_agent.daemon.places import Places
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.process import allow_files
from shadow_agent.daemon.protection import Protection
from shadow_agent.daemon.retention import Retention
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.daemon.settings import (
    budget_terms,
    spending_patience_s,
    tap_settings,
    worker_settings,
)
from shadow_agent.daemon.spending import Spending
from shadow_agent.daemon.watch import Watch
from shadow_agent.daemon.writes import Writes
from shadow_agent.errors import HostError
from shadow_agent.kernel import nftables
from shadow_agent.kernel.attach import remove_stale
from shadow_agent.kernel.program import Loader, LoadError
from shadow_agent.kernel.tap import Tap
from shadow_agent.telemetry.run import Run

if TYPE_CHECKING:
    from shadow_agent.daemon.metrics import MetricsChild

# Files a worker needs beside one per shadow connection.
_SPARE_FILES: Final = 256


class Voice(Protocol):
    """How the parts are heard."""

    def say(self, text: str) -> None:
        """One line for whoever watches."""

    def alert(self, text: str) -> None:
        """The same, and it stays in status, summary and metrics."""

    def note(self, trouble: str | None) -> None:
        """What went wrong beside the thing itself, or None."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Loaded and listening; nothing is attached and nobody is forked yet but helpers."""

    tap: Tap
    fleet: Fleet
    places: Places
    account: Account
    dial: Dial
    operator: Operator
    audit: AuditTrail
    protection: Protection
    kept: Kept
    spending: Spending
    effects: SideEffects
    metrics: MetricsChild | None
    own: Own
    watches: tuple[Watch, ...]


def assemble(
    config: Config, plan: Plan, folder: RunFolder, stack: ExitStack,
    selector: selectors.BaseSelector, handler: Handler, voice: Voice,
    reload: Callable[[], dict[str, Any]],
) -> Parts:  # fmt: skip
    """Make them; whatever they open is undone by ``stack``. Raises UsageError, HostError."""
    for line in (*remove_stale(config.target), *nftables.remove_stale(config.target)):
        voice.say(f"removed what a killed agent left: {line}")
    user = unprivileged_user(config.user)
    allow_files(config.limits.max_connections + _SPARE_FILES)
    tap = _load(config, plan)
    stack.callback(tap.close)
    own = Own(config, stack, voice.say)
    books = Books(config.workers)
    protection = Protection(config, plan)
    stack.callback(protection.close)
    sandbox = protection.sandbox
    effects = SideEffects(config, plan.endpoint, user, stack, sandbox, protection.fork)
    metrics = None
    if config.metrics is not None:
        from shadow_agent.daemon.metrics import MetricsChild  # noqa: PLC0415 - 30 ms of libraries

        metrics = MetricsChild(config.metrics, user, sandbox)
        stack.callback(metrics.close)
    budget = BudgetPage(budget_terms(config.budget, config.most_requests), config.workers)
    stack.callback(budget.close)
    spending = Spending(budget, spending_patience_s(config), voice.say)
    kept = open_kept(config, folder)
    settings = worker_settings(config, plan, user, budget, sandbox, folder.run_id, *kept)
    settings = replace(settings, data_limit=own.cage.data_limit)
    fleet = Fleet(
        tap, settings, selector, books, voice.say, voice.alert, spending.bury, protection.fork,
        own.cage,
    )  # fmt: skip
    stack.callback(fleet.stop)
    control = ControlServer(config.runtime_dir / f"{config.target}.sock", selector, handler)
    stack.callback(control.close)
    places = Places(tap, plan.places, selector, voice.say, fleet.link)
    stack.callback(places.close)
    run = Run(
        version=__version__,
        target=config.target,
        shadow=str(config.shadow),
        run_id=folder.run_id,
        builds={"production": config.production_build, "shadow": config.shadow_build},
        epoch=1,
        loader=str(tap.loader),
        rules=rule_names(config),
        unguarded=config.unguarded,
        dry_run=config.dry_run,
    )
    dial = Dial(tap.control, config.sample)
    audit = AuditTrail(config.data_dir, config.target, voice.say)
    dial.on_change.append(audit.turned)
    vouched = None if effects.vouch is None else effects.vouch.fresh
    writes = Writes(config, vouched, fleet.allow_writes, voice.say)
    watches: list[Watch] = [fleet, control, places, spending, own]
    watches += [Retention(config, folder.path, voice.say), FullDisk(kept, voice.say)]
    watches += [*effects.watches(dial, voice.say), writes]
    gate = make_gate(config.gate, config.target, user, dial, voice.say, sandbox)
    others = [one for one in (metrics, gate) if one is not None]
    for one in others:
        fleet.memory.open(one.pid)  # while we may still look into them
    own.watch(tap, dial, books, fleet, others)
    account = Account(run, tap, books, fleet, places, spending, effects, own)
    account.kept = lambda: {**kept.counts(), "audit_lost": audit.lost}
    own.governor.on_change.append(lambda _: voice.note(folder.write_run(account.note_governor())))
    if gate is not None:
        stack.callback(gate.close)
        watches.append(gate)
    return Parts(
        tap=tap,
        fleet=fleet,
        places=places,
        account=account,
        dial=dial,
        operator=Operator(account, dial, folder, voice.note, reload),
        audit=audit,
        protection=protection,
        kept=kept,
        spending=spending,
        effects=effects,
        metrics=metrics,
        own=own,
        watches=tuple(watches),
    )


def rule_names(config: Config) -> tuple[tuple[str, str], ...]:
    """Names and actions, in order: what a summary has of rules."""
    return tuple((rule.name, str(rule.action)) for rule in config.rules)


def _load(config: Config, plan: Plan) -> Tap:
    try:
        return Tap(Loader(config.loader), tap_settings(config, plan), plan.places)
    except LoadError as exc:
        raise HostError(str(exc)) from exc
    except OSError as exc:
        raise HostError(
            f"cannot load the tap: {exc.strerror}",
            "run as root; `shadow-agent doctor` says more",
        ) from exc
