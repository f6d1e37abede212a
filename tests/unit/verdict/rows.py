"""Pairs for tests: as many as asked for, all fine, with what a test says instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from shadow_agent.verdict.pairs import Names, Pairs

_TEXTS = {
    "fate": "compared",
    "outcome": "answered",
    "baseline_outcome": "none",
    "endpoint": "GET /",
    "cohort": "",
    "region": "",
}
_FLAGS = (
    "health", "repeat", "baseline_first", "status_differs", "headers_differ", "body_differs",
    "baseline_status_differs", "baseline_headers_differ", "baseline_body_differs",
)  # fmt: skip
_NUMBERS = {
    "production_status": 200.0,
    "shadow_status": 200.0,
    "baseline_status": np.nan,
    "production_first_us": 1000.0,
    "shadow_first_us": 1000.0,
    "baseline_first_us": np.nan,
}


def pairs(n: int, *, at_s: Any = 0.0, **columns: Any) -> Pairs:
    """A value for a whole column, or one for each row."""
    made: dict[str, Any] = {"ts": np.broadcast_to(np.array(at_s) * 1e9, n).astype(np.int64)}
    for name, value in _TEXTS.items():
        given = np.broadcast_to(np.array(columns.pop(name, value), dtype=str), n)
        names, numbers = np.unique(given, return_inverse=True)
        made[name] = Names(numbers.astype(np.int64), tuple(str(one) for one in names))
    made["eligible"] = np.broadcast_to(np.array(columns.pop("eligible", True), bool), n)
    for name in _FLAGS:
        made[name] = np.broadcast_to(np.array(columns.pop(name, False), bool), n)
    for name, number in _NUMBERS.items():
        made[name] = np.broadcast_to(np.array(columns.pop(name, number), float), n)
    assert not columns, columns
    return made
