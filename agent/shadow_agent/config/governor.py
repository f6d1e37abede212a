"""``[governor]``: what the agent may use of the host, and when it mirrors less."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Section

_SIZE: Final = re.compile(r"(\d+)([KMG])(?:iB)?")
_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LEAST_MEMORY: Final = 64 << 20
_MOST_MEMORY: Final = 1 << 50
_MOST_CPU: Final = 4096.0
_MOST_TIMES: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorConfig:
    """Over a limit sampling is lowered at once in the kernel; below them it recovers slowly."""

    # Off: nobody lowers the sample; the budget below holds all the same.
    enabled: bool = True
    # Processors that the workers may use together; None: half of the host's, at least a half.
    cpu: float | None = None
    # Bytes that the whole agent may use; None: a quarter of the host's memory.
    memory: int | None = None
    # Share of all processors that may be busy, by whomever; 1: never looked at.
    host_cpu: float = 0.95
    # Share of the host's memory that is to stay available; 0: never looked at.
    host_memory: float = 0.05
    # Share of time in which some task may wait for a processor, or for memory (PSI); 1: never.
    cpu_pressure: float = 1.0
    memory_pressure: float = 0.2
    # Share of records that may find the ring full; 1: never looked at. Lost records have a name in
    # the ledger, and whoever counts requests wants to find them there.
    ring_full: float = 1.0
    # Production's p95 in ms; None: no fixed limit.
    p95_ms: float | None = None
    # How many times its usual p95 production may take; 0: never looked at.
    p95_times: float = 5.0
    # Answers that a p95 takes at least; of fewer nothing is concluded.
    p95_answers: int = 100
    # Share of the configured sample that is mirrored whatever happens; 0: look away.
    floor: float = 0.0
    # How long after it was lowered the sample stays low.
    hold_s: float = 10.0


def cores(value: object) -> float:
    """Processors, above 0; half a one is 0.5."""
    found = parse.number(value)
    if not 0 < found <= _MOST_CPU:
        raise ValueError(f"{found:g} is out of range; give processors, such as 0.5")
    return found


def size(value: object) -> int:
    """Bytes, or ``"512M"``, ``"2G"``: 64M at least."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value)
        if found is None:
            raise ValueError(f'{value!r} is no size; give bytes, or "512M" or "2G"')
        value = int(found[1]) * _UNITS[found[2]]
    return parse.whole(_LEAST_MEMORY, _MOST_MEMORY)(value)


def _busy(value: object) -> float:
    """How busy something may be; of 0 a host is always over it."""
    found = parse.fraction(value)
    if not found:
        raise ValueError("0 is always exceeded, so nothing is mirrored; give above 0 to 1 (1: off)")
    return found


def _free(value: object) -> float:
    """How much is to stay available; all of it never is."""
    found = parse.fraction(value)
    if found == 1:
        raise ValueError("1 never holds, so nothing is mirrored; give 0 (off) to below 1")
    return found


def _times(value: object) -> float:
    """How much longer than usual: less than usual is no limit."""
    found = parse.number(value)
    if found != 0 and not 1 < found <= _MOST_TIMES:
        raise ValueError(f"{found:g} is out of range; give above 1, at most 1e9, or 0 (off)")
    return found


_CONVERT: Final[Mapping[str, Callable[[object], Any]]] = {
    "enabled": parse.flag,
    "cpu": cores,
    "memory": size,
    "host_cpu": _busy,
    "host_memory": _free,
    "cpu_pressure": _busy,
    "p95_ms": parse.seconds,  # above 0
    "p95_times": _times,
    "p95_answers": parse.whole(20, 1_000_000),
    "hold_s": parse.seconds,
}

GOVERNOR: Final = Section(
    "governor",
    GovernorConfig,
    {
        one.name.replace("_", "-"): Key(one.name, _CONVERT.get(one.name, parse.fraction))
        for one in fields(GovernorConfig)
    },
)
