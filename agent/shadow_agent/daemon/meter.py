"""What the tap costs production, while it runs: the kernel's own count, in short windows.

Counting costs each run of each BPF program on the host some 20 to 40 ns (two readings of the
clock), so it is on for a tick every few seconds only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Final

from shadow_agent.kernel import bpf
from shadow_agent.telemetry.run import BpfCost

# What runs for production's packets; the shadow side's programs cost production nothing.
_OURS: Final = "tap"
# The first window comes soon, so that a short run has a figure too.
_FIRST_S: Final = 1.0

_Sums = tuple[int, int]


class BpfMeter:
    """Opens a window, and at the next tick closes it."""

    def __init__(
        self,
        programs: Callable[[], Mapping[str, bpf.ProgramInfo]],
        every_s: float,
        enable: Callable[[], int] = bpf.enable_run_time_stats,
    ) -> None:
        """Measures ``programs`` every so often; 0: never."""
        self._programs = programs
        self._every_s = every_s
        self._enable = enable
        self._next: float | None = None
        self._fd: int | None = None
        self._opened: tuple[float, _Sums] = (0.0, (0, 0))
        self._run_time_ns = self._packets = 0
        self._seconds = 0.0
        self._able = every_s > 0

    @property
    def cost(self) -> BpfCost | None:
        """All windows so far; None before the first, or when the kernel does not count."""
        if not self._seconds:
            return None
        return BpfCost(self._run_time_ns, self._packets, self._seconds)

    def tick(self, now: float) -> None:
        """A few times a second; ``now`` is CLOCK_MONOTONIC, seconds."""
        if not self._able:
            return
        if self._fd is not None:
            self._close_window(now)
        elif self._next is None:
            self._next = now + _FIRST_S
        elif now >= self._next:
            self._next = now + self._every_s
            try:
                self._fd = self._enable()
                self._opened = (now, self._sums())
            except OSError:
                self._able = False  # before Linux 5.8, or not allowed: the cost stays unknown
                self.close()

    def close(self) -> None:
        """Stop counting."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _close_window(self, now: float) -> None:
        since, (run_time_ns, packets) = self._opened
        with contextlib.suppress(OSError):
            run_time_after, packets_after = self._sums()
            self._run_time_ns += run_time_after - run_time_ns
            self._packets += packets_after - packets
            self._seconds += now - since
        self.close()

    def _sums(self) -> _Sums:
        ours = [one for name, one in self._programs().items() if name.startswith(_OURS)]
        return sum(one.run_time_ns for one in ours), sum(one.run_count for one in ours)
