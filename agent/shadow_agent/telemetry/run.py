"""What is known about a run beside its counts: its names, state, interruptions and own cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["BpfCost", "Cost", "Interruption", "ProcessCost", "Run", "State"]


@dataclass(frozen=True, slots=True)
class Run:
    """What does not change while a target is attached."""

    version: str  # of the agent
    target: str
    shadow: str  # URL
    run_id: str
    builds: Mapping[str, str] = field(default_factory=dict)  # "production", "shadow" → build id
    epoch: int = 0
    loader: str = ""  # "libbpf" or "bcc"
    attached: Mapping[str, str] = field(default_factory=dict)  # interface → "tcx" or "clsact"
    isolation: Mapping[str, str] = field(default_factory=dict)  # mechanism → "on", or why not
    rules: tuple[tuple[str, str], ...] = ()  # name and action, in order
    unguarded: bool = False  # writes go out without a guard, by the operator's word
    dry_run: bool = False  # nothing goes out
    governor: Mapping[str, Any] = field(default_factory=dict)  # as in the summary, once it acted


class State(NamedTuple):
    """What may change while the run goes on."""

    sample: float = 1.0  # share of traffic mirrored, 0 to 1
    paused: bool = False
    factor: float = 1.0  # the governor's; in ``sample`` already
    cause: str = "none"  # why it is what it is


class Interruption(NamedTuple):
    """A time in which nothing was mirrored: an interface was away, or the shadow's was down."""

    iface: str
    start: float  # epoch seconds
    end: float | None  # epoch seconds; None: still away when the run ended
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The interruption as the summary shows it."""
        return {"iface": self.iface, "from": self.start, "to": self.end, "seconds": self.seconds}


class ProcessCost(NamedTuple):
    """What one living process of the agent used."""

    name: str  # as ps shows it
    pid: int
    cpu_s: float
    memory_bytes: int  # proportional share

    def as_dict(self) -> dict[str, object]:
        """The process as the summary shows it."""
        return {**self._asdict(), "cpu_s": round(self.cpu_s, 3)}


class BpfCost(NamedTuple):
    """What the tap costs those who send and receive: it times one packet in 61 itself.

    Nothing of it is in the agent's processor time.
    """

    run_time_ns: int
    packets: int  # that were timed

    @property
    def ns_per_packet(self) -> float | None:
        """None: none was timed yet."""
        return self.run_time_ns / self.packets if self.packets else None


class Cost(NamedTuple):
    """What the agent itself used, supervisor and children together."""

    cpu_s: float
    max_rss_bytes: int
    processes: tuple[ProcessCost, ...] = ()
    bpf: BpfCost | None = None
