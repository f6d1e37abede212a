"""The tap's per-CPU counters, summed."""

from __future__ import annotations

import struct
from pathlib import Path

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import COUNTED_ROLES, Counter, Role


def possible_cpus() -> int:
    """CPUs that a per-CPU map has values for, present or not."""
    last = Path("/sys/devices/system/cpu/possible").read_text(encoding="ascii").strip()
    return int(last.replace(",", "-").split("-")[-1]) + 1


class KernelCounters:
    """Reads the counter map; needs the map's fd only."""

    def __init__(self, map_fd: int) -> None:
        self._fd = map_fd
        self._cpus = possible_cpus()
        self._values = COUNTED_ROLES * len(Counter)

    def read(self) -> dict[Role, dict[Counter, int]]:
        """Totals over all CPUs, by role of the tap and counter."""
        raw = bpf.lookup(self._fd, 0, self._cpus * self._values * 8)
        flat = struct.unpack(f"={self._cpus * self._values}Q", raw)
        totals = [sum(flat[i :: self._values]) for i in range(self._values)]
        return {
            role: {counter: totals[role * len(Counter) + counter] for counter in Counter}
            for role in Role
        }
