"""The seven lines of the ledger as values: what each name counts.

The identities themselves, and what is derived from them, are in ``ledger``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final, Self

from shadow_agent.telemetry.check import count, counts, exact_keys, without_zeros
from shadow_agent.telemetry.reasons import (
    Failed,
    NotHttp,
    Reason,
    RecordsLost,
    Refused,
    Shed,
    Unanswered,
    Uncomparable,
    Unsupported,
)

__all__ = [
    "LINES",
    "Exchanges",
    "Line",
    "Packets",
    "Pairs",
    "Records",
    "Replay",
    "Requests",
    "Segments",
]


def _count(meaning: str) -> int:
    made: int = field(default=0, metadata={"meaning": meaning})
    return made


@dataclass(frozen=True, slots=True)
class Line:
    """One identity: ``LEFT`` equals the sum of every other field that is not in ``ASIDE``.

    A field named in ``REASONS`` holds counts by reason; those in ``GAUGES`` go down again.
    """

    LEFT: ClassVar[str]
    ASIDE: ClassVar[tuple[str, ...]] = ()
    GAUGES: ClassVar[tuple[str, ...]] = ()
    REASONS: ClassVar[Mapping[str, type[Reason]]] = {}

    @classmethod
    def parts(cls) -> tuple[str, ...]:
        """The names on the right side, in the contract's order."""
        outside = (cls.LEFT, *cls.ASIDE)
        return tuple(f.name for f in fields(cls) if f.name not in outside)

    @classmethod
    def meaning(cls, name: str, reason: str | None = None) -> str:
        """When ``name`` (for this ``reason`` of it) is counted, in words for an operator."""
        if reason is not None:
            return next(each.meaning for each in cls.REASONS[name] if each == reason)
        return next(str(f.metadata.get("meaning", "")) for f in fields(cls) if f.name == name)

    @property
    def left(self) -> int:
        """What came in."""
        return int(getattr(self, self.LEFT))

    @property
    def right(self) -> int:
        """What is accounted for."""
        return sum(self.total(name) for name in self.parts())

    def total(self, name: str) -> int:
        """One name's count, over all its reasons when it has any."""
        value: int | Mapping[str, int] = getattr(self, name)
        return value if isinstance(value, int) else sum(value.values())

    def as_dict(self) -> dict[str, Any]:
        """The line as the contract's JSON object; reasons that are zero are left out."""
        return {
            f.name: without_zeros(getattr(self, f.name))
            if f.name in self.REASONS
            else getattr(self, f.name)
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, data: object, where: str) -> Self:
        """The line that ``as_dict`` described; ValueError names the first thing wrong."""
        given = exact_keys(data, [f.name for f in fields(cls)], where)
        return cls(
            **{
                name: counts(value, cls.REASONS[name], f"{where}.{name}")
                if name in cls.REASONS
                else count(value, f"{where}.{name}")
                for name, value in given.items()
            }
        )

    def __add__(self, other: Self) -> Self:
        """Both lines added up, name by name and reason by reason."""
        return type(self)(
            **{
                f.name: _add_reasons(getattr(self, f.name), getattr(other, f.name))
                if f.name in self.REASONS
                else getattr(self, f.name) + getattr(other, f.name)
                for f in fields(self)
            }
        )


@dataclass(frozen=True, slots=True)
class Packets(Line):
    """What the tap in the kernel saw; ``seen`` is the program's own run count."""

    LEFT: ClassVar = "seen"
    REASONS: ClassVar = {"unsupported": Unsupported}

    seen: int = _count("times the program ran")
    own: int = _count("the agent's own traffic to and from the shadow")
    not_service: int = _count("another port or protocol")
    no_payload: int = _count("a pure ACK; in a file also a fragment whose bytes came with another")
    paused: int = _count("the off switch was on, or the lease was stale")
    sampled_out: int = _count("sampling chose not to mirror this connection or request")
    over_budget: int = _count("of a request that began when the byte budget was spent")
    unsupported: Mapping[str, int] = field(default_factory=dict)
    ring_full: int = _count("the worker's ring had no room: the agent is too slow")
    copied: int = _count("handed to a worker")


