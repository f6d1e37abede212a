"""Evidence: what it grows on, what it does not, and that it is kept to the bit."""

import json

import numpy as np
import pytest

from shadow_agent.verdict.evidence import STAKES, Evidence


def _fed(sums: np.ndarray, noise: float = 1.0) -> Evidence:
    """One stream per row."""
    made = Evidence()
    made.grow(np.ones(len(sums)))
    for block in sums.T:
        made.update(block, np.full(len(sums), noise), np.ones(len(sums), bool))
    return made


def test_none_at_first() -> None:
    """Before any block, and after the first that only tells the scale, evidence is 1."""
    assert _fed(np.zeros((3, 0))).value().tolist() == [1.0] * 3
    assert _fed(np.full((1, 1), 9.0)).value().tolist() == [1.0]


def test_wealth_is_conserved() -> None:
    """Nothing won and nothing lost is 1, however long: what begins is taken from what waits."""
    assert _fed(np.zeros((1, 500))).value() == pytest.approx([1.0])


def test_grows_on_one_side_only() -> None:
    """Sums above nought are evidence within a dozen blocks, below they never are."""
    peak = _fed(np.array([[1.0] * 12, [-1.0] * 12])).peak
    assert peak[0] > 20
    assert peak[1] == 1


def test_a_game_of_chance_is_fair() -> None:
    """Over all ways in which six blocks can fall, the mean is exactly 1."""
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 6)).reshape(6, -1).T
    sums = np.concatenate([np.ones((len(signs), 1)), signs], axis=1)
    assert _fed(sums).value().mean() == pytest.approx(1.0)


def test_a_block_behind_a_burst_is_not_bet_on() -> None:
    """A burst that goes on for as long as three blocks more counts once."""
    quiet = [0.0] * 9
    once = _fed(np.array([[*quiet, 50.0, 0.0, 0.0, 0.0]])).value()
    long = _fed(np.array([[*quiet, 50.0, 50.0, 50.0, 50.0]])).value()
    assert long == pytest.approx(once)


def test_what_stays_broken_is_bet_on() -> None:
    """Every block an outlier: evidence all the same."""
    assert _fed(np.full((1, 20), 400.0)).peak[0] > 1000


def test_a_late_change_shows() -> None:
    """An hour of nothing, then worse: found within some minutes."""
    fair = np.tile([1.0, -1.0], 360)
    assert _fed(np.array([[*fair, *[1.0] * 25]])).peak[0] > 20


def test_streams_do_not_touch() -> None:
    """A stream that had nothing in a block is as it was; one that comes later starts at 1."""
    made = _fed(np.array([[1.0] * 8, [0.5] * 8]))
    before = made.value()
    made.grow(np.ones(1))
    made.update(np.ones(3), np.ones(3), np.array([True, False, False]))
    assert made.value()[1:].tolist() == [before[1], 1.0]
    assert made.value()[0] > before[0]


def test_kept_to_the_bit() -> None:
    """Half, through JSON, and the other half is the same as all at once."""
    rng = np.random.default_rng(5)
    sums = np.round(rng.normal(0.3, 2, (4, 60)))
    half = _fed(sums[:, :30])
    again = Evidence.resume(json.loads(json.dumps(half.state())))
    for block in sums.T[30:]:
        again.update(block, np.ones(4), np.ones(4, bool))
    assert again.state() == _fed(sums).state()


@pytest.mark.parametrize("change", [{"peak": []}, {"noise": [float("nan")]}])
def test_a_damaged_state_is_refused(change: dict) -> None:
    """Lists of unequal length, or what is no number."""
    state = _fed(np.ones((1, 3))).state()
    with pytest.raises(ValueError, match="damaged"):
        Evidence.resume({**state, **change})


def test_evidence_stays_a_number() -> None:
    """Thousands of blocks that all point one way overflow nothing."""
    made = _fed(np.ones((1, 2000)))
    assert np.isfinite(made.value()).all()
    assert len(STAKES) == made._wealth.shape[1]
