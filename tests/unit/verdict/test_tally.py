"""Tally: what happened how often, and how sure that is."""

import json

import numpy as np

from shadow_agent.verdict.blocks import Folder
from shadow_agent.verdict.gates import Gate, Kind
from shadow_agent.verdict.tally import Tally
from tests.unit.verdict.rows import pairs


def _tally(blocks: int, share: float = 0.1, seed: int = 0) -> Tally:
    rng = np.random.default_rng(seed)
    folder = Folder((Gate("error_rate", Kind.ERRORS, 0.0),), baseline=False, ratio=None)
    made = Tally(1)
    for _ in range(blocks):
        status = np.where(rng.random(200) < share, 500, 200)
        made.add(folder.fold(pairs(200, shadow_status=status)))
    return made


def test_the_estimate() -> None:
    """Within its interval, which is narrower the more there is."""
    few, many = _tally(20), _tally(400)
    assert abs(many.excess()[0, 0] - 0.1) < many.spread(0.05)[0, 0] < few.spread(0.05)[0, 0] < 0.1


def test_the_interval_holds_at_any_look() -> None:
    """Of 60 runs looked at after each of 40 blocks, few ever leave it."""
    left = 0
    for seed in range(60):
        made, rng = Tally(1), np.random.default_rng(seed)
        folder = Folder((Gate("error_rate", Kind.ERRORS, 0.0),), baseline=False, ratio=None)
        outside = False
        for _ in range(40):
            status = np.where(rng.random(100) < 0.1, 500, 200)
            made.add(folder.fold(pairs(100, shadow_status=status)))
            outside |= bool(abs(made.excess()[0, 0] - 0.1) > made.spread(0.05)[0, 0])
        left += outside
    assert left <= 5


def test_kept() -> None:
    """Through JSON."""
    made = _tally(3)
    assert Tally.resume(json.loads(json.dumps(made.state()))).state() == made.state()
