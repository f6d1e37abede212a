"""What the agent itself uses: processor time and memory of its processes, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from shadow_agent.telemetry.run import Cost

_ROLLUP_MAX: Final = 4096  # bytes; some 700 are common
_TICKS: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the command's closing parenthesis, proc(5).
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14


class Rollups:
    """Memory of processes that may not be looked into any more: opened while they still might."""

    def __init__(self) -> None:
        """Nobody is known."""
        self._files: dict[int, int] = {}

    def open(self, pid: int) -> None:
        """Before the process drops its privileges, or we ours."""
        self.forget(pid)
        with contextlib.suppress(OSError):
            self._files[pid] = os.open(f"/proc/{pid}/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)

    def forget(self, pid: int) -> None:
        """It is dead."""
        fd = self._files.pop(pid, None)
        if fd is not None:
            os.close(fd)

    def pss(self, pid: int) -> int:
        """Bytes. Raises OSError when it is dead, or was never opened and is not ours."""
        fd = self._files.get(pid)
        if fd is None:
            return _pss(Path(f"/proc/{pid}/smaps_rollup").read_bytes())
        return _pss(os.pread(fd, _ROLLUP_MAX, 0))


def cost_of(
    supervisor: int, workers: Iterable[int], pss_of: Callable[[int], int] | None = None
) -> Cost:
    """Of the supervisor, its living workers and the children it has already waited for.

    Memory is the proportional share (PSS), which counts what forks share once.
    """
    ticks = pss = 0
    for pid in (supervisor, *workers):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[_UTIME]) + int(fields[_STIME])
            if pid == supervisor:
                ticks += int(fields[_CUTIME]) + int(fields[_CSTIME])
            pss += (pss_of or Rollups().pss)(pid)
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
    return Cost(cpu_s=ticks / _TICKS, max_rss_bytes=pss)


def _pss(rollup: bytes) -> int:
    for line in rollup.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0
