"""Judge: live and from records the same, kept over restarts, begun anew for another build."""

import json
from typing import Any

import numpy as np
import pytest

from shadow_agent.verdict.gates import Gates
from shadow_agent.verdict.judge import Judge, joined
from shadow_agent.verdict.pairs import Pairs, select
from tests.unit.verdict.rows import pairs


def _rows(n: int = 6000, seconds: float = 60.0) -> Pairs:
    """Some minutes of traffic, written as requests end and not as they began."""
    rng = np.random.default_rng(11)
    at = np.sort(rng.uniform(1e6, 1e6 + seconds, n)) - rng.exponential(3, n)
    return pairs(
        n, at_s=at, shadow_status=np.where(rng.random(n) < 0.02, 500, 200),
        shadow_first_us=rng.lognormal(9, 1, n), production_first_us=rng.lognormal(9, 1, n),
        endpoint=np.where(rng.random(n) < 0.3, "GET /a", "GET /b"),
    )  # fmt: skip


def _part(rows: Pairs, first: int, last: int) -> Pairs:
    n = len(rows["ts"])
    return select(rows, (np.arange(n) >= first) & (np.arange(n) < last))


def _told(judge: Judge) -> Any:
    return json.loads(json.dumps(judge.state()))


def test_batches_do_not_matter() -> None:
    """All at once, or cut anywhere: the same to the bit."""
    rows = _rows()
    whole = Judge(Gates())
    whole.add(rows)
    whole.finish()
    pieces = Judge(Gates())
    for first in range(0, 6000, 137):
        pieces.add(_part(rows, first, first + 137))
    pieces.finish()
    assert whole.blocks >= 12
    assert _told(pieces) == _told(whole)


def test_kept_over_a_restart() -> None:
    """Half, stopped, resumed from JSON, the rest: the same to the bit as without the stop."""
    rows = _rows()
    straight, stopped, resumed = Judge(Gates()), Judge(Gates()), Judge(Gates())
    straight.add(_part(rows, 0, 3000))
    straight.finish()
    stopped.add(_part(rows, 0, 3000))
    stopped.finish()
    assert resumed.resume(_told(stopped))
    for judge in (straight, resumed):
        judge.add(_part(rows, 3000, 6000))
        judge.finish()
    assert _told(resumed) == _told(straight)
    assert resumed.worse.peak.max() > 10


@pytest.mark.parametrize("other", [{"epoch": "b2"}, {"baseline": True}])
def test_another_build_begins_anew(other: dict[str, Any]) -> None:
    """Evidence against one build says nothing about the next."""
    judge = Judge(Gates(), epoch="b1")
    judge.add(_rows())
    judge.finish()
    fresh = Judge(Gates(), **{"epoch": "b1", **other})
    assert not fresh.resume(_told(judge))
    assert fresh.blocks == 0


def test_other_gates_begin_anew() -> None:
    """A limit that was changed under way would make the old sums lie."""
    judge = Judge(Gates(), epoch="b1")
    assert not Judge(Gates(gates=Gates().gates[:2]), epoch="b1").resume(_told(judge))


def test_a_late_row_counts() -> None:
    """A request that took a minute is in the oldest block that is open."""
    judge = Judge(Gates())
    judge.add(pairs(2, at_s=[1000.0, 1100.0]))
    judge.add(pairs(1, at_s=[1001.0]))
    judge.finish()
    assert judge.tally.coverage[0, 0] == 3


def test_joined_batches_number_names_anew() -> None:
    """Each batch has numbers of its own."""
    both = joined([pairs(2, endpoint=["x", "y"]), pairs(1, endpoint=["y"])])
    column = both["endpoint"]
    assert [column.names[one] for one in column.numbers] == ["x", "y", "y"]  # type: ignore[union-attr]
