"""The ledger: counters that balance, line by line.

```
packets:   seen     = own + not_service + no_payload + paused + sampled_out + over_budget
                      + unsupported.* + ring_full + copied
records:   copied   = read + in_ring + lost.*
segments:  read     = used + duplicate + out_of_window + unaligned + evicted + not_http.* + held
requests:  started  = complete + gap + malformed + oversize + evicted + aborted + open
exchanges: heads    = answered + unanswered.* + open
replay:    heads    = replayed + refused.* + shed.* + failed.* + queued
pairs:     replayed = compared + uncomparable.* + open
```

``requests.heads`` and ``requests.lost`` stand beside their line's identity.  Lines are exact
after the drain; while traffic runs, the kernel's and the workers' counters are read one after
the other and may disagree by what happened in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from shadow_agent.telemetry.check import exact_keys
from shadow_agent.telemetry.lines import (
    LINES,
    Exchanges,
    Line,
    Packets,
    Pairs,
    Records,
    Replay,
    Requests,
    Segments,
)
from shadow_agent.telemetry.reasons import RecordsLost

__all__ = [
    "LINES",
    "Exchanges",
    "Ledger",
    "Line",
    "Packets",
    "Pairs",
    "Records",
    "Replay",
    "Requests",
    "Segments",
    "blind",
    "coverage",
    "imbalances",
    "left_out",
    "left_over",
    "losses",
    "meaning",
    "merge",
    "merge_all",
    "reach",
    "wanted",
]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All seven lines of one target."""

    packets: Packets = field(default_factory=Packets)
    records: Records = field(default_factory=Records)
    segments: Segments = field(default_factory=Segments)
    requests: Requests = field(default_factory=Requests)
    exchanges: Exchanges = field(default_factory=Exchanges)
    replay: Replay = field(default_factory=Replay)
    pairs: Pairs = field(default_factory=Pairs)

    def lines(self) -> list[tuple[str, Line]]:
        """``(name, line)`` in the order of the path."""
        return [(name, getattr(self, name)) for name in LINES]

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """The contract's JSON object."""
        return {name: line.as_dict() for name, line in self.lines()}

    @classmethod
    def from_dict(cls, data: object, where: str = "ledger") -> Ledger:
        """The ledger that ``as_dict`` described; ValueError names the first thing wrong."""
        given = exact_keys(data, LINES, where)
        made: dict[str, Any] = {
            name: kind.from_dict(given[name], f"{where}.{name}") for name, kind in LINES.items()
        }
        return cls(**made)

    def with_kernel(
        self, packets: Packets, *, in_ring: int, lost_starts: int, worker_died: int = 0
    ) -> Ledger:
        """The workers' merged ledger completed with what only the kernel and the supervisor know.

        ``in_ring``: records still on all rings.  ``lost_starts``: ring-full ingress segments that
        begin with a method token; ``requests.lost`` becomes the larger of it and the gaps the
        workers could not explain, since one loss shows in both.  ``worker_died``: records a dead
        worker had consumed and not reported.
        """
        lost = dict(self.records.lost)
        if worker_died:
            lost[RecordsLost.WORKER_DIED] = lost.get(RecordsLost.WORKER_DIED, 0) + worker_died
        return replace(
            self,
            packets=packets,
            records=replace(self.records, copied=packets.copied, in_ring=in_ring, lost=lost),
            requests=replace(self.requests, lost=max(self.requests.lost, lost_starts)),
        )


# What leaves one line is what enters the next.
_LINKS: Final = (
    ("packets.copied", "records.copied"),
    ("records.read", "segments.read"),
    ("requests.heads", "exchanges.heads"),
    ("requests.heads", "replay.heads"),
    ("replay.replayed", "pairs.replayed"),
)


