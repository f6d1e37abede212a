"""The privileged process: attaches, keeps the lease, watches, answers the operator, sums up.

It never reads a byte that came from the wire. One thread, one selector; a tick four times a
second renews the lease that lets the tap copy.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from shadow_agent.config import Config, as_dict
from shadow_agent.daemon.audit import Actor
from shadow_agent.daemon.control import Answer
from shadow_agent.daemon.dial import Who
from shadow_agent.daemon.ending import Ending
from shadow_agent.daemon.log import open_log
from shadow_agent.daemon.parts import assemble, rule_names
from shadow_agent.daemon.plan import Plan, make_plan
from shadow_agent.daemon.reload import Reload
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.daemon.settings import budget_terms, byte_budget
from shadow_agent.daemon.show import show
from shadow_agent.daemon.target import claim
from shadow_agent.daemon.writes import warnings_of
from shadow_agent.errors import ExitCode, HostError, UsageError
from shadow_agent.kernel.features import capabilities
from shadow_agent.kernel.layout import Role
from shadow_agent.telemetry.progress import Progress

_TICK_S: Final = 0.25
_SHOW_S: Final = 0.5
_METRICS_S: Final = 1.0


def run(config: Config, read: Callable[[], Config]) -> ExitCode:
    """Attach, mirror until told to stop or done, detach, drain, summarise.

    ``read`` reads the configuration again for `ctl reload`; it raises OperatorError.
    Raises OperatorError before anything is attached; after that only defects raise, and
    nothing stays attached then either.
    """
    able = capabilities(Path("/proc/self/status").read_text(encoding="utf-8"))
    if able.ok is False:
        raise HostError(able.detail, able.fix)
    plan = make_plan(config)
    with ExitStack() as stack:
        if plan.isolation is not None:
            stack.callback(plan.isolation.close)
        stack.enter_context(claim(config, plan.places))
        folder = RunFolder.create(config)
        return Supervisor(config, plan, folder, stack, read).run()


class Supervisor:
    """One attached target, from load to summary. Everything it opens is undone by ``stack``."""

    def __init__(
        self, config: Config, plan: Plan, folder: RunFolder, stack: ExitStack,
        read: Callable[[], Config],
    ) -> None:  # fmt: skip
        """Loads the tap; nothing is attached yet."""
        self._config = config
        self._folder = folder
        self._console = Console(file=stack.enter_context(open_log()))
        self._ending = Ending()
        self._tripped = False  # the alert about it was raised
        self._waiting: list[Answer] = []  # who asked to detach
        self._selector = stack.enter_context(selectors.DefaultSelector())
        reload = Reload(config, read, self._adopt).run
        parts = assemble(config, plan, folder, stack, self._selector, self._command, self, reload)
        self._tap = parts.tap
        self._fleet = parts.fleet
        self._places = parts.places
        self._account = parts.account
        self._dial = parts.dial
        self._operator = parts.operator
        self._audit = parts.audit
        self._protection = parts.protection
        self._kept = parts.kept
        self._spending = parts.spending
        self._effects = parts.effects
        self._metrics = parts.metrics
        self._own = parts.own
        self._watches = parts.watches
        writes = warnings_of(config, guarded=config.guard is not None)
        for warning in (*plan.warnings, *writes, *parts.protection.warnings):
            self.say(warning)

    def run(self) -> ExitCode:
        """Until somebody says stop."""
        self._ending.catch_signals(self._selector)
        self._audit.begin({"run": self._folder.run_id, "config": as_dict(self._config)})
        # before anybody is forked: what works now works as well for those that come later
        config = self._config
        self._protection.shed((self._folder.path, config.data_dir, config.runtime_dir))
        self._fleet.start()
        self._tap.control.renew_lease(time.monotonic_ns())
        self._places.attach_all()
        account = self._account
        account.run = replace(
            account.run, attached=self._tap.mechanisms, isolation=self._protection.states
        )
        self.note(self._folder.write_run(account.run))
        self.say(
            f"attached {self._config.target}: "
            + self._places.describe()
            + f"; shadow {self._config.shadow}"
        )
        with Progress(self._console, account.run) as progress:
            self._loop(lambda: self._ending.why is not None, progress)
            self._drain(progress)
        return self._finish()

    # --- the loop ---

    def _loop(self, done: Callable[[], bool], progress: Progress) -> None:
        next_tick = next_show = next_metrics = 0.0
        while not done():
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + _TICK_S
                self._tick(now)
            if now >= next_show:
                next_show = now + _SHOW_S
                self._show(now, progress)
            if self._metrics is not None and now >= next_metrics:
                next_metrics = now + _METRICS_S
                if self._metrics.revive():
                    self.say("the metrics listener died; starting another")
                self._metrics.publish(self._account.exposition())
            for key, _ in self._selector.select(max(next_tick - time.monotonic(), 0)):
                key.data()

    def _tick(self, now: float) -> None:
        self._tap.control.renew_lease(time.monotonic_ns())
        for watch in self._watches:
            watch.tick(now)
        config = self._config
        if config.most_seconds is not None and self._account.age_s >= config.most_seconds:
            self._ending.stop(f"duration reached ({config.most_seconds:g} s)")
        if self._tap.control.state().tripped and not self._tripped:
            self._tripped = True
            self.alert(
                "a packet of the shadow left towards clients: mirroring is stopped; "
                "see that this host does not forward between the two interfaces"
            )

    def _show(self, now: float, progress: Progress) -> None:
        ledger, snapshot = self._account.totals()
        progress.update(now, ledger, snapshot, self._account.state())
        wanted = self._config.most_requests
        if wanted is not None and ledger.replay.replayed >= wanted:
            self._ending.stop(f"{wanted} requests replayed")
        elif self._spending.over:
            self._ending.stop("the budget of requests is spent")

    def _drain(self, progress: Progress) -> None:
        """Production's tap first; the shadow's stays until its answers are in."""
        # Taken off one by one, one hook would see what the other no longer does.
        paused = self._tap.control.state().paused
        self._tap.control.hold(True)
        self._tap.detach(Role.PRODUCTION)
        self._tap.control.hold(paused)
        self._places.stop()
        self._own.governor.stop()
        self.say(f"detached ({self._ending.why}); draining")
        why = {"run": self._folder.run_id, "why": self._ending.why}
        self._audit.note("detach", why, self._ending.by)
        if not self._ending.hurry:
            self._fleet.drain()
            until = time.monotonic() + self._config.limits.drain_s + 2
            self._loop(
                lambda: self._ending.hurry or not self._fleet.pids or time.monotonic() >= until,
                progress,
            )
        self._tap.detach()
        self._fleet.stop()

    def _finish(self) -> ExitCode:
        self.note(self._kept.finish(self._account.totals()[0]))
        self._account.ended = self._ending.why
        summary = self._account.summary(drained=not self._ending.hurry)
        summary |= self._effects.finish()
        trouble = self._folder.write_summary(summary)
        self.note(trouble)
        # Those who asked first: standard output may be a pipe that nobody reads.
        for answer in self._waiting:
            answer({"ok": True, "summary": summary})
        try:
            show(summary, json=self._config.json)
        except OSError as exc:
            fix = f"the summary is in {self._folder.path}" if trouble is None else ""
            raise UsageError(f"standard output: {exc.strerror}", fix) from exc
        return ExitCode.DONE

    # --- the operator ---

    def _adopt(self, config: Config) -> None:
        """A configuration in which only what can change under way has changed."""
        before, self._config = self._config, config
        self._spending.change(budget_terms(config.budget, config.most_requests))
        self._fleet.change(config)
        self._own.governor.change(config.governor)
        if byte_budget(config) != byte_budget(before):  # else what is owed would be forgotten
            self._tap.limit(byte_budget(config))
        self._dial.share(Who.OPERATOR, config.sample, "ctl reload")
        account = self._account
        account.run = replace(account.run, rules=rule_names(config))
        self.note(self._folder.write_run(account.run))

    def _command(self, command: dict[str, Any], answer: Answer) -> None:
        if command["command"] == "detach":
            self._waiting.append(answer)
            self._ending.stop("detach", Actor(*command["by"]))
            return
        done = self._operator.obey(command)
        self._audit.told(command, done)
        answer(done)

    # --- the parts' voice ---

    def alert(self, text: str) -> None:
        """A line that stays in status, summary and metrics."""
        self._account.alerts.append(text)
        self.say(f"ALERT: {text}")

    def note(self, trouble: str | None) -> None:
        """What went wrong beside the thing itself, or None."""
        if trouble is not None:
            self.say(trouble)

    def say(self, text: str) -> None:
        """One line for whoever watches."""
        self._console.print(f"shadow-agent: {text}", markup=False, highlight=False, soft_wrap=True)
