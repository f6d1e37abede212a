"""One worker's running totals over its comparisons: the hot side of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.compare.difference import Result
from shadow_agent.telemetry.endpoints import EndpointTable
from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.reasons import AliasEvent, BodyResult, LatencyUnknown, Outcome
from shadow_agent.telemetry.snapshot import (
    MAX_DIFFERENCES,
    OTHER_DIFFERENCES,
    OTHER_STATUSES,
    Snapshot,
)

if TYPE_CHECKING:
    from shadow_agent.telemetry.ledger import Ledger

__all__ = ["MAX_DIFFERING_PAIRS", "Tally"]

MAX_DIFFERING_PAIRS: Final = 1000  # a hostile shadow could make 810,000; the rest is "other"

_OTHER: Final = (0, 0)


class Tally:
    """Counts compared pairs; ``snapshot`` reads it out as often as wanted."""

    __slots__ = (
        "_bodies",
        "_different",
        "_differing_kinds",
        "_eligible",
        "_outcomes",
        "_statuses",
        "_unknown",
        "aliases",
        "differences",
        "dispatch_lag",
        "diverged",
        "endpoints",
        "network_rtt_us",
        "production_first",
        "production_last",
        "shadow_first",
        "shadow_last",
        "suppressed",
    )

    def __init__(self) -> None:
        self.production_first = LogHistogram()
        self.shadow_first = LogHistogram()
        self.production_last = LogHistogram()
        self.shadow_last = LogHistogram()
        self.dispatch_lag = LogHistogram()
        self.endpoints = EndpointTable()
        self.network_rtt_us: int | None = None
        self._statuses: dict[tuple[int, int | str], int] = {}
        self._differing_kinds = 0
        self._bodies = [0, 0, 0]  # in the order of BodyResult
        self._outcomes: dict[str, int] = {}
        self._unknown: dict[str, int] = {}
        self._different = 0
        self._eligible = 0
        self.diverged = 0  # pairs after a write that the shadow lacks
        self.aliases: dict[AliasEvent, int] = {}  # counted elsewhere, told here
        self.differences: dict[str, int] = {}  # pairs by name of what differs in them
        self.suppressed: dict[str, int] = {}  # the same for what does not count, and why

    def add(
        self,
        method: str,
        target: bytes,
        production_status: int,
        shadow_status: int | None,
        *,
        outcome: Outcome = Outcome.ANSWERED,
        bodies_equal: bool | None = None,
        production_first_us: float | None = None,
        shadow_first_us: float | None = None,
        production_last_us: float | None = None,
        shadow_last_us: float | None = None,
        eligible: bool = True,
    ) -> bool:
        """Count one compared pair; returns whether its status, body or outcome differ.

        Statuses are three digits.  A shadow that sent none differs in status, under its outcome's
        name.  ``bodies_equal`` is None when either body is not wholly known.  Latencies are
        microseconds, None when unknown (count why with ``latency_unknown``).
        """
        status_differs = production_status != shadow_status
        key = (production_status, str(outcome) if shadow_status is None else shadow_status)
        statuses = self._statuses
        if key in statuses:
            statuses[key] += 1
        else:
            self._new_statuses(key, differs=status_differs)
        body_differs = bodies_equal is False
        self._bodies[2 if bodies_equal is None else body_differs] += 1
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        self.endpoints.add(
            method,
            target,
            status_differs=status_differs,
            body_differs=body_differs,
            production_us=production_first_us,
            shadow_us=shadow_first_us,
        )
        if production_first_us is not None:
            self.production_first.add(production_first_us)
        if shadow_first_us is not None:
            self.shadow_first.add(shadow_first_us)
        if production_last_us is not None:
            self.production_last.add(production_last_us)
        if shadow_last_us is not None:
            self.shadow_last.add(shadow_last_us)
        if eligible:
            self._eligible += 1
        differs = status_differs or body_differs or outcome is not Outcome.ANSWERED
        if differs:
            self._different += 1
        return differs

    def differ(self, result: Result | None) -> None:
        """Count one pair under each name of what differs in it; None: it was not looked into."""
        if result is None or not result.differences:
            return
        for counted, found in (
            (self.differences, result.names),
            (self.suppressed, result.suppressed),
        ):
            for name in set(found):
                known = name in counted or len(counted) < MAX_DIFFERENCES
                key = name if known else OTHER_DIFFERENCES
                counted[key] = counted.get(key, 0) + 1

    def latency_unknown(self, reason: LatencyUnknown) -> None:
        """Count one latency of one side that the timestamps do not give."""
        self._unknown[reason] = self._unknown.get(reason, 0) + 1

    def round_trip(self, us: int) -> None:
        """Note a round trip to the shadow in microseconds; the smallest is kept."""
        if self.network_rtt_us is None or us < self.network_rtt_us:
            self.network_rtt_us = us

    def snapshot(
        self,
        ledger: Ledger,
        *,
        rules: dict[str, dict[str, int]] | None = None,
        with_endpoints: bool = True,
    ) -> Snapshot:
        """The totals beside the worker's ledger, and what its policy counted by rule.

        The histograms and endpoints in it are the live ones: encode it before the next ``add``.
        """
        return Snapshot(
            ledger=ledger,
            production_first=self.production_first,
            shadow_first=self.shadow_first,
            production_last=self.production_last,
            shadow_last=self.shadow_last,
            latency_unknown={str(reason): n for reason, n in self._unknown.items()},
            status_pairs={
                OTHER_STATUSES if key == _OTHER else f"{key[0]}→{key[1]}": n
                for key, n in self._statuses.items()
            },
            body={str(r): n for r, n in zip(BodyResult, self._bodies, strict=True) if n},
            outcomes={str(outcome): n for outcome, n in self._outcomes.items()},
            endpoints=self.endpoints,
            dispatch_lag=self.dispatch_lag,
            network_rtt_us=self.network_rtt_us,
            rules={} if rules is None else rules,
            different=self._different,
            eligible=self._eligible,
            diverged=self.diverged,
            aliases={str(event): n for event, n in self.aliases.items() if n},
            differences=dict(self.differences),
            suppressed=dict(self.suppressed),
            with_endpoints=with_endpoints,
        )

    def _new_statuses(self, key: tuple[int, int | str], *, differs: bool) -> None:
        if differs and self._differing_kinds >= MAX_DIFFERING_PAIRS:
            key = _OTHER
        elif differs:
            self._differing_kinds += 1
        self._statuses[key] = self._statuses.get(key, 0) + 1
