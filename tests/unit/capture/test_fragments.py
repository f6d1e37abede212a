"""Fragments → datagrams."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.fragments import FragmentLimits, Fragments
from shadow_agent.telemetry.reasons import Unsupported

KEY = (b"addresses", 17, 1)
DATA = bytes(range(256)) * 4


def fragments(**limits: int) -> Fragments:
    """A fresh table."""
    return Fragments(FragmentLimits(**limits), PacketCounts())


def unsupported(table: Fragments) -> dict[str, int]:
    """What was counted by name."""
    named = table._counts.as_dict()["unsupported"]
    assert isinstance(named, dict)
    return named


@given(
    st.lists(st.integers(1, 127), unique=True, max_size=20).map(sorted),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_order_gives_the_datagram(cuts: list[int], random: Random, twice: bool) -> None:
    """Cut anywhere, shuffled, some of them sent twice."""
    edges = [0, *(cut * 8 for cut in cuts), len(DATA)]
    pieces = [(start, DATA[start:end], end < len(DATA)) for start, end in pairwise(edges)]
    if twice and len(pieces) > 1:
        pieces.insert(1, pieces[0])
    else:
        random.shuffle(pieces)
    table = fragments()
    results = [table.add(KEY, 1, *piece) for piece in pieces]
    assert results[:-1] == [None] * (len(pieces) - 1)
    assert results[-1] == (DATA, len(pieces))
    assert unsupported(table) == {}


@pytest.mark.parametrize(
    "contradiction",
    [
        pytest.param((4, DATA[4:12], True), id="overlaps-the-one-before"),
        pytest.param((0, DATA[:24], True), id="longer"),
        pytest.param((0, bytes(8), True), id="other-bytes"),
        pytest.param((8, DATA[8:24], True), id="overlaps-the-next"),
        pytest.param((0, b"", False), id="ends-before"),
        pytest.param((48, DATA[:8], True), id="after-the-end"),
        pytest.param((24, DATA[:8], False), id="another-end"),
        pytest.param((8, DATA[8:12], True), id="not-of-eight"),
        pytest.param((8, b"", True), id="empty"),
        pytest.param((65_528, DATA[:64], False), id="too-long"),
    ],
)
def test_a_contradiction_discards_the_datagram(contradiction: tuple[int, bytes, bool]) -> None:
    """Nobody knows which bytes a host would have kept."""
    table = fragments()
    table.add(KEY, 1, 0, DATA[:8], True)
    table.add(KEY, 1, 16, DATA[16:24], True)
    table.add(KEY, 1, 32, DATA[32:40], False)
    assert table.add(KEY, 1, *contradiction) is None
    assert unsupported(table) == {Unsupported.FRAGMENT_OVERLAP: 4}


def test_age_is_bounded() -> None:
    """What waited too long stays counted as a fragment."""
    table = fragments(max_age_ns=100)
    table.add(KEY, 0, 0, DATA[:8], True)
    assert table.add(KEY, 101, 8, DATA[8:16], False) is None
    assert unsupported(table) == {Unsupported.FRAGMENT: 2}


@pytest.mark.parametrize("limits", [{"max_bytes": 80}, {"max_datagrams": 10}], ids=str)
def test_memory_is_bounded(limits: dict[str, int]) -> None:
    """The oldest give way, by name."""
    table = fragments(**limits)
    for number in range(50):
        table.add((b"addresses", 17, number), 1, 0, DATA[:8], True)
    assert unsupported(table) == {Unsupported.FRAGMENT: 10, Unsupported.FRAGMENT_EVICTED: 40}
    assert table.add((b"addresses", 17, 49), 1, 8, b"end", False) == (DATA[:8] + b"end", 2)


def test_many_small_fragments_are_no_quadratic_work() -> None:
    """8,191 fragments, last first."""
    table = fragments()
    whole = None
    for offset in range(65_520, -8, -8):
        whole = table.add(KEY, 1, offset, bytes(8), offset != 65_520)
    assert whole == (bytes(65_528), 8191)
