"""Requests skipped on purpose among others that are lost: absent the ones, named the others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.flow.resume import SURE
from shadow_agent.flow.segment import Segment
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.test_conversations import CUTS, STARTS, TURNS, Turn, check_truth, spread
from tests.property.wire import Wire, assembler, begun, check_balance, ended

TENANT = 5 << 24
# How much was skipped beside what a test can build: up to where sequence numbers are ambiguous.
MORE = st.sampled_from([0, 0, 1, 1 << 20, 1 << 30, (1 << 31) + 5, 0xC000_0000])
# Beside a loss, less than where they are ambiguous: a request behind 2 GiB that were skipped, and
# behind the lost first record that would say so, may pass for an old one (segments.out_of_window).
MORE_BESIDE_LOSS = st.sampled_from([0, 0, 1, 1 << 20, 1 << 28])


def numbered(
    wire: Wire, turns: list[Turn], cut: int, keep: list[bool], more: int, *, opened: bool
) -> list[tuple[int, Segment, int]]:
    """As the kernel does it: turn (-1 for the handshake), segment, number of what is copied."""
    found: list[tuple[int, Segment, int]] = []
    counts, epoch, known = [0, 0], 0, opened
    if opened:
        for way, segment in enumerate(wire.open()):
            counts[way] += 1
            found.append((-1, segment, TENANT | counts[way]))
    before = opened  # whether the turn before was copied
    for number in range(len(turns)):
        segments = spread_one(wire, turns, number, cut)
        if not keep[number]:
            wire.next = [(n + more) & 0xFFFF_FFFF for n in wire.next]
            epoch += before
            before, known = False, True
            continue
        first = True
        for segment in segments:
            way = segment.direction
            counts[way] += 1
            sure = SURE if first and known else 0
            first = False
            found.append((number, segment, TENANT | epoch << 16 | sure | counts[way]))
        before = known = True
    return found


def spread_one(wire: Wire, turns: list[Turn], number: int, cut: int) -> list[Segment]:
    """The segments of one turn of a conversation."""
    segments = []
    for direction, data in (
        (0, turns[number].request(number)),
        (1, turns[number].response(number)),
    ):
        pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
        segments += [wire.segment(direction, piece) for piece in pieces]
    return segments


@settings(max_examples=300)
@given(TURNS, CUTS, STARTS, st.booleans(), MORE, st.data())
def test_exactly_the_skipped_are_absent(
    turns: list[Turn], cut: int, start: int, opened: bool, more: int, data: st.DataObject
) -> None:
    """Every other is whole: no gap, no note, nothing lost, nothing unaligned."""
    keep = data.draw(st.lists(st.booleans(), min_size=len(turns), max_size=len(turns)))
    wire = Wire(client=start, server=start + 5)
    records = numbered(wire, turns, cut + 20, keep, more, opened=opened)
    target = assembler()
    events = []
    for _, segment, number in records:
        events += target.follow(segment, number)
        check_balance(target)
    events += target.close(Unanswered.DRAINED, wire.now)
    exchanges = begun(events)
    assert [int(exchange.target[1:]) for exchange in exchanges] == [
        number for number in range(len(turns)) if keep[number]
    ]
    for exchange in exchanges:
        assert exchange.answered
        assert exchange.request_body_len is not None
        assert exchange.response_body_len is not None
        assert not exchange.notes
        check_truth(exchange, turns)
    assert target.segments.used == len(records)
    assert target.requests.unexplained_gaps == 0


@settings(max_examples=300)
@given(TURNS, CUTS, STARTS, st.booleans(), MORE_BESIDE_LOSS, st.data())
def test_the_lost_are_named(
    turns: list[Turn], cut: int, start: int, opened: bool, more: int, data: st.DataObject
) -> None:
    """A record that found the ring full is a loss, also beside what was skipped; no wrong pair."""
    keep = data.draw(st.lists(st.booleans(), min_size=len(turns), max_size=len(turns)))
    wire = Wire(client=start, server=start + 5)
    records = numbered(wire, turns, cut + 20, keep, more, opened=opened)
    here = data.draw(st.lists(st.integers(0, 6), min_size=len(records), max_size=len(records)))
    target = assembler()
    events = []
    for (_, segment, number), kept in zip(records, here, strict=True):
        if kept:
            events += target.follow(segment, number)
            check_balance(target)
    events += target.close(Unanswered.DRAINED, wire.now)
    assert len(ended(events)) == len(begun(events))
    told = {int(e.target[1:]) for e in begun(events) if e.host == b"a"}
    for exchange in begun(events):
        if exchange.host == b"a":  # else a body's bytes passed for a request after a loss
            check_truth(exchange, turns)
    starts = [
        s.payload.startswith(turns[n].method + b" /") and not s.direction for n, s, _ in records
    ]
    # the kernel's own count: of the full ring, segments that begin a request
    full = sum(start and not kept for start, kept in zip(starts, here, strict=True))
    missing = {n for n in range(len(turns)) if keep[n]} - told
    requests = target.requests
    named = max(full, requests.unexplained_gaps) + requests.started - requests.heads
    assert len(missing) <= named


def test_an_open_body_does_not_go_on_behind_what_was_passed_over() -> None:
    """A response shows that the flow goes on elsewhere; its request and a body's end are lost."""
    body = b"x" * 40
    turns = [
        Turn(b"POST", body, False, b"", False, True),
        Turn(b"GET", b"", False, b"abc", False, False),
        Turn(b"GET", b"", False, b"", False, True),
        Turn(b"GET", b"", False, b"", False, False),
    ]
    records = numbered(Wire(), turns, 61, [True, False, True, True], 0, opened=True)
    target = assembler()
    events = []
    seen = [(0, True), (2, False), (3, True)]  # the beginning of 0, the answer to 2, the request 3
    for number, of_request in seen:
        mine = [r for r in records if r[0] == number and (r[1].direction == 0) == of_request]
        _, segment, count = mine[0] if of_request else mine[-1]
        events += target.follow(segment, count)
    events += target.close(Unanswered.DRAINED, 1 << 40)
    first, last = begun(events)
    assert (first.request_body_len, first.notes) == (
        None, ["request body: gap", "response: none (gap)"]
    )  # fmt: skip
    assert last.target == b"/3"


def test_the_model_is_a_conversation() -> None:
    """What nobody skips is what `spread` makes."""
    turns = [Turn(b"GET", b"", False, b"abc", False, False)] * 3
    one, two = Wire(), Wire()
    records = numbered(one, turns, 50, [True] * 3, 0, opened=True)
    assert [segment for _, segment, _ in records] == two.open() + spread(two, turns, 50)
