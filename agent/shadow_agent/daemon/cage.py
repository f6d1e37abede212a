"""What holds the agent to its hard budget: a control group where there is one, else rlimits.

Both let the kernel have the last word on memory, and what dies of it is a worker: it is replaced,
and what it had in hand is lost by name. Processors are bounded by a control group only; without one
the governor mirrors less when the budget is used up, which is soft.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shadow_agent.config import GovernorConfig
from shadow_agent.daemon.cgroup import Group, UnavailableError, Usage, limits_of
from shadow_agent.daemon.process import OUT_OF_MEMORY
from shadow_agent.daemon.vitals import total_memory
from shadow_agent.errors import UsageError

# What a worker takes for itself before it holds anything of anybody's.
_LEAST_OF_WORKER: Final = 48 << 20
_LEAST_CPU: Final = 0.5


@dataclass(frozen=True, slots=True)
class Allowance:
    """The budget in numbers."""

    cpu: float  # processors, of all workers together
    memory: int  # bytes, of the whole agent


def allowance(
    config: GovernorConfig, workers: int, cpus: int, host_memory: int, own_memory: int
) -> Allowance:
    """As configured, else a part of the host: half its processors, a quarter of its memory.

    ``own_memory``: what the supervisor has, and each worker starts with. Raises UsageError when
    what is configured cannot hold the workers.
    """
    least = own_memory + workers * (own_memory + _LEAST_OF_WORKER)
    if config.memory is not None and config.memory < least:
        raise UsageError(
            f"governor.memory: {config.memory >> 20}M is too little for --workers {workers}",
            f"give {-(-least >> 20)}M or more" + (", or fewer workers" if workers > 1 else ""),
        )
    return Allowance(
        cpu=max(cpus / 2, _LEAST_CPU) if config.cpu is None else config.cpu,
        memory=max(host_memory // 4, least) if config.memory is None else config.memory,
    )


class Cage:
    """Made before the first fork, closed after the last death."""

    def __init__(self, target: str, given: Allowance, workers: int, own_memory: int) -> None:
        """A group if one can be had. Raises nothing: ``why`` says what could not."""
        self.given = given
        self.why: str | None = None
        self._group: Group | None = None
        self._oom_kills = 0
        self._deaths = 0
        try:
            self._group = Group.create(target, limits_of(given.cpu, given.memory))
        except UnavailableError as exc:
            self.why = str(exc)
        # Shared fairly: the supervisor's part first, then each worker the same.
        self._data = (given.memory - own_memory) // workers

    @property
    def data_limit(self) -> int | None:
        """RLIMIT_DATA of a worker, bytes; None: a control group does it."""
        return self._data if self._group is None else None

    def admit(self, pid: int) -> None:
        """A child that was just forked."""
        if self._group is not None:
            with contextlib.suppress(OSError):  # it died already
                self._group.add(pid)

    def explain(self, code: int) -> str | None:
        """Why a child ended with this exit code (below 0: by a signal), if it was our doing."""
        if code == OUT_OF_MEMORY:
            self._deaths += 1
            return "out of its memory budget"
        if code == -signal.SIGKILL and self._group is not None:
            before, self._oom_kills = self._oom_kills, self._group.usage().oom_kills
            if self._oom_kills > before:
                self._deaths += 1
                return "killed by its memory budget"
        return None

    def facts(self) -> dict[str, Any]:
        """The summary's ``agent.budget``."""
        usage = Usage(0, 0, 0.0) if self._group is None else self._group.usage()
        return {
            "cpu": self.given.cpu,
            "memory_bytes": self.given.memory,
            "by": "rlimit" if self._group is None else "cgroup",
            "why_not_cgroup": self.why,
            "memory_deaths": self._deaths,
            "throttled_s": None if self._group is None else round(usage.throttled_s, 3),
        }

    def close(self) -> None:
        """Leave and remove the group."""
        if self._group is not None:
            self._group.close()
            self._group = None


def make_cage(config: GovernorConfig, target: str, workers: int) -> Cage:
    """On this host. Raises UsageError."""
    own = data_size()
    cpus = len(os.sched_getaffinity(0))
    given = allowance(config, workers, cpus, total_memory(), own)
    return Cage(target, given, workers, own)


def data_size(status: Path = Path("/proc/self/status")) -> int:
    """Bytes of this process that RLIMIT_DATA counts; a fork begins with as many."""
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
