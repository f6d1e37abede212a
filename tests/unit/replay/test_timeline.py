"""When bytes passed the shadow-side tap, by records in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.flow.segment import ACK, SYN, Direction, Segment
from shadow_agent.replay.timeline import Timeline, Timelines

KEY = bytes(36)
MASK = 0xFFFF_FFFF


def record(direction: Direction, seq: int, length: int, ts: int, flags: int = ACK) -> Segment:
    """A record without payload, as of the shadow-side tap."""
    return Segment(ts, KEY, direction, seq & MASK, 0, flags, b"", length, final=True)


def opened(request_base: int = 100, answer_base: int = 200) -> Timeline:
    """Both SYNs were seen; the bases are the first payload byte's."""
    timeline = Timeline()
    timeline.push(record(Direction.REQUEST, request_base - 1, 0, 0, SYN))
    timeline.push(record(Direction.RESPONSE, answer_base - 1, 0, 0, SYN | ACK))
    return timeline


def test_an_exchange() -> None:
    """The request's last byte, the answer's first and last."""
    timeline = opened()
    assert timeline.based
    timeline.push(record(Direction.REQUEST, 100, 10, 1))
    timeline.push(record(Direction.REQUEST, 110, 5, 2))
    timeline.push(record(Direction.RESPONSE, 200, 30, 5))
    timeline.push(record(Direction.RESPONSE, 230, 30, 9))
    assert timeline.request_passed(15) == 2
    assert timeline.answer_passed(0) == 5
    assert timeline.answer_passed(59) == 9
    assert timeline.answer_passed(60) is None
    assert not timeline.resent(15, 0)


def test_without_a_syn_nothing_is_known() -> None:
    """There is no offset to count from."""
    timeline = Timeline()
    timeline.push(record(Direction.REQUEST, 99, 0, 0, SYN))
    timeline.push(record(Direction.RESPONSE, 200, 30, 5))
    assert not timeline.based
    assert timeline.answer_passed(0) is None


def test_a_record_that_was_lost() -> None:
    """Its bytes' time is unknown, the others' is not."""
    timeline = opened()
    timeline.push(record(Direction.RESPONSE, 210, 10, 5))
    assert timeline.answer_passed(5) is None
    assert timeline.answer_passed(12) == 5
    assert timeline.request_passed(1) is None


def test_a_retransmission() -> None:
    """The first time stands; whoever hangs on those bytes is told."""
    timeline = opened()
    timeline.push(record(Direction.REQUEST, 100, 10, 1))
    timeline.push(record(Direction.REQUEST, 100, 10, 7))
    assert timeline.request_passed(10) == 1
    assert timeline.resent(10, 0)
    assert not timeline.resent(20, 0)
    timeline.push(record(Direction.RESPONSE, 200, 10, 8))
    timeline.push(record(Direction.RESPONSE, 205, 10, 9))
    assert timeline.resent(20, 9)
    assert not timeline.resent(20, 10)
    assert timeline.answer_passed(12) == 9


@given(st.integers(0, MASK), st.lists(st.integers(1, 70_000), min_size=1, max_size=40))
def test_offsets_across_the_wrap(base: int, lengths: list[int]) -> None:
    """Sequence numbers start anywhere and wrap at 2**32."""
    timeline = opened(answer_base=base)
    at = 0
    for ts, length in enumerate(lengths):
        timeline.push(record(Direction.RESPONSE, base + at, length, ts))
        at += length
    at = 0
    for ts, length in enumerate(lengths):
        assert timeline.answer_passed(at) == ts
        assert timeline.answer_passed(at + length - 1) == ts
        at += length


@given(st.integers(0, MASK), st.data())
def test_any_order_and_any_number_of_times(base: int, data: st.DataObject) -> None:
    """A time is of a record that carried the byte; known and unflagged, it is of the first."""
    records = data.draw(
        st.lists(st.tuples(st.integers(0, 300), st.integers(1, 100)), min_size=1, max_size=30)
    )
    timeline = opened(answer_base=base)
    for ts, (at, length) in enumerate(records):
        timeline.push(record(Direction.RESPONSE, base + at, length, ts))
    offset = data.draw(st.integers(0, 400))
    seen = timeline.answer_passed(offset)
    carried = [ts for ts, (at, length) in enumerate(records) if at <= offset < at + length]
    assert seen is None or seen in carried
    if seen is not None and not timeline.resent(1, offset):
        assert seen == carried[0]


def test_memory_is_bounded() -> None:
    """The oldest is forgotten, and its time unknown."""
    timeline = opened()
    for number in range(5000):
        timeline.push(record(Direction.RESPONSE, 200 + number, 1, number))
    assert timeline.answer_passed(0) is None
    assert timeline.answer_passed(4999) == 4999


def test_a_timeline_outlives_its_socket() -> None:
    """Until those that had departed before the ring was read are forgotten."""
    timelines = Timelines()
    timeline = opened()
    timelines.add(KEY, timeline)
    timelines.depart(KEY, timeline)
    timelines.push(record(Direction.RESPONSE, 200, 10, 4))
    departed = timelines.departed()
    timelines.push(record(Direction.RESPONSE, 210, 10, 5))
    timelines.forget(departed)
    timelines.push(record(Direction.RESPONSE, 220, 10, 6))
    assert timeline.answer_passed(15) == 5
    assert timeline.answer_passed(25) is None
