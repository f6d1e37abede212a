"""What a selftest found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from shadow_agent.errors import one_line
from shadow_agent.selftest.truth import Verdict

_WRONG_SHOWN = 10


@dataclass(frozen=True, slots=True)
class ProgramCost:
    """Run time of one program over all packets that it saw."""

    program: str
    packets: int
    ns_per_packet: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that ``selftest`` says."""

    version: str
    kernel: str
    seed: int
    loader: str
    mechanism: str
    duration_s: float
    connections: int
    # what happened on the wire: "packets" carried, and of them "lost", "delayed" and so on
    wire: dict[str, int]
    # everything that the tap copied, and the same with some of the records withheld
    whole: Verdict
    withheld: Verdict
    withheld_share: float
    packets: dict[str, int]  # of the tap, by counter
    cost: list[ProgramCost] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  # conversations that broke off

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be."""
        return [
            *self.failed,
            *self.whole.wrong,
            *(f"with records withheld: {one}" for one in self.withheld.wrong),
        ]

    def as_dict(self) -> dict[str, object]:
        """For ``--json``."""
        return {
            "version": self.version,
            "kernel": self.kernel,
            "seed": self.seed,
            "loader": self.loader,
            "mechanism": self.mechanism,
            "duration_s": round(self.duration_s, 3),
            "connections": self.connections,
            "wire": self.wire,
            "fidelity": _verdict(self.whole),
            "withheld": {"share": self.withheld_share, **_verdict(self.withheld)},
            "packets": self.packets,
            "cost": [asdict(one) for one in self.cost],
            "wrong": self.wrong,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        whole, partly = self.whole, self.withheld
        wire = ", ".join(f"{n:,} {name}" for name, n in sorted(self.wire.items()))
        yield f"attached   by {self.mechanism}, loaded by {self.loader}, Linux {self.kernel}"
        yield f"wire       {wire} (seed {self.seed})"
        yield f"fidelity   {_share(whole)}"
        yield from _named(whole)
        yield f"           with {self.withheld_share:.0%} of the records withheld: {_share(partly)}"
        yield from _named(partly)
        for one in self.cost:
            each = f"{one.ns_per_packet:.0f} ns per packet"
            yield f"cost       {one.program}: {each} ({one.packets:,} packets)"
        wrong = self.wrong
        yield f"wrong      {len(wrong)}"
        for line in wrong[:_WRONG_SHOWN]:
            yield f"           {one_line(line)}"


def _share(verdict: Verdict) -> str:
    part = verdict.exact / verdict.understood if verdict.understood else 0.0
    understood = f"{verdict.understood:,} exchanges understood by client and server"
    return f"{understood}, {verdict.exact:,} rebuilt exactly ({part:.2%})"


def _named(verdict: Verdict) -> Iterator[str]:
    for reason, number in sorted(verdict.named.items()):
        yield f"           {number:,} {reason}"


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "understood": verdict.understood,
        "exact": verdict.exact,
        "named": dict(verdict.named),
        "wrong": len(verdict.wrong),
    }
