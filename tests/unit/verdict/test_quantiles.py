"""Quantiles: near enough, of what is recent, and not before there is enough."""

import json

import numpy as np
import pytest

from shadow_agent.verdict.quantiles import FADE_ABOVE, Quantiles, bin_of


def _filled(values: np.ndarray) -> Quantiles:
    made = Quantiles()
    made.grow(1)
    made.add(np.zeros(len(values), np.int64), bin_of(values))
    return made


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_within_two_percent(share: float) -> None:
    """Of what sorting says."""
    values = np.random.default_rng(3).lognormal(9, 1, 30_000)
    assert _filled(values).of(share)[0] == pytest.approx(np.quantile(values, share), rel=0.03)


def test_unknown_at_first() -> None:
    """p99 of a hundred requests is anybody's guess."""
    assert np.isnan(_filled(np.full(100, 5.0)).of(0.99)[0])
    assert not np.isnan(_filled(np.full(300, 5.0)).of(0.99)[0])


def test_no_answer_is_the_slowest() -> None:
    """Infinity has a bin, and so have 0 and less."""
    assert bin_of(np.array([np.inf, 0.0, -3.0])).tolist() == [863, 0, 0]


def test_old_ones_fade() -> None:
    """After twice as many requests the quantile is that of the new ones."""
    made = _filled(np.full(FADE_ABOVE, 100.0))
    for _ in range(10):
        made.add(np.zeros(FADE_ABOVE, np.int64), bin_of(np.full(FADE_ABOVE, 900.0)))
        made.fade()
    assert made.of(0.01)[0] == pytest.approx(900, rel=0.03)


def test_kept_to_the_bit() -> None:
    """Through JSON."""
    made = _filled(np.random.default_rng(3).lognormal(9, 1, 50_001))
    made.fade()
    assert Quantiles.resume(json.loads(json.dumps(made.state()))).state() == made.state()
