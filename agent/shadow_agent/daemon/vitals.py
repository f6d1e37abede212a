"""How the host is, from /proc: shares since the last look. What cannot be read is None."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

_PROC: Final = Path("/proc")
# Columns of the first line of /proc/stat behind "cpu": user nice system idle iowait irq softirq
# steal; guest time is in user already, proc(5).
_IDLE, _IOWAIT, _COLUMNS = 3, 4, 8


class Vitals(NamedTuple):
    """Shares, 0 to 1."""

    cpu: float | None  # of all processors' time, not idle
    memory: float | None  # of all memory, available
    cpu_pressure: float | None  # of the time, with some task waiting for a processor
    memory_pressure: float | None  # or for memory


class Host:
    """Remembers the last look; the first says nothing of rates."""

    def __init__(self, proc: Path = _PROC) -> None:
        """``proc``: another in tests."""
        self._proc = proc
        self._cpu: tuple[int, int] | None = None
        self._stalls: dict[str, tuple[float, int]] = {}

    def look(self, now: float) -> Vitals:
        """Since the last look; ``now`` is CLOCK_MONOTONIC, seconds."""
        return Vitals(
            self._busy(), self._available(), self._stalled("cpu", now), self._stalled("memory", now)
        )

    def _busy(self) -> float | None:
        line = self._read("stat").partition("\n")[0].split()[1 : 1 + _COLUMNS]
        if len(line) < _COLUMNS or not all(word.isdigit() for word in line):
            return None
        ticks = [int(word) for word in line]
        before, self._cpu = self._cpu, (sum(ticks), ticks[_IDLE] + ticks[_IOWAIT])
        if before is None:
            return None
        whole, idle = self._cpu[0] - before[0], self._cpu[1] - before[1]
        # iowait may go backwards, proc(5)
        return min(max(1 - idle / whole, 0.0), 1.0) if whole > 0 else None

    def _available(self) -> float | None:
        found = {}
        for line in self._read("meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name in {"MemTotal", "MemAvailable"} and rest.split():
                found[name] = int(rest.split()[0])
        if len(found) < 2 or not found["MemTotal"]:
            return None
        return min(found["MemAvailable"] / found["MemTotal"], 1.0)

    def _stalled(self, what: str, now: float) -> float | None:
        """From the running total, in µs: the kernel's own averages are slower than we are."""
        line = self._read(f"pressure/{what}").partition("\n")[0]
        total = line.rpartition("total=")[2]
        if not line.startswith("some ") or not total.isdigit():
            return None
        before = self._stalls.get(what)
        self._stalls[what] = (now, int(total))
        if before is None or now <= before[0]:
            return None
        return min(max((int(total) - before[1]) / 1e6 / (now - before[0]), 0.0), 1.0)

    def _read(self, name: str) -> str:
        try:
            return (self._proc / name).read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""  # not this kernel, or PSI is off


def total_memory(proc: Path = _PROC) -> int:
    """Of the host, in bytes."""
    for line in (proc / "meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return 0
