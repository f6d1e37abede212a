"""What is known about a run beside its counts: its names, state, interruptions and own cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Cost", "Interruption", "Run", "State"]


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


class State(NamedTuple):
    """What an operator may change while the run goes on."""

    sample: float = 1.0  # share of traffic mirrored, 0 to 1
    paused: bool = False


class Interruption(NamedTuple):
    """A time in which nothing was mirrored because an interface was away."""

    iface: str
    start: float  # epoch seconds
    end: float | None  # epoch seconds; None: still away when the run ended
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """The interruption as the summary shows it."""
        return {"iface": self.iface, "from": self.start, "to": self.end, "seconds": self.seconds}


class Cost(NamedTuple):
    """What the agent itself used, supervisor and workers together."""

    cpu_s: float
    max_rss_bytes: int
