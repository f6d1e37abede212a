"""What one worker tells the supervisor, and how the supervisor reads it without trusting it.

A snapshot is cumulative since its worker started: a lost one costs nothing.  The supervisor keeps
the last snapshot of every worker that ended and merges it with those of the living.

Reading 500 endpoints costs 20 ms, all the rest 0.5 ms: so a worker sends the endpoints now and
then and at its end, and ``decode`` carries over those it is not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shadow_agent.telemetry.breakers import Breakers, merge_breakers
from shadow_agent.telemetry.check import count, counts, exact_keys, text
from shadow_agent.telemetry.endpoints import EndpointTable
from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.ledger import Ledger, merge_all
from shadow_agent.telemetry.reasons import (
    AliasEvent,
    BodyResult,
    LatencyUnknown,
    Outcome,
    Refused,
)

__all__ = [
    "HISTOGRAMS",
    "MAX_BYTES",
    "MAX_STATUS_PAIRS",
    "OTHER_STATUSES",
    "Snapshot",
    "decode",
    "encode",
    "merge",
]

HISTOGRAMS: Final = ("production_first", "shadow_first", "production_last", "shadow_last")
MAX_BYTES: Final = 16 * 2**20  # 501 endpoints with both histograms full are 12 MiB
MAX_STATUS_PAIRS: Final = 2000  # a tally keeps 1,000 that differ; equal ones are 900 at most
MAX_RULES: Final = 1000
PASSED: Final = "passed"  # what a rule let through, beside the values of Refused
MAX_DIFFERENCES: Final = 500  # names that a tally keeps; a body can make as many as it likes
OTHER_DIFFERENCES: Final = "other"
_LONGEST_DIFFERENCE: Final = 1024  # a path of 160 characters and a selector of 512
OTHER_STATUSES: Final = "other"  # differing pairs of statuses beyond what a tally keeps

_STATUS_PAIR: Final = re.compile(
    rf"[1-9][0-9]{{2}}→(?:[1-9][0-9]{{2}}|{'|'.join(Outcome)})|{OTHER_STATUSES}"
)
_RULE_OUTCOMES: Final = frozenset({PASSED, *Refused})
_RTT_MOST_US: Final = 3_600_000_000  # an hour


@dataclass(slots=True)
class Snapshot:
    """Totals of one worker, or of several after ``merge``.

    ``ledger`` is the user side's: ``packets`` is empty, ``records`` has ``read`` and
    ``lost.undecodable`` only, and ``requests.lost`` counts gaps that no started request explains;
    ``Ledger.with_kernel`` completes it.  Latencies are microseconds from the request's last byte.
    """

    ledger: Ledger = field(default_factory=Ledger)
    production_first: LogHistogram = field(default_factory=LogHistogram)
    shadow_first: LogHistogram = field(default_factory=LogHistogram)
    production_last: LogHistogram = field(default_factory=LogHistogram)
    shadow_last: LogHistogram = field(default_factory=LogHistogram)
    latency_unknown: dict[str, int] = field(default_factory=dict)  # by LatencyUnknown
    status_pairs: dict[str, int] = field(default_factory=dict)  # "200→500", "200→reset"
    body: dict[str, int] = field(default_factory=dict)  # by BodyResult
    outcomes: dict[str, int] = field(default_factory=dict)  # by Outcome
    endpoints: EndpointTable = field(default_factory=EndpointTable)
    dispatch_lag: LogHistogram = field(default_factory=LogHistogram)  # capture to send, µs
    network_rtt_us: int | None = None  # the smallest round trip to the shadow; None: not known yet
    rules: dict[str, dict[str, int]] = field(default_factory=dict)  # by name: PASSED or Refused
    different: int = 0  # pairs whose status, body or outcome differ, each counted once
    eligible: int = 0  # pairs that may count in a verdict
    breakers: Breakers = field(default_factory=Breakers)
    diverged: int = 0  # pairs that may not: the shadow lacks an earlier write of their session
    aliases: dict[str, int] = field(default_factory=dict)  # by AliasEvent
    differences: dict[str, int] = field(default_factory=dict)  # pairs by name of a difference
    suppressed: dict[str, int] = field(default_factory=dict)  # by name and what suppressed it
    with_endpoints: bool = True  # False: travels without its endpoints

    def as_dict(self) -> dict[str, Any]:
        """Plain objects, lists, strings and numbers, ready for orjson."""
        return {
            "ledger": self.ledger.as_dict(),
            "histograms": {name: getattr(self, name).as_dict() for name in HISTOGRAMS},
            "latency_unknown": self.latency_unknown,
            "status_pairs": self.status_pairs,
            "body": self.body,
            "outcomes": self.outcomes,
            "endpoints": self.endpoints.as_list() if self.with_endpoints else None,
            "timing": {"dispatch_lag": self.dispatch_lag.as_dict()},
            "network_rtt_us": self.network_rtt_us,
            "rules": self.rules,
            "different": self.different,
            "eligible": self.eligible,
            "breakers": self.breakers.as_dict(),
            "diverged": self.diverged,
            "aliases": self.aliases,
            "differences": self.differences,
            "suppressed": self.suppressed,
        }

    @classmethod
    def from_dict(cls, data: object, before: Snapshot | None = None) -> Snapshot:
        """The snapshot that ``as_dict`` described; ValueError, one line, for anything else.

        ``before`` is the same worker's previous one, whose endpoints fill in for those not sent.
        """
        given = exact_keys(data, _KEYS, "snapshot")
        histograms = exact_keys(given["histograms"], HISTOGRAMS, "histograms")
        timing = exact_keys(given["timing"], ("dispatch_lag",), "timing")
        read: dict[str, Any] = {
            name: LogHistogram.from_dict(histograms[name], name) for name in HISTOGRAMS
        }
        rtt, endpoints = given["network_rtt_us"], given["endpoints"]
        if endpoints is not None:
            table = EndpointTable.from_list(endpoints)
        else:
            table = EndpointTable() if before is None else before.endpoints
        return cls(
            **read,
            ledger=Ledger.from_dict(given["ledger"]),
            latency_unknown=counts(given["latency_unknown"], LatencyUnknown, "latency_unknown"),
            status_pairs=_status_pairs(given["status_pairs"]),
            body=counts(given["body"], BodyResult, "body"),
            outcomes=counts(given["outcomes"], Outcome, "outcomes"),
            endpoints=table,
            dispatch_lag=LogHistogram.from_dict(timing["dispatch_lag"], "timing.dispatch_lag"),
            network_rtt_us=None if rtt is None else count(rtt, "network_rtt_us", most=_RTT_MOST_US),
            rules=_rules(given["rules"]),
            different=count(given["different"], "different"),
            eligible=count(given["eligible"], "eligible"),
            breakers=Breakers.from_dict(given["breakers"]),
            diverged=count(given["diverged"], "diverged"),
            aliases=counts(given["aliases"], AliasEvent, "aliases"),
            differences=_differences(given["differences"], "differences"),
            suppressed=_differences(given["suppressed"], "suppressed"),
        )


_KEYS: Final = frozenset(Snapshot().as_dict())


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as JSON, for the supervisor."""
    return orjson.dumps(snapshot.as_dict())


