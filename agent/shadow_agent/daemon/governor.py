"""Watches host, production and agent once a second, and turns the governor's factor into a dial."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from shadow_agent.config import GovernorConfig
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.vitals import Host
from shadow_agent.kernel.layout import Counter
from shadow_agent.policy.governor import Cause, Change, Governor, GovernorLimits, Reading
from shadow_agent.telemetry.cost import cpu_of
from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.load import LoadRange, Totals
from shadow_agent.telemetry.lowered import Lowered

_EVERY_S: Final = 1.0
# One busy second is no overload of a host or of ours; this many in a row, on average, are.
_BUSY_LOOKS: Final = 10
# Of our own processor budget; at the whole of it a control group has slowed us already.
_NEAR: Final = 0.9
# Fewer records in a second say nothing about the share that found the ring full.
_LEAST_RECORDS: Final = 50
# Older answers are no present: a p95 that has not enough by then is dropped.
_P95_WINDOW_S: Final = 30.0

# What the tap does with a packet of the service that carries payload.
_PRODUCTION: Final = (
    Counter.PAUSED,
    Counter.SAMPLED_OUT,
    Counter.OVER_BUDGET,
    Counter.RING_FULL,
    Counter.COPIED,
)


class _Seen(NamedTuple):
    at: float
    kernel: Mapping[Counter, int]
    cpu_s: float


def governor_limits(config: GovernorConfig, cpu: float) -> GovernorLimits:
    """For the policy room; ``cpu``: processors of our own budget. At its end a scale is off."""
    return GovernorLimits(
        host_cpu=_unless(config.host_cpu, 1.0),
        host_memory=_unless(config.host_memory, 0.0),
        cpu_pressure=_unless(config.cpu_pressure, 1.0),
        memory_pressure=_unless(config.memory_pressure, 1.0),
        ring_full=_unless(config.ring_full, 1.0),
        agent_cpu=cpu * _NEAR,
        p95_us=None if config.p95_ms is None else config.p95_ms * 1000,
        p95_times=_unless(config.p95_times, 0.0),
        floor=config.floor,
        hold_s=config.hold_s,
    )


class GovernorWatch:
    """Reads counters and /proc; its one act is to turn the dial."""

    def __init__(
        self,
        config: GovernorConfig,
        cpu: float,
        dial: Dial,
        books: Books,
        kernel: Callable[[], Mapping[Counter, int]],
        children: Callable[[], list[int]],
        host: Host | None = None,
    ) -> None:
        """``cpu``: our budget, processors. ``kernel``: counters of production's tap, now."""
        self.on_change: list[Callable[[Change], None]] = []
        self._config = config
        self._cpu = cpu
        self._governor = Governor(governor_limits(config, cpu))
        self._dial = dial
        self._books = books
        self._kernel = kernel
        self._children = children
        self._host = Host() if host is None else host
        self._busy: deque[float] = deque(maxlen=_BUSY_LOOKS)
        self._ours: deque[float] = deque(maxlen=_BUSY_LOOKS)
        self._before: _Seen | None = None
        self._answers: tuple[float, LogHistogram] | None = None  # since when, and up to then
        self._load = LoadRange()
        self._lowered = Lowered()
        self._active = True

    @property
    def factor(self) -> float:
        """On the sample that the operator and the gate configured."""
        return self._governor.factor

    @property
    def cause(self) -> Cause:
        """Why it is what it is."""
        return self._governor.cause

    @property
    def lowered_s(self) -> float:
        """For how long less than the configured sample was mirrored."""
        return self._lowered.seconds

    def tick(self, now: float) -> None:
        """Four times a second; ``now`` is CLOCK_MONOTONIC, seconds."""
        before = self._before
        if not self._active or (before is not None and now < before.at + _EVERY_S):
            return
        seen = _Seen(now, self._kernel(), cpu_of(os.getpid(), self._children()))
        self._before = seen
        vitals = self._host.look(now)
        if before is None:
            return
        self._note_load(before, seen)
        if not self._config.enabled:
            return
        if vitals.cpu is not None:
            self._busy.append(vitals.cpu)
        self._ours.append(max(seen.cpu_s - before.cpu_s, 0.0) / (now - before.at))
        change = self._governor.update(
            Reading(
                host_cpu=_mean(self._busy),
                host_memory=vitals.memory,
                cpu_pressure=vitals.cpu_pressure,
                memory_pressure=vitals.memory_pressure,
                agent_cpu=_mean(self._ours),
                ring_full=_ring_full(before.kernel, seen.kernel),
                p95_us=self._p95(now),
            ),
            now,
        )
        self._publish(change)

    def change(self, config: GovernorConfig) -> None:
        """Other limits from now on; the agent's own budget stays as it is."""
        self._config = config
        limits = governor_limits(config, self._cpu)
        self._publish(self._governor.change(limits, on=config.enabled))

    def stop(self) -> None:
        """The run is over: nothing is lowered or raised while it drains."""
        self._active = False

    def facts(self) -> dict[str, Any]:
        """The summary's ``governor``."""
        baseline = self._governor.baseline_us
        return {
            "enabled": self._config.enabled,
            "factor": round(self.factor, 4),
            "cause": str(self.cause),
            "ceiling": self._dial.ceiling,
            "production_p95_usual_us": None if baseline is None else round(baseline, 1),
            **self._lowered.as_dict(),
        }

    def load(self) -> dict[str, Any]:
        """The summary's ``load``."""
        return self._load.as_dict()

    def _publish(self, change: Change | None) -> None:
        if change is None:
            return
        self._lowered.changed(time.time(), change)
        self._answers = None  # what was asked before says nothing of now
        self._dial.scale(self.factor, describe(change))
        for listener in self.on_change:
            listener(change)

    def _note_load(self, before: _Seen, seen: _Seen) -> None:
        elapsed = seen.at - before.at
        started, compared = self._books.progress()
        packets = sum(seen.kernel[counter] for counter in _PRODUCTION)
        self._load.window(elapsed, Totals(packets, seen.kernel[Counter.COPIED], started, compared))
        sampled_out = seen.kernel[Counter.SAMPLED_OUT] - before.kernel[Counter.SAMPLED_OUT]
        self._lowered.passed(elapsed, self.factor, self._dial.ceiling, sampled_out)

    def _p95(self, now: float) -> float | None:
        """Of the answers since it was last known, once there are enough of them."""
        answered = self._books.production_first()
        if self._answers is None or now > self._answers[0] + _P95_WINDOW_S:
            self._answers = (now, answered)
            return None
        lately = answered.since(self._answers[1])
        if lately.count < self._config.p95_answers:
            return None
        self._answers = (now, answered)
        return lately.percentile(95)


def describe(change: Change) -> str:
    """One line for people."""
    if change.value is None or change.limit is None:
        return f"all is well again: {change.after:.0%} of the configured sample is mirrored"
    value, limit = change.value, change.limit
    if change.cause is Cause.PRODUCTION_P95:
        said = f"at {value / 1000:.1f} ms, limit {limit / 1000:.1f} ms"
    elif change.cause is Cause.AGENT_CPU:
        said = f"at {value:.2f} processors, limit {limit:.2f}"
    else:
        said = f"at {value:.0%}, limit {limit:.0%}"
    return f"{change.cause} {said}: {change.after:.3g} of the configured sample is mirrored"


def _unless(value: float, off: float) -> float | None:
    return None if value == off else value


def _mean(looks: deque[float]) -> float | None:
    """Over all of them; None before there are as many as it takes."""
    return sum(looks) / len(looks) if len(looks) == looks.maxlen else None


def _ring_full(before: Mapping[Counter, int], now: Mapping[Counter, int]) -> float | None:
    lost = now[Counter.RING_FULL] - before[Counter.RING_FULL]
    copied = now[Counter.COPIED] - before[Counter.COPIED]
    return lost / (lost + copied) if lost + copied >= _LEAST_RECORDS else None
