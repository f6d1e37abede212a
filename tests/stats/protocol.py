"""The promises of the verdict's statistics, each measured on traffic that nothing was tuned on.

Many runs are judged at once, each as an endpoint of its own, by the code that ships. Unless it is
said otherwise a run is an hour at 100 requests/s, and limits are at nought: "no worse at all".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shadow_agent.verdict.gates import Gate, Gates, Kind, quantile
from shadow_agent.verdict.judge import Judge
from shadow_agent.verdict.trip import Trip
from tests.stats.pairs import stream
from tests.stats.traffic import Bursts, World, exponential, pareto, uniform

ALPHA: Final = 0.05
# What was used to choose the constants of `verdict.evidence`: seeds below 1000; pauses of
# exponential length (mean 0.3, 1 and 2 s), blips of exactly 2, 4 and 10 s. These here were not.
SEED: Final = 70_000
SHORT: Final = (
    Bursts("pause", 25, pareto(0.5)),
    Bursts("blip", 80, uniform(0.5, 3.0), 0.4),
    Bursts("slow", 100, exponential(1.0), 1.5),
)
LONG: Final = (
    Bursts("pause", 90, uniform(0.5, 5.0)),
    Bursts("blip", 150, uniform(4.0, 12.0), 0.15),
    Bursts("slow", 200, pareto(4.0), 1.5),
)
CHUNK: Final = 100  # runs that are judged at once


def gates_at(latency: float, errors: float) -> tuple[Gate, ...]:
    """The four that the protocol looks at, with these margins."""
    return (
        Gate("typical", Kind.PAIRED, latency),
        quantile("p95", 0.95, latency),
        quantile("p99", 0.99, latency),
        Gate("errors", Kind.ERRORS, errors),
    )


NAMES: Final = ("typical", "p95", "p99", "errors")
# In one of 50 segments: all of them in the first block, the whole traffic among them.
FAMILY: Final = len(NAMES) * 2 * 51 / ALPHA


class Found(NamedTuple):
    """Runs × gates: the block after which evidence passed its threshold, -1 for never."""

    worse: npt.NDArray[np.int64]
    worse_in_family: npt.NDArray[np.int64]
    fine: npt.NDArray[np.int64]


class Measured(NamedTuple):
    """One line of the table."""

    test: str
    what: str
    target: str
    value: str
    met: bool


@dataclass(frozen=True)
class Case:
    """A world and the limits in it."""

    world: World
    latency: float = 0.0
    errors: float = 0.0


def judge(case: Case, seed: int) -> Found:
    """All runs of a world."""
    gates = Gates(gates=gates_at(case.latency, case.errors), ratio=1.0)
    one = Judge(gates)
    shape = (case.world.runs, len(NAMES))
    found = Found(*(np.full(shape, -1) for _ in range(3)))
    for number, pairs in enumerate(stream(case.world, seed)):
        one.block(pairs)
        for at, evidence, threshold in (
            (found.worse, one.worse, 1 / ALPHA),
            (found.worse_in_family, one.worse, FAMILY),
            (found.fine, one.fine, 1 / ALPHA),
        ):
            peak = evidence.peak.reshape(-1, len(NAMES))[1:]  # behind all of the traffic
            at[(peak >= threshold) & (at < 0)] = number + 1
    return found


def judged(case: Case, seed: int) -> Found:
    """Of many runs, some at a time, on all processors."""
    sizes = [CHUNK] * (case.world.runs // CHUNK)
    rest = case.world.runs % CHUNK
    cases = [replace(case, world=replace(case.world, runs=size))
             for size in [*sizes, *([rest] if rest else [])]]  # fmt: skip
    seeds = [seed + number for number in range(len(cases))]
    if len(cases) == 1:
        return judge(cases[0], seed)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(judge, cases, seeds))
    return Found(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def share(found: npt.NDArray[np.int64], name: str) -> float:
    """Of runs in which this gate spoke."""
    return float((found[:, NAMES.index(name)] > 0).mean())


def requests(found: npt.NDArray[np.int64], name: str, world: World) -> float:
    """The median from the onset until this gate spoke; never is infinite."""
    at = found[:, NAMES.index(name)].astype(float)
    at[at < 0] = np.inf
    return float(np.median(at) - world.onset) * world.rate * world.block_s


def false_alarms(test: str, what: str, bursts: tuple[Bursts, ...], runs: int, seed: int,
                 most: float) -> Iterator[Measured]:  # fmt: skip
    """Two sides that are alike."""
    found = judged(Case(World(runs, bursts=bursts)), seed)
    for name in NAMES:
        rate = share(found.worse, name)
        yield Measured(test, f"{what}, {name}", f"≤ {most:.1%}", f"{rate:.1%}", rate <= most)
    families = found.worse_in_family.reshape(-1, min(50, runs), len(NAMES))
    rate = float((families > 0).any(axis=(1, 2)).mean())
    yield Measured("T3", f"families of 50, {what}, all gates", f"≤ {most:.1%}",
                   f"{rate:.1%} of {len(families)}", rate <= most)  # fmt: skip


def delays(runs: int) -> Iterator[Measured]:
    """How soon what is worse is found."""
    for test, what, name, most, world in (
        ("T4", "p99 tail +10 %", "p99", 13_000, World(runs, 120, tail=0.10)),
        ("T4", "p99 tail +25 %", "p99", 9_000, World(runs, 120, tail=0.25)),
        ("T4", "errors +0.5 pp", "errors", 6_000, World(runs, 120, more_errors=0.005)),
        ("T4", "errors +0.5 pp, bursts", "errors", 15_000,
         World(runs, 200, more_errors=0.005, bursts=SHORT)),
        ("T5", "+10 % from minute 31:40", "p95", 10_000,
         World(runs, 460, slower=0.10, onset=380)),
    ):  # fmt: skip
        found = judged(Case(world), SEED + 500)
        value = requests(found.worse, name, world)
        yield Measured(test, f"{what}, {name}, median", f"≤ {most:,}", f"{value:,.0f}",
                       value <= most)  # fmt: skip


def false_go(runs: int, most: float) -> Iterator[Measured]:
    """A build that is exactly at its limits must not be proven to keep them."""
    for what, bursts in (("bursts", SHORT), ("long bursts", LONG)):
        world = World(runs, bursts=bursts, slower=0.10, more_errors=0.005)
        found = judged(Case(world, 0.10, 0.005), SEED + 600)
        for name in NAMES:
            rate = share(found.fine, name)
            yield Measured("T6", f"false go at the limit, {what}, {name}", f"≤ {most:.1%}",
                           f"{rate:.1%}", rate <= most)  # fmt: skip


def go(runs: int) -> Iterator[Measured]:
    """How soon a build that is alike is proven to be at most 10 % slower (for the record)."""
    for what, bursts in (("iid", ()), ("bursts", SHORT)):
        world = World(runs, bursts=bursts)
        found = judged(Case(world, 0.10, 0.005), SEED + 700)
        for name in NAMES:
            value = requests(found.fine, name, world)
            yield Measured("go", f"alike at limits +10 %, +0.5 pp, {what}, {name}, median", "",
                           f"{value:,.0f}", True)  # fmt: skip


def breakage() -> Iterator[Measured]:
    """A shadow that fails on every request."""
    trip, count = Trip(), 1
    while not trip.add(candidate_bad=True, production_bad=False) and count < 1000:
        count += 1
    yield Measured("T7", "total breakage, requests", "≤ 14", f"{count}", count <= 14)


def cohort(runs: int, least: float) -> Iterator[Measured]:
    """One cohort of 50, with 2 % of the traffic."""
    world = World(runs, rate=2.0, more_errors=0.005)
    found = judged(Case(world), SEED + 800)
    rate = share(found.worse_in_family, "errors")
    yield Measured("T8", "one cohort of 50 at +0.5 pp errors, found in an hour", f"≥ {least:.0%}",
                   f"{rate:.1%}", rate >= least)  # fmt: skip


def hangs(runs: int) -> Iterator[Measured]:
    """A shadow that hangs on 2 % of requests is worse, by errors and by latency."""
    world = World(runs, 60, hangs=0.02)
    found = judged(Case(world), SEED + 900)
    for name in ("errors", "p99"):
        rate = share(found.worse, name)
        yield Measured("T9", f"hangs on 2 %, found in 5 minutes, {name}", "≥ 95%", f"{rate:.1%}",
                       rate >= 0.95)  # fmt: skip


# A rate of 5 % over 1,000 runs is measured as up to 6.4 % (two standard errors).
FULL: Final[dict[str, Callable[[], Iterator[Measured]]]] = {
    "T1": lambda: false_alarms("T1", "iid", (), 1000, SEED, 0.064),
    "T2": lambda: false_alarms("T2", "bursts", SHORT, 1000, SEED + 100, 0.064),
    "T2-long": lambda: false_alarms("T2", "long bursts", LONG, 600, SEED + 200, 0.068),
    "T4": lambda: delays(200),
    "T6": lambda: false_go(300, 0.075),
    "go": lambda: go(100),
    "T7": breakage,
    "T8": lambda: cohort(200, 0.95),
    "T9": lambda: hangs(100),
}
