"""Columns: what of a row is bad, missing, or not there on purpose."""

import numpy as np

from shadow_agent.verdict.pairs import as_names, read, select
from tests.unit.verdict.rows import pairs


def test_a_timeout_is_an_error_late_and_different() -> None:
    """No answer is dropped from no gate: that would hide the slowest."""
    rows = read(pairs(2, outcome=["answered", "timeout_first_byte"],
                      shadow_first_us=[1000.0, np.nan]))  # fmt: skip
    assert rows.candidate_us.tolist() == [1000.0, np.inf]
    assert rows.candidate_error.tolist() == [False, True]
    assert rows.candidate_differs.tolist() == [False, True]
    assert rows.candidate_broken.tolist() == [False, True]


def test_fates() -> None:
    """Shed and failed are lost, refused and unanswered are outside, what is slow is known."""
    fates = ["compared", "shed.age", "failed.bind", "refused.method", "unanswered.gap",
             "uncomparable.backlog", "uncomparable.drained"]  # fmt: skip
    rows = read(pairs(7, fate=fates))
    assert rows.compared.tolist() == [True, *[False] * 6]
    assert rows.lost.tolist() == [False, True, True, False, False, True, True]
    assert rows.slow.tolist() == [False, True, False, False, False, True, False]


def test_not_eligible_is_covered_and_does_not_count() -> None:
    """A pair of a diverged session was compared, and no gate looks at it."""
    rows = read(pairs(1, eligible=False))
    assert (rows.covered.tolist(), rows.compared.tolist()) == ([True], [False])


def test_a_repeat_is_no_baseline() -> None:
    """The candidate's second answer is not the old build's."""
    rows = read(pairs(2, baseline_outcome="answered", repeat=[False, True]))
    assert rows.paired.tolist() == [True, False]


def test_a_status_that_is_not_there_is_no_error() -> None:
    """Parquet gives NaN for it."""
    assert not read(pairs(1, production_status=np.nan)).production_error.any()


def test_texts_are_numbered() -> None:
    """An array of texts is a column of names too; some rows of it are as well."""
    names = as_names(np.array(["b", "a", "b"]))
    assert [names.names[one] for one in names.numbers] == ["b", "a", "b"]
    rows = select({"x": names, "y": np.arange(3)}, np.array([False, True, True]))
    assert rows["y"].tolist() == [1, 2]  # type: ignore[union-attr]
    assert names.where({"b"}).tolist() == [True, False, True]
