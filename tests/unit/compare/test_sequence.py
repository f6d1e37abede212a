"""Where two sequences differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.compare.sequence import between, pairs

ITEMS = st.lists(st.sampled_from("abc"), max_size=8)


def _any(_one: str, _other: str) -> bool:
    return True


def test_what_is_shared_at_both_ends_is_left_out() -> None:
    """Only the middle is looked at."""
    assert between("abxcd", "abyzcd") == (2, 3, 4)
    assert pairs("abxcd", "abycd", _any) == [(2, "x", "y")]


def test_what_was_put_in_does_not_shift_the_rest() -> None:
    """Each item without an equal is named on its side."""
    assert pairs("abcd", "xabycd", _any) == [(0, None, "x"), (3, None, "y")]


@given(ITEMS, ITEMS)
def test_it_is_symmetric_and_silent_on_the_same(ours: list[str], theirs: list[str]) -> None:
    """Exchanged sides give exchanged answers; the same items in the same order give none."""
    found = pairs(ours, theirs, _any)
    back = [(number, other, one) for number, one, other in pairs(theirs, ours, _any)]
    assert sorted(map(repr, found)) == sorted(map(repr, back))
    assert pairs(ours, list(ours), _any) == []
    if sorted(ours) != sorted(theirs):
        assert found