_LOSSES: Final = (
    "requests.gap",
    "requests.oversize",
    "requests.evicted",
    "requests.lost",
    "replay.shed",
    "replay.failed",
    "pairs.uncomparable",
)
_LEFT_OUT: Final = (
    "packets.paused",
    "packets.sampled_out",
    "packets.over_budget",
    "packets.unsupported",
    "packets.ring_full",
    "records.lost",
    "segments.out_of_window",
    "segments.unaligned",
    "segments.evicted",
    "segments.not_http",
    "requests.malformed",
    "requests.aborted",
    "exchanges.unanswered",
    "replay.refused",
)


def merge(one: Ledger, other: Ledger) -> Ledger:
    """Both ledgers added up."""
    return Ledger(**{name: getattr(one, name) + getattr(other, name) for name in LINES})


def merge_all(ledgers: Iterable[Ledger]) -> Ledger:
    """All ledgers added up; an empty one for none."""
    total = Ledger()
    for ledger in ledgers:
        total = merge(total, ledger)
    return total


def imbalances(ledger: Ledger) -> list[str]:
    """One sentence with numbers per identity, or link between two lines, that does not hold."""
    found = [
        f"{name}: {line.LEFT} is {line.left} but {' + '.join(line.parts())} is {line.right}"
        f" ({line.right - line.left:+d})"
        for name, line in ledger.lines()
        if line.left != line.right
    ]
    for before, after in _LINKS:
        left, right = _at(ledger, before), _at(ledger, after)
        if left != right:
            found.append(f"{before} is {left} but {after} is {right} ({right - left:+d})")
    return found


def left_over(ledger: Ledger) -> list[str]:
    """One sentence per gauge that is not zero: after a drain nothing may be open any more."""
    return [
        f"{name}.{gauge} is {line.total(gauge)} after the drain"
        for name, line in ledger.lines()
        for gauge in line.GAUGES
        if line.total(gauge)
    ]


def wanted(ledger: Ledger) -> int:
    """How many requests we wanted compared: those that were, and every loss that is ours."""
    requests, replay, pairs = ledger.requests, ledger.replay, ledger.pairs
    return (
        pairs.compared
        + requests.gap
        + requests.oversize
        + requests.evicted
        + requests.lost
        + replay.total("shed")
        + replay.total("failed")
        + pairs.total("uncomparable")
    )


def coverage(ledger: Ledger) -> float | None:
    """The share, 0 to 1, of what we wanted mirrored that was compared; None for 0 ÷ 0."""
    whole = wanted(ledger)
    return ledger.pairs.compared / whole if whole else None


def reach(ledger: Ledger, eligible: int) -> float | None:
    """The share, 0 to 1, of production's requests that ``eligible`` pairs speak for; else None."""
    whole = ledger.requests.heads + ledger.requests.lost
    return eligible / whole if whole else None


def losses(ledger: Ledger) -> dict[str, int]:
    """What lowers coverage, by its full name such as ``replay.shed.queue_full``; zeros left out."""
    return {name: n for name, n in _named(ledger) if name.startswith(_LOSSES)}


def left_out(ledger: Ledger) -> dict[str, int]:
    """What left the path early without lowering coverage, by its full name; zeros left out."""
    return {name: n for name, n in _named(ledger) if name.startswith(_LEFT_OUT)}


def meaning(name: str) -> str:
    """When a full name such as ``replay.shed.queue_full`` is counted, in words for an operator."""
    line, *rest = name.split(".")
    return LINES[line].meaning(*rest)


def blind(ledger: Ledger) -> bool:
    """Whether payload arrived and not one request was found in it: such a run is invalid."""
    payload = ledger.packets.copied + ledger.packets.ring_full
    return payload > 0 and ledger.requests.started == 0


def _named(ledger: Ledger) -> Iterator[tuple[str, int]]:
    for line, counts in ledger.as_dict().items():
        for name, value in counts.items():
            if isinstance(value, dict):
                yield from ((f"{line}.{name}.{reason}", n) for reason, n in value.items())
            elif value:
                yield f"{line}.{name}", value


def _at(ledger: Ledger, path: str) -> int:
    line, name = path.split(".")
    value: Line = getattr(ledger, line)
    return value.total(name)
