"""Blocks: what is counted for which gate, and by what was known before."""

from typing import Any

import numpy as np

from shadow_agent.verdict.blocks import Block, Folder
from shadow_agent.verdict.gates import Gate, Kind, quantile
from tests.unit.verdict.rows import pairs

ERRORS = Gate("error_rate", Kind.ERRORS, 0.0)
MISMATCHES = Gate("mismatch_rate", Kind.MISMATCHES, 0.0)
COMPLETION = Gate("throughput", Kind.COMPLETION, 0.01)
TYPICAL = Gate("typical", Kind.PAIRED, 0.10)


def _folder(*gates: Gate, baseline: bool = False, ratio: float | None = None) -> Folder:
    return Folder(gates, baseline=baseline, ratio=ratio)


def _counts(block: Block, gate: int = 0) -> list[int]:
    """Neither, candidate alone, reference alone, both; of the whole traffic."""
    return [int(part[gate, 0]) for part in block[:4]]


def _of(gate: Gate, n: int, **columns: Any) -> list[int]:
    return _counts(_folder(gate).fold(pairs(n, **columns)))


def test_errors_are_paired() -> None:
    """5xx of either side, and no answer."""
    found = _of(ERRORS, 4, production_status=[200, 500, 500, 200],
                shadow_status=[200, 200, 503, np.nan],
                outcome=["answered", "answered", "answered", "reset"])  # fmt: skip
    assert found == [1, 1, 1, 1]


def test_mismatches_beside_the_baseline() -> None:
    """With a baseline, what it disagrees about too is no news."""
    rows = pairs(3, body_differs=[True, True, False], baseline_body_differs=[False, True, True],
                 baseline_outcome="answered", baseline_status=200)  # fmt: skip
    assert _counts(_folder(MISMATCHES, baseline=True).fold(rows)) == [0, 1, 1, 1]
    assert _counts(_folder(MISMATCHES).fold(rows)) == [1, 2, 0, 0]


def test_shed_by_slowness_is_not_complete() -> None:
    """The completion gate sees what was shed; the others do not."""
    folder = _folder(COMPLETION, ERRORS)
    block = folder.fold(pairs(3, fate=["compared", "shed.age", "failed.bind"]))
    assert _counts(block, 0) == [1, 1, 0, 0]
    assert _counts(block, 1) == [1, 0, 0, 0]
    assert (block.compared[0], block.lost[0], block.heads[0]) == (1, 2, 3)


def test_typical_at_its_margin() -> None:
    """10 % slower is on the line, more is over it; a time that is not known says nothing."""
    found = _of(TYPICAL, 4, shadow_first_us=[1101.0, 1099.0, 1000.0, np.nan])
    assert found == [0, 1, 2, 0]


def test_a_declared_ratio() -> None:
    """The shadow's place is twice as slow by itself: 2100 for 1000 is 5 % more."""
    folder = _folder(TYPICAL, ratio=2.0)
    assert _counts(folder.fold(pairs(1, shadow_first_us=2100.0))) == [0, 0, 1, 0]


def test_late_is_by_earlier_blocks() -> None:
    """The first block only tells what is late; a slow block does not move its own line."""
    folder = _folder(quantile("p95", 0.95, 0.0))
    first = folder.fold(pairs(100, production_first_us=np.arange(100.0) + 1000))
    assert _counts(first) == [0, 0, 0, 0]
    second = folder.fold(pairs(100, production_first_us=1050.0, shadow_first_us=9000.0))
    assert _counts(second) == [0, 100, 0, 0]


def test_a_limit_in_time() -> None:
    """250 ms at p99: over it is bad, whatever production does; no answer is over it."""
    gate = Gate("p99 limit", Kind.QUANTILE, 0.0, 0.99, limit_us=250e3)
    found = _of(gate, 3, shadow_first_us=[1e5, 3e5, np.nan], production_first_us=9e5,
                outcome=["answered", "answered", "timeout_first_byte"])  # fmt: skip
    assert found == [1, 2, 0, 0]
    assert gate.allowed == 1 - 0.99


def test_drift_and_order() -> None:
    """With a baseline its own disagreement is the last row; who was first is counted."""
    rows = pairs(4, baseline_outcome="answered", baseline_status_differs=[True, False, True, False],
                 baseline_first=[True, True, True, False])  # fmt: skip
    block = _folder(ERRORS, baseline=True).fold(rows)
    assert _counts(block, 1) == [2, 2, 0, 0]
    assert block.first == (3, 1)
