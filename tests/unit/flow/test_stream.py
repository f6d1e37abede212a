"""One direction put in order."""

import pytest

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.items import Data, End, EndKind, Gap, Item
from shadow_agent.flow.stream import WINDOW, Stream

BASES = [1_000, 0xFFFF_FFFA]


def stream(base: int) -> Stream:
    """One that expects `base`."""
    made = Stream(0, SegmentCounts())
    made.align(base)
    return made


def push(target: Stream, seq: int, payload: bytes, length: int | None = None) -> list[Item]:
    """A segment, final, at time seq."""
    size = len(payload) if length is None else length
    return target.push(seq & 0xFFFF_FFFF, 7, 5, payload, size, 1)


def read(items: list[Item]) -> bytes:
    """Data as it is, `_` for each missing byte, `.` for the end."""
    text = b""
    for item in items:
        if isinstance(item, Data):
            text += item.payload
        else:
            text += b"_" * item.length if isinstance(item, Gap) else b"."
    return text


@pytest.mark.parametrize("base", BASES)
def test_order_is_restored(base: int) -> None:
    """Early segments wait for the hole before them, across the wrap too."""
    target = stream(base)
    assert push(target, base + 6, b"ghi") == []
    assert push(target, base + 3, b"def") == []
    assert target.counts.held == 2
    assert read(push(target, base, b"abc")) == b"abcdefghi"
    assert target.counts.held == 0
    assert target.counts.used == 3
    assert target.held_cost == 0
    assert not target.waiting


@pytest.mark.parametrize("base", BASES)
def test_the_first_copy_wins(base: int) -> None:
    """Of an overlap only what is new is delivered; pure repetition is a duplicate."""
    target = stream(base)
    assert read(push(target, base, b"abcdef")) == b"abcdef"
    assert push(target, base + 1, b"XYZ") == []
    assert push(target, base - 1, b"X") == []
    assert target.counts.duplicate == 2
    assert read(push(target, base + 3, b"XXXghi")) == b"ghi"
    assert push(target, base + 12, b"mno") == []
    assert push(target, base + 13, b"n") == []
    assert target.counts.duplicate == 3
    assert push(target, base + 10, b"kXX") == []
    assert read(push(target, base + 9, b"j")) == b"jkXXno"


def test_a_copy_that_waited_in_vain_is_a_duplicate() -> None:
    """What was retransmitted in other pieces meanwhile is not used twice."""
    target = stream(0)
    push(target, 2, b"cd")
    assert read(push(target, 0, b"abcdef")) == b"abcdef"
    assert (target.counts.used, target.counts.duplicate, target.counts.held) == (1, 1, 0)


def test_keepalive_probes_are_duplicates() -> None:
    """One old byte, or none below the next, is no data."""
    target = stream(100)
    assert push(target, 99, b"x") == []
    assert target.counts.duplicate == 1


def test_a_cut_segment_leaves_a_gap() -> None:
    """What the tap did not copy is a Gap after what it did."""
    target = stream(0)
    assert read(push(target, 0, b"abc", 5)) == b"abc__"
    assert read(push(target, 5, b"f")) == b"f"
    assert push(target, 8, b"", 2) == []
    assert read(push(target, 6, b"gh")) == b"gh__"


def test_an_overlap_into_what_was_cut() -> None:
    """A segment of which only old bytes were copied is all gap."""
    target = stream(0)
    push(target, 0, b"abcd")
    assert read(push(target, 2, b"c", 6)) == b"____"


def test_acknowledged_holes_are_lost_at_once() -> None:
    """The receiver has what we have not: nothing will fill the hole."""
    target = stream(0)
    push(target, 5, b"fgh")
    assert read(target.lose_until(7, 9)) == b"_____fgh"
    assert target.lose_until(8, 9) == []
    assert read(target.lose_until(10, 9)) == b"__"
    assert read(push(target, 10, b"k")) == b"k"


def test_a_wild_acknowledgement_proves_nothing() -> None:
    """One beyond any window is ignored."""
    target = stream(0)
    assert target.lose_until(WINDOW + 1, 9) == []
    assert target.next_seq == 0


def test_release_gives_every_hole_up() -> None:
    """All that waited is delivered, with a Gap per hole."""
    target = stream(0)
    push(target, 2, b"c")
    push(target, 5, b"f")
    target.finish(8, 1)
    assert read(target.release(3)) == b"__c__f__."


def test_fin_waits_for_its_place() -> None:
    """An early FIN ends the stream when everything before it came."""
    target = stream(0)
    assert target.finish(3, 1) == []
    assert target.waiting
    assert read(push(target, 0, b"abc")) == b"abc."
    assert target.ended
    assert push(target, 0, b"abc") == []
    assert target.finish(3, 1) == []


def test_bytes_beyond_a_fin_belong_to_nothing() -> None:
    """They are dropped by name, and nothing waits for ever."""
    target = stream(0)
    push(target, 5, b"x")
    target.finish(3, 1)
    assert read(target.lose_until(6, 2)) == b"___."
    assert (target.counts.out_of_window, target.counts.held) == (1, 0)


def test_far_ahead_is_out_of_window() -> None:
    """No receiver accepts a byte a gibibyte ahead."""
    target = stream(0)
    assert push(target, WINDOW + 1, b"x") == []
    assert target.counts.out_of_window == 1


def test_end_is_told_once() -> None:
    """Ending an ended stream says nothing."""
    target = stream(0)
    assert target.end(EndKind.RST, 4, 1) == [End(0, EndKind.RST, 4, 1)]
    assert target.end(EndKind.EVICTED, 5, 0) == []
