"""A verdict over 200 segments: what a second of traffic and one look at it cost."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from shadow_agent.verdict.decision import decide, standing
from shadow_agent.verdict.gates import Gates
from shadow_agent.verdict.judge import Judge
from shadow_agent.verdict.pairs import Names, Pairs, select
from tests.bench.figure import Figure, at_most, median
from tests.stats.pairs import as_pairs
from tests.stats.traffic import World, blocks

_SEGMENTS: Final = 199  # endpoints, and all of them
_RATE: Final = 1000
_BLOCKS: Final = 20


def verdict() -> list[Figure]:
    """At 1,000 requests/s in blocks of 5 s."""
    judge = Judge(Gates())
    folds, evidence, looks, pages = [], [], [], []
    for pairs in _traffic():
        started = time.perf_counter()
        judge.block(pairs)
        folds.append((time.perf_counter() - started) * 1e3)
        started = time.perf_counter()
        standing(judge)
        looks.append((time.perf_counter() - started) * 1e3)
        started = time.perf_counter()
        decide(judge)
        pages.append((time.perf_counter() - started) * 1e3)
        streams = len(judge.worse)
        nothing = np.zeros(streams), np.ones(streams), np.ones(streams, bool)
        started = time.perf_counter()
        judge.worse.update(*nothing)
        evidence.append((time.perf_counter() - started) * 1e3)
    part = f"verdict, {_SEGMENTS + 1} segments, {len(judge.judged)} gates"
    each = [fold * 1e3 / (_RATE * 5) for fold in folds[2:]]
    second = [fold / 5 + look for fold, look in zip(folds[2:], looks[2:], strict=True)]
    return [
        median(part, "update, per second of traffic", second, "ms", at_most(5, "ms")),
        median(part, "fold of a block", folds[2:], "ms"),
        median(part, "of it the evidence, one way", evidence[2:], "ms"),
        median(part, "how it stands", looks[2:], "ms"),
        median(part, "the whole page", pages[2:], "ms"),
        median(part, "per pair", each, "µs", at_most(5, "µs")),
    ]


def _traffic() -> list[Pairs]:
    world = World(1, _BLOCKS, rate=_RATE)
    made: list[Pairs] = []
    rng = np.random.default_rng(1)
    names = tuple(f"GET /{number}" for number in range(_SEGMENTS))
    for block in blocks(world, 1):
        n = block.shadow_us.size
        pairs = dict(select(as_pairs(block), np.ones(n, bool)))
        pairs["endpoint"] = Names(rng.integers(0, _SEGMENTS, n), names)
        made.append(pairs)
    return made
