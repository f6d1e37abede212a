"""How real the load is."""

from __future__ import annotations

import random

import orjson
import pytest

from shadow_agent.segments.realism import MOST, Realism

S = 1_000_000_000


def played(times: list[float], flow: bytes = b"f") -> Realism:
    """Pairs that began at these seconds, sent at once."""
    realism = Realism()
    for at in times:
        realism.add(flow, int(at * S), int(at * S) + 1000, 1, answered=True)
    return realism


def test_a_metronome_has_no_dispersion() -> None:
    """Ten in each second: variance 0, and the peak is the mean."""
    found = played([number / 10 for number in range(1000)]).summary()
    assert found["dispersion"] == 0
    assert found["peak_over_mean"] == 1
    assert found["window_s"] == 1


def test_independent_clients_have_one() -> None:
    """Poisson arrivals: the variance is the mean."""
    chance = random.Random(5)
    at, times = 0.0, []
    while at < 500:
        at += chance.expovariate(20)
        times.append(at)
    found = played(times).summary()
    assert 0.75 < found["dispersion"] < 1.3


def test_bursts_have_more() -> None:
    """All of ten seconds in one; silence counts too."""
    times = [block * 10 + number / 1000 for block in range(30) for number in range(100)]
    found = played(times).summary()
    assert found["dispersion"] > 50
    assert found["peak_over_mean"] > 9


def test_completion_at_the_peaks() -> None:
    """A shadow that fails when it matters: the mean would hide it."""
    realism = Realism()
    for second in range(100):
        busy = second % 20 == 0
        for number in range(100 if busy else 10):
            ok = not busy or number % 2 == 0
            realism.add(
                b"f", second * S + number, second * S + number, 50 if busy else 2, answered=ok
            )
    found = realism.summary()
    assert found["peaks"] == {
        "windows": 5, "arrivals": 500, "answered": 250, "in_flight": 50.0, "completion": 0.5,
    }  # fmt: skip
    assert found["elsewhere"]["completion"] == 1
    assert found["elsewhere"]["in_flight"] == 2


def test_order_on_a_connection() -> None:
    """Sent the other way round counts, on another connection it does not."""
    realism = Realism()
    assert not realism.add(b"a", 10, 100, 1, answered=True)
    assert not realism.add(b"a", 20, 110, 1, answered=True)
    assert not realism.add(b"b", 15, 300, 1, answered=True)
    assert realism.add(b"a", 30, 105, 1, answered=True)
    assert not realism.add(b"a", 25, 50, 1, answered=True)
    assert realism.add(b"a", 5, 400, 1, answered=True)
    realism.forget(b"a")
    assert not realism.add(b"a", 1, 500, 1, answered=True)
    assert realism.out_of_order == 2


def test_workers_add_up() -> None:
    """Merged and travelled as if one had seen all, whatever the widths."""
    chance = random.Random(9)
    times = sorted(chance.uniform(1000, 1000 + 3 * MOST) for _ in range(5000))
    whole = played(times)
    parts = [played(times[:2000]), played(times[2000:4500:2]), played(times[2001:4500:2])]
    parts.append(played(times[4500:]))
    together = Realism()
    for part in parts:
        together.merge(Realism.from_dict(orjson.loads(orjson.dumps(part.as_dict()))))
    ours, theirs = together.summary(), whole.summary()
    for name in ("pairs", "dispersion", "peak_over_mean", "window_s", "windows"):
        assert ours[name] == theirs[name]


def test_time_that_leaps_stays_bounded() -> None:
    """A thousand years between two requests: windows widen, the table does not."""
    realism = Realism()
    for number in range(5000):
        realism.add(b"%d" % number, number * number * 10_000 * S, 0, 1, answered=True)
    assert len(realism._windows) <= MOST
    assert len(realism._last) <= 4096
    assert realism.summary()["pairs"] == 5000
    assert Realism().summary()["dispersion"] is None


@pytest.mark.parametrize(
    "changed",
    [
        {"scale": 31},
        {"scale": -1},
        {"windows": []},
        {"windows": [0, 1]},
        {"windows": [0, 1, 1, 1, 1, 1, 1, 1, 1]},
        {"windows": [0] * (MOST * 4 + 5)},
        {"pairs": 1.5},
        {"more": 1},
    ],
)
def test_a_worker_that_lies(changed: dict[str, object]) -> None:
    """In form only, or not at all."""
    with pytest.raises(ValueError, match=r"^realism"):
        Realism.from_dict({**Realism().as_dict(), **changed})
