"""Traffic on paper: production and shadow answer the same requests, many runs side by side.

Latency is difficulty that both sides share, load that drifts, noise and spikes of each side by
itself. Bursts are one side's own: pauses (all wait for their end), blips (many errors), spells of
slowness.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

TICK_S = 0.05
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Lengths:
    """How long bursts last."""

    kind: str
    first: float
    second: float = 0.0

    def draw(self, rng: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
        """Seconds, of so many."""
        if self.kind == "exponential":  # mostly short, sometimes several times the mean
            return rng.exponential(self.first, n)
        if self.kind == "uniform":  # anything between
            return rng.uniform(self.first, self.second, n)
        # a heavy tail, of that mean
        return self.first * (self.second - 1) / self.second * (1 + rng.pareto(self.second, n))


def exponential(mean: float) -> Lengths:
    """Mean."""
    return Lengths("exponential", mean)


def uniform(low: float, high: float) -> Lengths:
    """From, to."""
    return Lengths("uniform", low, high)


def pareto(mean: float) -> Lengths:
    """Mean, of shape 2.5."""
    return Lengths("pareto", mean, 2.5)


@dataclass(frozen=True)
class Bursts:
    """One kind of trouble that each side has by itself."""

    kind: str  # pause, blip or slow
    every_s: float
    lengths: Lengths
    size: float = 0.0  # blip: share of errors; slow: factor


@dataclass(frozen=True)
class World:
    """What the traffic is like, and what is wrong with the shadow."""

    runs: int
    blocks: int = 720
    block_s: float = 5.0
    rate: float = 100.0
    errors: float = 0.001
    bursts: tuple[Bursts, ...] = ()
    # what the shadow does worse, from block `onset` on, in the runs of `bad` (all by default)
    slower: float = 0.0
    tail: float = 0.0  # slower by that, for the slowest `tail_share` of requests
    tail_share: float = 0.03
    more_errors: float = 0.0
    hangs: float = 0.0
    onset: int = 0
    bad: tuple[int, ...] | None = None
    difficulty: float = 0.6
    noise: float = 0.15
    spikes: float = 0.005


@dataclass(frozen=True)
class Block:
    """Runs × requests. Latency in µs; infinite where there was no answer."""

    production_us: Floats
    shadow_us: Floats
    production_bad: npt.NDArray[np.bool_]
    shadow_bad: npt.NDArray[np.bool_]
    at_s: npt.NDArray[np.float64]


def blocks(world: World, seed: int) -> Iterator[Block]:
    """Block by block; the same for the same seed."""
    rng = np.random.default_rng(seed)
    runs, n = world.runs, round(world.rate * world.block_s)
    sides = [_spells(world, rng) for _ in range(2)]
    phase = rng.uniform(0, 2 * np.pi, (runs, 1))
    period = rng.uniform(600, 2400, (runs, 1))
    walk = np.zeros((runs, 1))
    bad = np.zeros((runs, 1), bool)
    bad[list(world.bad) if world.bad is not None else slice(None)] = True
    z_tail = NormalDist().inv_cdf(1 - world.tail_share) * np.hypot(world.difficulty, world.noise)
    for number in range(world.blocks):
        at = (number + np.sort(rng.random(n))) * world.block_s
        tick = (at / TICK_S).astype(np.int64)
        walk += 0.01 * rng.standard_normal((runs, 1))
        load = 0.2 * np.sin(2 * np.pi * at / period + phase) + walk
        shared = world.difficulty * rng.standard_normal((runs, n), np.float32)
        drift = (load + np.log(20_000.0)).astype(np.float32)
        acts = bad & (number >= world.onset)
        pair, wrong = [], []
        for side, (pause, blip, slow) in enumerate(sides):
            own = shared + world.noise * rng.standard_normal((runs, n), np.float32)
            factor = np.ones((runs, n), np.float32)
            if side == 1:
                factor += acts * np.float32(world.slower)
                if world.tail:
                    factor += acts * (own > z_tail) * np.float32(world.tail)
            latency = np.exp(own + drift) * factor
            hit = rng.random((runs, n), np.float32) < world.spikes
            latency[hit] *= 1 + rng.exponential(3, int(hit.sum()))
            if slow is not None:
                latency *= slow[:, tick]
            if pause is not None:
                latency += pause[:, tick] * np.float32(1e6)
            rate = np.full((runs, 1), world.errors) + (acts * world.more_errors if side else 0)
            chance = rate if blip is None else rate + blip[:, tick]
            failed = rng.random((runs, n), np.float32) < chance
            if side == 1 and world.hangs:
                hung = acts & (rng.random((runs, n), np.float32) < world.hangs)
                latency[hung] = np.inf
                failed |= hung
            pair.append(latency.astype(np.float32))
            wrong.append(failed)
        yield Block(pair[0], pair[1], wrong[0], wrong[1], at)


def _spells(world: World, rng: np.random.Generator) -> tuple[Floats | None, ...]:
    """For one side, run by tick: seconds left of a pause, share of errors, factor of slowness."""
    ticks = round(world.blocks * world.block_s / TICK_S) + 1
    made: dict[str, Floats] = {}
    for burst in world.bursts:
        start_with = 1.0 if burst.kind == "slow" else 0.0
        where = made.setdefault(
            burst.kind, np.full((world.runs, ticks), start_with, dtype=np.float32)
        )
        for run in range(world.runs):
            count = rng.poisson(ticks * TICK_S / burst.every_s)
            begins = rng.integers(0, ticks, count)
            for begin, length in zip(begins, burst.lengths.draw(rng, count), strict=True):
                end = min(ticks, begin + max(1, round(length / TICK_S)))
                spell = where[run, begin:end]
                if burst.kind == "pause":
                    left = np.arange(end - begin, 0, -1, dtype=np.float32) * TICK_S
                    np.maximum(spell, left, out=spell)
                else:
                    spell[:] = burst.size
    return made.get("pause"), made.get("blip"), made.get("slow")