@dataclass(frozen=True, slots=True)
class Records(Line):
    """What the rings carried."""

    LEFT: ClassVar = "copied"
    GAUGES: ClassVar = ("in_ring",)
    REASONS: ClassVar = {"lost": RecordsLost}

    copied: int = _count("put on a ring")
    read: int = _count("taken off it by a worker and decoded")
    in_ring: int = _count("waiting there now")
    lost: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Segments(Line):
    """What reassembly did with each packet's payload."""

    LEFT: ClassVar = "read"
    GAUGES: ClassVar = ("held",)
    REASONS: ClassVar = {"not_http": NotHttp}

    read: int = _count("decoded")
    used: int = _count("became part of a stream")
    duplicate: int = _count("retransmitted: every byte was there already")
    out_of_window: int = _count("its sequence number is far from its stream")
    unaligned: int = _count("before the first request of a flow joined in mid-connection")
    evicted: int = _count("held out of order when its flow was dropped or its buffer was full")
    not_http: Mapping[str, int] = field(default_factory=dict)
    held: int = _count("waiting for what is missing before it")


@dataclass(frozen=True, slots=True)
class Requests(Line):
    """What became of each request message; ``heads`` and ``lost`` stand beside the identity.

    In a worker's own ledger ``lost`` is the gaps that no started request explains.
    """

    LEFT: ClassVar = "started"
    ASIDE: ClassVar = ("heads", "lost")
    GAUGES: ClassVar = ("open",)

    started: int = _count("a first byte was seen")
    complete: int = _count("the last byte too")
    gap: int = _count("bytes in the middle were lost")
    malformed: int = _count("not HTTP")
    oversize: int = _count("a head beyond the limit")
    evicted: int = _count("its flow was idle too long or the table was full")
    aborted: int = _count("the client closed in the middle")
    open: int = _count("still streaming")
    heads: int = _count("heads parsed, complete or not")
    lost: int = _count("lost in capture before its first byte was seen")


@dataclass(frozen=True, slots=True)
class Exchanges(Line):
    """Whether production answered."""

    LEFT: ClassVar = "heads"
    GAUGES: ClassVar = ("open",)
    REASONS: ClassVar = {"unanswered": Unanswered}

    heads: int = _count("request heads parsed")
    answered: int = _count("production's answer was read")
    unanswered: Mapping[str, int] = field(default_factory=dict)
    open: int = _count("production may still answer")


@dataclass(frozen=True, slots=True)
class Replay(Line):
    """Whether the request was sent to the shadow."""

    LEFT: ClassVar = "heads"
    GAUGES: ClassVar = ("queued",)
    REASONS: ClassVar = {"refused": Refused, "shed": Shed, "failed": Failed}

    heads: int = _count("request heads parsed")
    replayed: int = _count("handed to a shadow connection")
    refused: Mapping[str, int] = field(default_factory=dict)
    shed: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    queued: int = _count("waiting for its turn")


@dataclass(frozen=True, slots=True)
class Pairs(Line):
    """Whether both answers could be compared."""

    LEFT: ClassVar = "replayed"
    GAUGES: ClassVar = ("open",)
    REASONS: ClassVar = {"uncomparable": Uncomparable}

    replayed: int = _count("sent to the shadow")
    compared: int = _count("both halves judged, bad outcomes of the shadow included")
    uncomparable: Mapping[str, int] = field(default_factory=dict)
    open: int = _count("waiting for an answer")


LINES: Final[Mapping[str, type[Line]]] = {
    "packets": Packets,
    "records": Records,
    "segments": Segments,
    "requests": Requests,
    "exchanges": Exchanges,
    "replay": Replay,
    "pairs": Pairs,
}


def _add_reasons(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    total = dict(one)
    for reason, n in other.items():
        total[reason] = total.get(reason, 0) + n
    return total
