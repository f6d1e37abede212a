"""How much of the configured sample may be mirrored now: less at once, more slowly.

A control law without a clock. Each reading says how the host, production and the agent are; what
is unknown is None and judges nothing. One value over its limit lowers the factor at once, by half
or by as much as it is over, down to the floor; below every limit, and by a margin, it rises by a
step a reading, not before ``hold_s`` have passed since it was last lowered.

Whether production is slow because of us is not known. Looking away is right in either case: if it
is, that helps; if not, it costs comparisons and nobody else anything. A change that stays is
learned by the baseline within minutes, so that nobody looks away for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

# Below this share of the configured sample a comparison says nothing: look away.
_LEAST: Final = 0.01
# Windows of production's latency before its baseline is believed.
_WINDOWS: Final = 10
# How slowly the baseline follows: a change that stays is the new normal after some minutes.
_FOLLOW_S: Final = 600.0


class Cause(StrEnum):
    """Why the factor is what it is."""

    NONE = "none"  # the configured sample is mirrored
    HOST_CPU = "host_cpu"  # the host's processors were busy
    HOST_MEMORY = "host_memory"  # little of the host's memory was available
    CPU_PRESSURE = "cpu_pressure"  # tasks waited for a processor (PSI)
    MEMORY_PRESSURE = "memory_pressure"  # tasks waited for memory (PSI)
    AGENT_CPU = "agent_cpu"  # the agent used up its own processor budget
    PRODUCTION_P95 = "production_p95"  # production answered slowly
    RING_FULL = "ring_full"  # workers did not keep up: records were lost on a full ring
    RECOVERING = "recovering"  # all is well again; rising step by step


class Reading(NamedTuple):
    """The time since the reading before; None: not known, or too little to judge by."""

    host_cpu: float | None = None  # share of all processors' time that was not idle, 0 to 1
    host_memory: float | None = None  # share of memory that is available, 0 to 1
    cpu_pressure: float | None = None  # share of time in which some task waited, 0 to 1
    memory_pressure: float | None = None
    agent_cpu: float | None = None  # processors used
    ring_full: float | None = None  # share of records that found no room, 0 to 1
    p95_us: float | None = None  # production's; the caller sees to it that enough answers count


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernorLimits:
    """Over a limit the factor is lowered. None: nobody looks at it."""

    host_cpu: float | None = 0.95
    host_memory: float | None = 0.05  # the one that is a least, not a most
    cpu_pressure: float | None = None
    memory_pressure: float | None = 0.2
    agent_cpu: float | None = None
    ring_full: float | None = 0.02
    p95_us: float | None = None  # of production, whatever it was before
    p95_times: float | None = 5.0  # of production, against what it usually is
    p95_slack_us: float = 5000.0  # a p95 that rose by less than this is no matter
    floor: float = 0.0  # 0: look away
    lower: float = 0.5  # by which the factor is multiplied, at least
    step: float = 0.05  # by which it rises
    margin: float = 0.1  # it rises only when every value is this much below its limit
    hold_s: float = 10.0  # and this long after it was last lowered


class Excess(NamedTuple):
    """A value against its limit; ``load`` above 1 is over it, whichever way the limit faces."""

    cause: Cause
    value: float
    limit: float
    load: float


class Change(NamedTuple):
    """The factor changed, and why; value and limit are None when it rose."""

    before: float
    after: float
    cause: Cause
    value: float | None
    limit: float | None


class Governor:
    """The factor, from 0 to 1, on the sample that the operator configured."""

    def __init__(self, limits: GovernorLimits) -> None:
        """Nothing is known against mirroring all of it."""
        self.factor = 1.0
        self.cause = Cause.NONE
        self._limits = limits
        self._hold_until = float("-inf")
        self._baseline: float | None = None
        self._windows = 0
        self._learned: float | None = None  # when the baseline last followed

    @property
    def baseline_us(self) -> float | None:
        """Production's usual p95, once enough windows have said so."""
        return self._baseline if self._windows >= _WINDOWS else None

    def change(self, limits: GovernorLimits, *, on: bool) -> Change | None:
        """Other limits from now on; ``on``: somebody still looks. The change that makes, if any."""
        self._limits = limits
        wanted = max(self.factor, limits.floor) if on else 1.0
        return None if wanted == self.factor else self._set(wanted, Cause.RECOVERING, None)

    def update(self, reading: Reading, now: float) -> Change | None:
        """Take a reading at ``now`` (seconds, monotonic); the change it makes, if any."""
        found = list(self._measure(reading))
        if reading.p95_us is not None:
            self._learn(reading.p95_us, now)
        worst = max(found, key=lambda one: one.load, default=None)
        if worst is not None and worst.load > 1:
            self._hold_until = now + self._limits.hold_s
            by = min(self._limits.lower, 1 / worst.load)
            return self._set(self.factor * by, worst.cause, worst)
        calm = worst is None or worst.load < 1 - self._limits.margin
        if self.factor < 1 and calm and now >= self._hold_until:
            return self._set(self.factor + self._limits.step, Cause.RECOVERING, None)
        return None

    def _set(self, wanted: float, cause: Cause, why: Excess | None) -> Change | None:
        limits = self._limits
        if why is not None and wanted < _LEAST:
            wanted = 0.0
        # a step that ends a rounding error below 1 is the whole sample
        after = 1.0 if wanted > 1 - 1e-9 else max(wanted, limits.floor)
        before, self.factor = self.factor, after
        self.cause = Cause.NONE if after == 1.0 else cause
        if after == before:
            return None
        return Change(
            before,
            after,
            cause,
            None if why is None else why.value,
            None if why is None else why.limit,
        )

    def _measure(self, reading: Reading) -> Iterator[Excess]:
        limits = self._limits
        for cause in _MOSTS:
            value, limit = getattr(reading, cause), getattr(limits, cause)
            if value is not None and limit is not None:
                yield _excess(cause, value, limit)
        if reading.host_memory is not None and limits.host_memory is not None:
            value, limit = reading.host_memory, limits.host_memory
            # a least: the load is how often what is there would fit into what should be
            yield Excess(Cause.HOST_MEMORY, value, limit, limit / max(value, 1e-9))
        p95_limit = self._p95_limit()
        if reading.p95_us is not None and p95_limit is not None:
            yield _excess(Cause.PRODUCTION_P95, reading.p95_us, p95_limit)

    def _p95_limit(self) -> float | None:
        limits, baseline = self._limits, self.baseline_us
        found = [] if limits.p95_us is None else [limits.p95_us]
        if limits.p95_times is not None and baseline is not None:
            found.append(max(baseline * limits.p95_times, baseline + limits.p95_slack_us))
        return min(found, default=None)

    def _learn(self, p95_us: float, now: float) -> None:
        """The mean of the first windows, then slowly after what comes."""
        self._windows += 1
        if self._baseline is None:
            self._baseline = p95_us
        elif self._windows <= _WINDOWS:
            self._baseline += (p95_us - self._baseline) / self._windows
        else:
            elapsed = 0.0 if self._learned is None else max(now - self._learned, 0.0)
            self._baseline += (p95_us - self._baseline) * min(elapsed / _FOLLOW_S, 0.1)
        self._learned = now


# Fields of Reading and GovernorLimits that are named after their cause and have a most.
_MOSTS: Final = (
    Cause.HOST_CPU,
    Cause.CPU_PRESSURE,
    Cause.MEMORY_PRESSURE,
    Cause.AGENT_CPU,
    Cause.RING_FULL,
)


def _excess(cause: Cause, value: float, limit: float) -> Excess:
    if limit > 0:
        return Excess(cause, value, limit, value / limit)
    # nothing at all is allowed; nothing at all is then at the limit, and no reason to rise
    return Excess(cause, value, limit, float("inf") if value > 0 else 1.0)
