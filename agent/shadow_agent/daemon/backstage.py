"""Work of a worker that may wait, and must not hold it up: a thread, a bounded queue, counters."""

from __future__ import annotations

import contextlib
import mmap
import queue
import struct
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from shadow_agent.telemetry.reasons import EvidenceLost

T = TypeVar("T")
_CLOSE_S: Final = 2.0

_LOST: Final = list(EvidenceLost)
_COUNT: Final = struct.Struct("=Q")
_SLOTS: Final = 1 + len(_LOST)


class EvidencePage:
    """Counters that outlive the workers, which write one row each."""

    def __init__(self, workers: int) -> None:
        """Zeros, shared with children."""
        self._workers = workers
        self._page = mmap.mmap(-1, max(workers * _SLOTS * _COUNT.size, mmap.PAGESIZE))

    def add(self, worker: int, reason: EvidenceLost | None) -> None:
        """One more: stored, or lost for a reason."""
        slot = 0 if reason is None else 1 + _LOST.index(reason)
        at = (worker * _SLOTS + slot) * _COUNT.size
        _COUNT.pack_into(self._page, at, _COUNT.unpack_from(self._page, at)[0] + 1)

    def as_dict(self) -> dict[str, Any]:
        """``{"stored": n, "lost": {reason: n}}``, reasons that happened."""
        rows = [
            _COUNT.unpack_from(self._page, at * _COUNT.size)[0]
            for at in range(self._workers * _SLOTS)
        ]
        sums = [sum(rows[slot::_SLOTS]) for slot in range(_SLOTS)]
        lost = {why.value: n for why, n in zip(_LOST, sums[1:], strict=True) if n}
        return {"stored": sums[0], "lost": lost}


class Backstage(Generic[T]):
    """Stores one thing after the other. After an OSError nothing more is tried.

    What stores says why a thing was not stored, None that it was.
    """

    def __init__(
        self,
        name: str,
        waiting: int,
        store: Callable[[T], EvidenceLost | None],
        page: EvidencePage,
        worker: int,
        complain: Callable[[Exception], None],
    ) -> None:
        """At most ``waiting`` wait; ``store`` runs in the thread, which starts now."""
        self._store = store
        self._page = page
        self._worker = worker
        self._complain = complain
        self._lock = threading.Lock()  # of the page: both threads count
        self._queue: queue.Queue[tuple[T, bool] | None] = queue.Queue(waiting)
        self.broken = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, one: T, *, counts: bool = True) -> None:
        """Store it soon; if there is no room to wait, or no disk, it is counted, if it counts."""
        lost = EvidenceLost.DISK if self.broken else None
        if lost is None:
            try:
                self._queue.put_nowait((one, counts))
            except queue.Full:
                lost = EvidenceLost.SLOW
        if lost is not None and counts:
            self.count(lost)

    def close(self) -> None:
        """Store what waits, as long as the disk takes it."""
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=_CLOSE_S)
            self._thread.join(_CLOSE_S)

    def count(self, reason: EvidenceLost | None) -> None:
        """One stored, or lost."""
        with self._lock:
            self._page.add(self._worker, reason)

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            thing, counts = one
            done = self._try(thing)
            if counts:
                self.count(done)

    def _try(self, one: T) -> EvidenceLost | None:
        if self.broken:
            return EvidenceLost.DISK
        try:
            return self._store(one)
        except OSError:
            self.broken = True
            return EvidenceLost.DISK
        except Exception as exc:  # noqa: BLE001 - a defect costs one
            self._complain(exc)
            return EvidenceLost.INTERNAL
