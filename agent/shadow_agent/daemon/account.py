"""Everything that is known about a run at one moment, in the shapes that are shown."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shadow_agent.daemon.books import Books, packets_of
from shadow_agent.daemon.effects import SideEffects
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.own import Own
from shadow_agent.daemon.places import Places
from shadow_agent.daemon.spending import Spending
from shadow_agent.kernel.layout import Counter, Role
from shadow_agent.kernel.tap import Tap
from shadow_agent.telemetry.exposition import Exposition
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.run import Run, State
from shadow_agent.telemetry.snapshot import Snapshot
from shadow_agent.telemetry.summary import summary_json


class Account:
    """Reads the tap's counters, the rings and the workers' reports; changes nothing of them."""

    def __init__(
        self, run: Run, tap: Tap, books: Books, fleet: Fleet, places: Places, spending: Spending,
        effects: SideEffects, own: Own,
    ) -> None:  # fmt: skip
        """For a run that begins now."""
        self.run = run
        self.alerts: list[str] = []
        self.ended: str | None = None  # why the run is over
        self._tap = tap
        self._books = books
        self._fleet = fleet
        self._places = places
        self._spending = spending
        self._effects = effects
        self.kept: Callable[[], dict[str, Any]] = dict  # counts of what is kept on disk
        self._own = own
        self._began = time.monotonic()

    @property
    def age_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def totals(self) -> tuple[Ledger, Snapshot]:
        """The ledger and all workers' totals."""
        snapshot = self._books.snapshot()
        kernel = self._tap.counters.read()[Role.PRODUCTION]
        in_ring = sum(ring.count(ring.consumed, ring.produced)[0] for ring in self._tap.rings)
        return self._books.ledger(snapshot.ledger, kernel, in_ring), snapshot

    def _untracked(self) -> int:
        return self._tap.counters.read()[Role.PRODUCTION][Counter.UNTRACKED]

    def state(self) -> State:
        """What the operator, or an alert, has set."""
        state = self._tap.control.state()
        governor = self._own.governor
        return State(
            sample=state.sample,
            paused=state.paused or state.tripped,
            factor=governor.factor,
            cause=str(governor.cause),
        )

    def summary(self, *, drained: bool = False) -> dict[str, Any]:
        """The object of ``attach --json``; ``drained``: nothing may be open any more."""
        ledger, snapshot = self.totals()
        return self.kept() | summary_json(
            self.run,
            ledger,
            snapshot,
            duration_s=self.age_s,
            interruptions=self._places.interruptions(),
            alerts=self.alerts,
            cost=self._own.cost(),
            budget=self._spending.as_dict(),
            cage=self._own.cage.facts(),
            drained=drained,
            ended=self.ended,
            untracked=self._untracked(),
            shadow_packets=packets_of(self._tap.counters.read()[Role.SHADOW]),
            **self._own.facts(),
        )

    def status(self) -> dict[str, Any]:
        """The object of ``status --json``."""
        state = self._tap.control.state()
        return {
            **self.summary(),
            **self._effects.status(),
            "pid": os.getpid(),
            "workers": self._fleet.pids,
            "sample": state.sample,
            "paused": state.paused or state.tripped,
            "tripped": state.tripped,
        }

    def exposition(self) -> Exposition:
        """What a scrape shows."""
        ledger, snapshot = self.totals()
        return Exposition(
            run=self.run,
            ledger=ledger,
            snapshot=snapshot,
            state=self.state(),
            interruptions=tuple(self._places.interruptions()),
            alerts=len(self.alerts),
            untracked=self._untracked(),
            cost=self._own.cost(),
            lowered_s=self._own.governor.lowered_s,
            kept=self.kept(),
        )

    def next_epoch(self, production: object, shadow: object) -> None:
        """One of the builds was deployed anew; None leaves its id as it was."""
        builds = dict(self.run.builds)
        for side, build in (("production", production), ("shadow", shadow)):
            if isinstance(build, str):
                builds[side] = build[:256]
        self.run = replace(self.run, epoch=self.run.epoch + 1, builds=builds)

    def note_governor(self) -> Run:
        """The run with what the governor did so far, for the records."""
        self.run = replace(self.run, governor=self._own.governor.facts())
        return self.run
