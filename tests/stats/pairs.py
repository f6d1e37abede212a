"""Traffic on paper as pairs: each run an endpoint, so that a judge judges many runs at once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from shadow_agent.verdict.pairs import Names, Pairs
from tests.stats.traffic import Block, World, blocks


def column(value: str, n: int) -> Names:
    """The same name everywhere."""
    return Names(np.zeros(n, np.int64), (value,))


@cache
def _constant(n: int, runs: int) -> dict[str, Any]:
    no = np.zeros(n, bool)
    unknown = np.full(n, np.nan)
    return {
        "fate": column("compared", n),
        "baseline_outcome": column("none", n),
        "endpoint": Names(
            np.repeat(np.arange(runs), n // runs), tuple(f"{run:04}" for run in range(runs))
        ),
        "cohort": column("", n),
        "region": column("", n),
        "eligible": ~no,
        **dict.fromkeys(("health", "repeat", "baseline_first"), no),
        **dict.fromkeys(("headers_differ", "body_differs"), no),
        **dict.fromkeys(("baseline_status_differs", "baseline_headers_differ"), no),
        "baseline_body_differs": no,
        **dict.fromkeys(("baseline_first_us", "baseline_status"), unknown),
    }


def as_pairs(block: Block) -> Pairs:
    """One block of all runs."""
    runs, n = block.production_us.shape
    hung = np.isinf(block.shadow_us).ravel()
    shadow = np.where(block.shadow_bad, 500, 200).ravel()
    production = np.where(block.production_bad, 500, 200).ravel()
    return {
        **_constant(runs * n, runs),
        "ts": np.tile((block.at_s * 1e9).astype(np.int64), runs),
        "outcome": Names(hung.astype(np.int64), ("answered", "timeout_first_byte")),
        "production_first_us": block.production_us.ravel(),
        "shadow_first_us": np.where(hung, np.nan, block.shadow_us.ravel()),
        "production_status": production,
        "shadow_status": np.where(hung, 0, shadow),
        "status_differs": hung | (shadow != production),
    }


def stream(world: World, seed: int) -> Iterator[Pairs]:
    """Block by block."""
    for block in blocks(world, seed):
        yield as_pairs(block)