def decode(data: bytes, before: Snapshot | None = None) -> Snapshot:
    """A worker's snapshot, believed in form only: numbers in range, names known, sizes bounded.

    ``before`` is the same worker's previous one, whose endpoints fill in for those not sent.
    Raises ValueError with one line that names what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"snapshot: {len(data)} bytes, at most {MAX_BYTES} are allowed")
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as exc:
        raise ValueError(f"snapshot: not JSON: {exc.msg}") from None
    return Snapshot.from_dict(parsed, before)


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All snapshots added up; an empty one for none. None of them is changed or shared."""
    parts = list(snapshots)
    whole = Snapshot(ledger=merge_all(part.ledger for part in parts))
    for part in parts:
        for name in (*HISTOGRAMS, "dispatch_lag"):
            getattr(whole, name).merge(getattr(part, name))
        for name in ("latency_unknown", "status_pairs", "body", "outcomes", "aliases"):
            _add(getattr(whole, name), getattr(part, name))
        for name in ("differences", "suppressed"):
            _add(getattr(whole, name), getattr(part, name), MAX_DIFFERENCES)
        for name, outcomes in part.rules.items():
            _add(whole.rules.setdefault(name, {}), outcomes)
        whole.endpoints.merge(part.endpoints)
        whole.different += part.different
        whole.eligible += part.eligible
        whole.diverged += part.diverged
    whole.breakers = merge_breakers(part.breakers for part in parts)
    whole.network_rtt_us = min(
        (part.network_rtt_us for part in parts if part.network_rtt_us is not None), default=None
    )
    return whole


def _add(total: dict[str, int], more: dict[str, int], most: int | None = None) -> None:
    for name, n in more.items():
        full = most is not None and len(total) >= most and name not in total
        key = OTHER_DIFFERENCES if full else name
        total[key] = total.get(key, 0) + n


def _differences(data: object, where: str) -> dict[str, int]:
    if type(data) is not dict:
        raise ValueError(f"{where}: expected an object, not {type(data).__name__}")
    if len(data) > MAX_DIFFERENCES + 1:
        raise ValueError(f"{where}: {len(data)} entries, at most {MAX_DIFFERENCES + 1} are allowed")
    for name in data:
        # any script: names of members of JSON are in it
        if len(name) > _LONGEST_DIFFERENCE or not name.isprintable():
            raise ValueError(f"{where}: a name that is too long or cannot be printed")
    return {name: count(n, where) for name, n in data.items()}


def _rules(data: object) -> dict[str, dict[str, int]]:
    if type(data) is not dict:
        raise ValueError(f"rules: expected an object, not {type(data).__name__}")
    if len(data) > MAX_RULES:
        raise ValueError(f"rules: {len(data)} entries, at most {MAX_RULES} are allowed")
    read = {}
    for name, outcomes in data.items():
        text(name, "rules", longest=64)
        if type(outcomes) is not dict or not outcomes.keys() <= _RULE_OUTCOMES:
            raise ValueError("rules: a rule's counts are not by what became of its requests")
        read[name] = {outcome: count(n, f"rules.{outcome}") for outcome, n in outcomes.items()}
    return read


def _status_pairs(data: object) -> dict[str, int]:
    if type(data) is not dict:
        raise ValueError(f"status_pairs: expected an object, not {type(data).__name__}")
    if len(data) > MAX_STATUS_PAIRS:
        raise ValueError(
            f"status_pairs: {len(data)} entries, at most {MAX_STATUS_PAIRS} are allowed"
        )
    for name in data:
        if not _STATUS_PAIR.fullmatch(name):
            raise ValueError("status_pairs: a name that is no pair such as 200→500 or 200→reset")
    return {name: count(n, f"status_pairs.{name}") for name, n in data.items()}
