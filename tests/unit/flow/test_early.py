"""Segments that wait, and which copy of overlapping bytes survives: as Linux keeps them."""

import pytest

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.early import HELD_OVERHEAD, Early, Held
from shadow_agent.flow.items import Data, Gap
from shadow_agent.flow.stream import Stream


def deliver(base: int, *early: tuple[int, bytes]) -> bytes:
    """What is read when these waited, in this order, and the first ten bytes come then."""
    stream = Stream(0, SegmentCounts())
    stream.align(base)
    for ahead, payload in early:
        stream.push((base + ahead) & 0xFFFF_FFFF, 7, 1, payload, len(payload), 1)
    items = stream.push(base, 7, 2, b"0123456789", 10, 1)
    counts = stream.counts
    assert counts.used + counts.duplicate == len(early) + 1
    assert counts.held == stream.held_cost == 0
    return b"".join(item.payload for item in items if isinstance(item, Data))[10:]


@pytest.mark.parametrize("base", [1_000, 0xFFFF_FFF3])
@pytest.mark.parametrize(
    ("early", "kept"),
    [
        # wholly inside one that waits: dropped
        ([(10, b"aaaaaa"), (12, b"BB")], b"aaaaaa"),
        ([(10, b"aaaaaa"), (10, b"BB")], b"aaaaaa"),
        ([(10, b"aaaaaa"), (10, b"BBBBBB")], b"aaaaaa"),
        # covers one that waits: replaces it
        ([(10, b"aa"), (10, b"BBBB")], b"BBBB"),
        ([(12, b"aa"), (10, b"BBBBBB")], b"BBBBBB"),
        ([(12, b"aa"), (10, b"BBBB")], b"BBBB"),
        # overlaps at one end: the lower start wins the common bytes
        ([(10, b"aaaa"), (12, b"BBBB")], b"aaaaBB"),
        ([(12, b"aaaa"), (10, b"BBBB")], b"BBBBaa"),
        # fills between two, overlapping both with the same bytes
        ([(10, b"abc"), (15, b"fgh"), (11, b"bcdef")], b"abcdefgh"),
        # beside one that waits
        ([(10, b"aa"), (14, b"cc"), (12, b"bb")], b"aabbcc"),
    ],
)
def test_overlaps_are_kept_as_linux_keeps_them(
    base: int, early: list[tuple[int, bytes]], kept: bytes
) -> None:
    """tcp_data_queue_ofo's choices, across the wrap too."""
    assert deliver(base, *early) == kept


@pytest.mark.parametrize(
    "early",
    [
        [(10, b"aa"), (12, b"bb"), (14, b"cc"), (10, b"DDDDDD")],
        [(10, b"aaa"), (15, b"ccc"), (11, b"BBBBBB")],
        [(10, b"aa"), (12, b"bb"), (10, b"CCCC")],
        [(10, b"aa"), (12, b"BB"), (11, b"X")],
    ],
)
def test_of_many_copies_that_differ_none_is_believed(early: list[tuple[int, bytes]]) -> None:
    """Linux merges neighbours: which one survives hangs on what else waits."""
    stream = Stream(0, SegmentCounts())
    stream.align(0)
    for ahead, payload in early:
        stream.push(ahead, 7, 1, payload, len(payload), 1)
    items = stream.push(0, 7, 2, b"0123456789", 10, 1)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert gaps
    assert not any(gap.certain for gap in gaps)
    assert stream.counts.held == stream.held_cost == 0


def test_what_comes_in_order_wins_over_what_waits() -> None:
    """Its start is the lowest."""
    stream = Stream(0, SegmentCounts())
    stream.align(0)
    stream.push(2, 7, 1, b"bbbb", 4, 1)
    items = stream.push(0, 7, 2, b"AAAA", 4, 1)
    assert [item.payload for item in items if isinstance(item, Data)] == [b"AAAA", b"bb"]


def test_its_cost_is_that_of_what_waits() -> None:
    """Whatever was replaced or dropped costs nothing."""
    early = Early()
    assert early.add(Held(10, 0, 1, b"aa", 2, 1), 10) == 0
    assert early.add(Held(12, 0, 1, b"bb", 2, 0), 12) == 0
    assert early.cost == 2 * (2 + HELD_OVERHEAD)
    assert early.add(Held(10, 0, 1, b"a", 1, 1), 10) == 1
    assert early.add(Held(9, 0, 1, b"xaabbxxxx", 9, 1), 9) == 1
    assert early.cost == 9 + HELD_OVERHEAD
    assert len(early) == 1
    assert early.head.seq == 9
    early.drop(1)
    assert list(early) == []
