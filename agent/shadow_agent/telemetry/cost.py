"""What the agent itself uses: processor time and memory of its processes, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shadow_agent.telemetry.run import Cost

_TICKS: Final = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat behind the command's closing parenthesis, proc(5).
_UTIME, _STIME, _CUTIME, _CSTIME = 11, 12, 13, 14


def cost_of(supervisor: int, workers: Iterable[int]) -> Cost:
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
            pss += _pss(pid)
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
    return Cost(cpu_s=ticks / _TICKS, max_rss_bytes=pss)


def _pss(pid: int) -> int:
    with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as rollup:
        for line in rollup:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
