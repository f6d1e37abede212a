"""The words of a budget that all workers share: exact over processes, and over their deaths.

A rate needs a look and a write that nobody comes between, and Python has no compare-and-swap. So
there is a lock of the kernel's (fcntl(2), by process), which dies with its holder. Nobody waits
for it: who does not get it soon, because the holder was stopped, refuses by that name.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from typing import Final

from shadow_agent.policy.budget import Budget, Spent, Terms, bury, words
from shadow_agent.telemetry.reasons import Refused

# A look takes 3 µs; a holder that has lost its processor for longer than this is not waited for.
_PATIENCE_NS: Final = 2_000_000


class BudgetPage:
    """Made before the workers are forked, which share it."""

    def __init__(self, terms: Terms, workers: int) -> None:
        """Nothing is spent."""
        self.terms = terms  # of whoever is forked from now on
        self._workers = workers
        self.fd = os.memfd_create("shadow-agent-budget", os.MFD_CLOEXEC)
        size = -(-words(workers) * 8 // mmap.PAGESIZE) * mmap.PAGESIZE
        os.ftruncate(self.fd, size)
        # Of whole words, so that none is ever half written; all fit into 63 bits.
        self._words = memoryview(mmap.mmap(self.fd, size)).cast("q")[: words(workers)]

    def purse(self, worker: int) -> Purse:
        """For that worker, in its own process."""
        budget = Budget(self.terms, self._words, worker)
        return Purse(budget, self.fd if self._workers > 1 else None)

    def spent(self) -> Spent:
        """What has been taken so far."""
        return Spent.read(self._words)

    def bury(self, worker: int) -> None:
        """That worker is dead; what it had spent stays spent."""
        bury(self._words, worker)

    def close(self) -> None:
        """In the process that made it."""
        os.close(self.fd)


class Purse:
    """One worker's hand in the shared budget."""

    def __init__(self, budget: Budget, lock: int | None) -> None:
        """``lock`` is an fd that no other of this process refers to; None when nobody shares."""
        self._budget = budget
        self._lock = lock
        self._bounds = budget.terms.bounds

    def change(self, terms: Terms) -> None:
        """What was taken stays taken."""
        self._budget.terms = terms
        self._bounds = terms.bounds

    def take(self, cost: int) -> Refused | None:
        """Let one request begin, or say why not."""
        if not self._bounds:
            self._budget.note(cost)
            return None
        if self._lock is None:
            return self._budget.take(time.monotonic_ns(), cost)
        if not _locked(self._lock):
            return Refused.BUDGET_BUSY
        try:
            return self._budget.take(time.monotonic_ns(), cost)
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def again(self) -> Refused | None:
        """Let it go out a second time, or say why not."""
        if not self._bounds:
            return None
        if self._lock is None:
            return self._budget.again(time.monotonic_ns())
        if not _locked(self._lock):
            return Refused.BUDGET_BUSY
        try:
            return self._budget.again(time.monotonic_ns())
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def end(self) -> None:
        """One that was taken is over."""
        self._budget.end()

    def give_back(self, cost: int) -> None:
        """One that was taken was not sent after all."""
        self._budget.give_back(cost)


def _locked(fd: int) -> bool:
    until = None
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: held
            now = time.monotonic_ns()
            until = until or now + _PATIENCE_NS
            if now >= until:
                return False
        except OSError:
            return False  # the kernel has no lock to give: to be safe nothing is sent
        else:
            return True
