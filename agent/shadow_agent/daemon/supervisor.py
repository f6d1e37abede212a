"""The privileged process: attaches, keeps the lease, watches, answers the operator, sums up.

It never reads a byte that came from the wire. One thread, one selector; a tick four times a
second renews the lease that lets the tap copy.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from rich.console import Console

from shadow_agent import __version__
from shadow_agent.config import Config, as_dict, unprivileged_user
from shadow_agent.daemon.account import Account
from shadow_agent.daemon.audit import Actor, AuditTrail
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.budget import RequestBudget
from shadow_agent.daemon.capabilities import keep_what_attach_needs
from shadow_agent.daemon.control import Answer, ControlServer
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.gate import make_gate
from shadow_agent.daemon.log import open_log
from shadow_agent.daemon.metrics import MetricsChild
from shadow_agent.daemon.notrack import Notrack
from shadow_agent.daemon.operator import Operator
from shadow_agent.daemon.places import Places
from shadow_agent.daemon.plan import Plan, make_plan
from shadow_agent.daemon.process import allow_files
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.daemon.seccomp import open_sandbox
from shadow_agent.daemon.settings import tap_settings, worker_settings
from shadow_agent.daemon.show import show
from shadow_agent.daemon.target import claim
from shadow_agent.errors import ExitCode, HostError, UsageError
from shadow_agent.kernel import nftables
from shadow_agent.kernel.attach import remove_stale
from shadow_agent.kernel.features import capabilities
from shadow_agent.kernel.layout import Role
from shadow_agent.kernel.program import Loader, LoadError
from shadow_agent.kernel.tap import Tap
from shadow_agent.telemetry.progress import Progress
from shadow_agent.telemetry.run import Run

_TICK_S: Final = 0.25
_SHOW_S: Final = 0.5
_METRICS_S: Final = 1.0
# Files a worker needs beside one per shadow connection.
_SPARE_FILES: Final = 256


class Watch(Protocol):
    """What looks after something four times a second."""

    def tick(self, now: float) -> None:
        """``now`` is CLOCK_MONOTONIC, seconds."""


def run(config: Config) -> ExitCode:
    """Attach, mirror until told to stop or done, detach, drain, summarise.

    Raises OperatorError before anything is attached; after that only defects raise, and
    nothing stays attached then either.
    """
    able = capabilities(Path("/proc/self/status").read_text(encoding="utf-8"))
    if able.ok is False:
        raise HostError(able.detail, able.fix)
    plan = make_plan(config)
    with ExitStack() as stack:
        stack.enter_context(claim(config, plan.places))
        folder = RunFolder.create(config)
        return Supervisor(config, plan, folder, stack).run()


class Supervisor:
    """One attached target, from load to summary. Everything it opens is undone by ``stack``."""

    def __init__(self, config: Config, plan: Plan, folder: RunFolder, stack: ExitStack) -> None:
        """Loads the tap and forks the workers; nothing is attached yet."""
        self._config = config
        self._folder = folder
        self._console = Console(file=stack.enter_context(open_log()))
        self._stop: str | None = None  # why we stop, once we do
        self._stopper: Actor | None = None  # who said so
        self._hurry = False  # a second signal: no drain
        self._tripped = False  # the alert about it was raised
        self._waiting: list[Answer] = []  # who asked to detach
        for line in (*remove_stale(config.target), *nftables.remove_stale(config.target)):
            self._say(f"removed what a killed agent left: {line}")
        user = unprivileged_user(config.user)
        allow_files(config.limits.max_connections + _SPARE_FILES)
        self._selector = stack.enter_context(selectors.DefaultSelector())
        try:
            self._tap = Tap(Loader(config.loader), tap_settings(config, plan), plan.places)
        except LoadError as exc:
            raise HostError(str(exc)) from exc
        except OSError as exc:
            raise HostError(
                f"cannot load the tap: {exc.strerror}",
                "run as root; `shadow-agent doctor` says more",
            ) from exc
        stack.callback(self._tap.close)
        self._books = Books(config.workers)
        sandbox = open_sandbox(config.seccomp)
        if not sandbox.on and config.seccomp != "off":
            self._say(f"system calls of workers are not filtered: seccomp {sandbox.state}")
        self._metrics = (
            None if config.metrics is None else MetricsChild(config.metrics, user, sandbox)
        )
        if self._metrics is not None:
            stack.callback(self._metrics.close)
        budget = None if config.requests is None else RequestBudget(config.requests)
        if budget is not None:
            stack.callback(budget.close)
        self._fleet = Fleet(
            self._tap,
            worker_settings(config, plan, user, budget, sandbox),
            self._selector,
            self._books,
            self._say,
            self._alert,
        )
        stack.callback(self._fleet.stop)
        notrack = Notrack(config.target, plan, config.notrack)
        stack.callback(notrack.close)
        self._control = ControlServer(
            config.runtime_dir / f"{config.target}.sock", self._selector, self._command
        )
        stack.callback(self._control.close)
        self._places = Places(self._tap, plan.places, self._selector, self._say)
        stack.callback(self._places.close)
        run = Run(
            version=__version__,
            target=config.target,
            shadow=str(config.shadow),
            run_id=folder.run_id,
            builds={"production": config.production_build, "shadow": config.shadow_build},
            epoch=1,
            loader=str(self._tap.loader),
            isolation={"seccomp": sandbox.state, "notrack": notrack.state},
        )
        self._account = Account(run, self._tap, self._books, self._fleet, self._places)
        self._dial = Dial(self._tap.control, config.sample)
        self._operator = Operator(self._account, self._dial, folder, self._note)
        self._watches: list[Watch] = [self._fleet, self._control, self._places]
        self._audit = AuditTrail(config.data_dir, config.target, self._say)
        self._dial.on_change.append(self._audit.turned)
        gate = make_gate(config.gate, config.target, user, self._dial, self._say)
        if gate is not None:
            stack.callback(gate.close)
            self._watches.append(gate)
        for warning in plan.warnings:
            self._say(warning)

    def run(self) -> ExitCode:
        """Until somebody says stop."""
        self._catch_signals()
        self._audit.begin({"run": self._folder.run_id, "config": as_dict(self._config)})
        # before anybody is forked: what works now works as well for those that come later
        kept = keep_what_attach_needs((self._folder.path, self._config.runtime_dir))
        self._fleet.start()
        self._tap.control.renew_lease(time.monotonic_ns())
        self._places.attach_all()
        account = self._account
        account.run = replace(
            account.run,
            attached=self._tap.mechanisms,
            isolation={**account.run.isolation, "capabilities": ", ".join(kept)},
        )
        self._note(self._folder.write_run(account.run))
        self._say(
            f"attached {self._config.target}: "
            + self._places.describe()
            + f"; shadow {self._config.shadow}"
        )
        with Progress(self._console, account.run) as progress:
            self._loop(lambda: self._stop is not None, progress)
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
                    self._say("the metrics listener died; starting another")
                self._metrics.publish(self._account.exposition())
            for key, _ in self._selector.select(max(next_tick - time.monotonic(), 0)):
                key.data()

    def _tick(self, now: float) -> None:
        self._tap.control.renew_lease(time.monotonic_ns())
        for watch in self._watches:
            watch.tick(now)
        config = self._config
        if config.duration_s is not None and self._account.age_s >= config.duration_s:
            self._stop = self._stop or "duration reached"
        if self._tap.control.state().tripped and not self._tripped:
            self._tripped = True
            self._alert(
                "a packet of the shadow left towards clients: mirroring is stopped; "
                "see that this host does not forward between the two interfaces"
            )

    def _show(self, now: float, progress: Progress) -> None:
        ledger, snapshot = self._account.totals()
        progress.update(now, ledger, snapshot, self._account.state())
        wanted = self._config.requests
        if wanted is not None and ledger.replay.replayed >= wanted:
            self._stop = self._stop or f"{wanted} requests replayed"

    def _drain(self, progress: Progress) -> None:
        """Production's tap first; the shadow's stays until its answers are in."""
        # Taken off one by one, one hook would see what the other no longer does.
        paused = self._tap.control.state().paused
        self._tap.control.hold(True)
        self._tap.detach(Role.PRODUCTION)
        self._tap.control.hold(paused)
        self._places.stop()
        self._say(f"detached ({self._stop}); draining")
        self._audit.note("detach", {"run": self._folder.run_id, "why": self._stop}, self._stopper)
        if not self._hurry:
            self._fleet.drain()
            until = time.monotonic() + self._config.limits.drain_s + 2
            self._loop(
                lambda: self._hurry or not self._fleet.pids or time.monotonic() >= until, progress
            )
        self._tap.detach()
        self._fleet.stop()

    def _finish(self) -> ExitCode:
        summary = self._account.summary(drained=not self._hurry)
        trouble = self._folder.write_summary(summary)
        self._note(trouble)
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

    def _catch_signals(self) -> None:
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self._selector.register(ours, selectors.EVENT_READ, lambda: os.read(ours, 64))
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # or else nohup was meant
            numbers.append(signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._hurry = self._stop is not None
        self._stop = self._stop or signal.Signals(number).name

    def _command(self, command: dict[str, Any], answer: Answer) -> None:
        if command["command"] == "detach":
            self._waiting.append(answer)
            self._stopper = self._stopper or Actor(*command["by"])
            self._stop = self._stop or "detach"
            return
        done = self._operator.obey(command)
        if done["ok"] and command["command"] != "status":
            actor = Actor(*command.pop("by"))
            self._audit.note(f"ctl {command.pop('command')}", {**command, "done": done}, actor)
        answer(done)

    def _alert(self, text: str) -> None:
        self._account.alerts.append(text)
        self._say(f"ALERT: {text}")

    def _note(self, trouble: str | None) -> None:
        if trouble is not None:
            self._say(trouble)

    def _say(self, text: str) -> None:
        self._console.print(f"shadow-agent: {text}", markup=False, highlight=False, soft_wrap=True)
