"""What the agent itself uses: processor time and memory of its processes, from /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from shadow_agent.telemetry.run import Cost, ProcessCost

_ROLLUP_MAX: Final = 4096  # bytes; some 700 are common
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
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


_OURS: Final = Rollups()  # of nobody: whom we may look into anyway


def cost_of(
    supervisor: int, children: Iterable[int], pss_of: Callable[[int], int] = _OURS.pss
) -> Cost:
    """Of the supervisor, its living children and those that it has already waited for.

    Memory is the proportional share (PSS), which counts what forks share once; of a child that we
    may not look into, what is its alone or copied when written, which may count a page twice.
    """
    cpu_s, pss = _waited_for(supervisor), 0
    processes = []
    for pid in (supervisor, *children):
        try:
            name, own = _process(pid)
            memory = _memory(pid, pss_of)
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
        cpu_s += own
        pss += memory
        processes.append(ProcessCost(name, pid, own, memory))
    return Cost(cpu_s=cpu_s, max_rss_bytes=pss, processes=tuple(processes))


def cpu_of(supervisor: int, children: Iterable[int]) -> float:
    """The processor seconds of ``cost_of``, without memory, which takes the kernel longer."""
    cpu_s = _waited_for(supervisor)
    for pid in (supervisor, *children):
        try:
            cpu_s += _process(pid)[1]
        except (OSError, IndexError, ValueError):
            continue
    return cpu_s


def _process(pid: int) -> tuple[str, float]:
    """Its name and its processor seconds."""
    name, fields = _stat(pid)
    return name, (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS


def _waited_for(pid: int) -> float:
    try:
        _, fields = _stat(pid)
        return (int(fields[_CUTIME]) + int(fields[_CSTIME])) / _TICKS
    except (OSError, IndexError, ValueError):
        return 0.0


def _stat(pid: int) -> tuple[str, list[str]]:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()


def _memory(pid: int, pss_of: Callable[[int], int]) -> int:
    try:
        return pss_of(pid)
    except OSError:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(resident) - int(shared)) * _PAGE


def _pss(rollup: bytes) -> int:
    for line in rollup.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0
