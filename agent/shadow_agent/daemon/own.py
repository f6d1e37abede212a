"""The agent's care for its host: what it may use, what it costs, and when it does less."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from shadow_agent.config import Config
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.cage import Cage, make_cage
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.governor import GovernorWatch, describe
from shadow_agent.kernel.layout import Counter, Role
from shadow_agent.kernel.tap import Tap
from shadow_agent.policy.governor import Cause, Change
from shadow_agent.telemetry.cost import Rollups, cost_of
from shadow_agent.telemetry.run import BpfCost, Cost


class HasPid(Protocol):
    """A child, and its successors."""

    @property
    def pid(self) -> int:
        """0: nobody."""


class Own:
    """Cage and governor of one target: two steps, as forks come between them."""

    governor: GovernorWatch
    _tap: Tap

    def __init__(self, config: Config, stack: ExitStack, say: Callable[[str], None]) -> None:
        """The cage, before the first fork. Raises UsageError."""
        self._config = config.governor
        self._say = say
        self.cage: Cage = make_cage(self._config, config.target, config.workers)
        stack.callback(self.cage.close)
        asked = self._config.cpu is not None or self._config.memory is not None
        if asked and self.cage.why is not None:
            say(f"no control group: {self.cage.why}; memory is bounded by rlimits, CPU by sampling")
        self._children: Callable[[], list[int]] = list
        self._pss: Callable[[int], int] = Rollups().pss
        self._admitted: set[int] = set()
        # what loading takes is no cost of mirroring
        self._spent = 0.0

    def watch(
        self, tap: Tap, dial: Dial, books: Books, fleet: Fleet, others: Sequence[HasPid]
    ) -> None:  # fmt: skip
        """The governor, of a tap that is loaded and of those who are or will be forked."""

        def children() -> list[int]:
            return [*fleet.pids, *(one.pid for one in others if one.pid)]

        self._tap = tap
        self._children = children
        self._pss = fleet.memory.pss
        self._spent = cost_of(os.getpid(), ()).cpu_s
        self.governor = GovernorWatch(
            self._config,
            self.cage.given.cpu,
            dial,
            books,
            lambda: tap.counters.read()[Role.PRODUCTION],
            children,
        )
        self.governor.on_change.append(self._tell)

    def tick(self, now: float) -> None:
        """Four times a second."""
        children = self._children()
        for pid in children:
            if pid not in self._admitted:  # a worker is already: it must not begin outside
                self.cage.admit(pid)
        self._admitted = set(children)
        self.governor.tick(now)

    def cost(self) -> Cost:
        """Since the workers were forked."""
        cost = cost_of(os.getpid(), self._children(), self._pss)
        kernel = self._tap.counters.read()[Role.PRODUCTION]
        timed = BpfCost(kernel[Counter.TIMED_NS], kernel[Counter.TIMED])
        return cost._replace(cpu_s=max(cost.cpu_s - self._spent, 0.0), bpf=timed)

    def facts(self) -> dict[str, Any]:
        """What the summary says of it, by its keys there."""
        return {"governor": self.governor.facts(), "load": self.governor.load()}

    def _tell(self, change: Change) -> None:
        """Each fall and the end of a rise; the steps between are in the records."""
        if change.cause is not Cause.RECOVERING or change.after == 1.0:
            self._say(f"governor: {describe(change)}")
