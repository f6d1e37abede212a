"""Whatever a capture does to a conversation, nothing is mispaired, invented or lost unnamed."""

from hashlib import sha256
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import Segment
from shadow_agent.http.exchange import Exchange, FlowClosed, Limits, RequestBodySeen
from shadow_agent.http.notes import NOTES
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import (
    Wire,
    assembler,
    begun,
    check_balance,
    chunked,
    drive,
    ended,
    response,
)

BODIES = st.one_of(
    st.binary(max_size=40),
    st.just(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nfoo"),
    st.just(b"GET /9 HTTP/1.1\r\nHost: evil\r\n\r\n"),
)


class Turn(NamedTuple):
    """One exchange as it really was."""

    method: bytes
    request_body: bytes
    request_chunked: bool
    response_body: bytes
    response_chunked: bool
    interim: bool

    def request(self, number: int) -> bytes:
        """Its request; the target says which it is."""
        head = b"%s /%d HTTP/1.1\r\nHost: a\r\n" % (self.method, number)
        if self.method != b"POST":
            return head + b"\r\n"
        if self.request_chunked:
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(self.request_body)
        return head + b"Content-Length: %d\r\n\r\n%s" % (len(self.request_body), self.request_body)

    def response(self, number: int) -> bytes:
        """Its response; a field says which it is."""
        interim = b"HTTP/1.1 103 Early Hints\r\n\r\n" if self.interim else b""
        mark = b"X-Number: %d\r\n" % number
        if self.method == b"HEAD":
            return (
                interim
                + response(self.response_body, fields=mark).partition(b"\r\n\r\n")[0]
                + (b"\r\n\r\n")
            )
        if self.response_chunked:
            head = b"HTTP/1.1 200 X\r\n%sTransfer-Encoding: chunked\r\n\r\n" % mark
            return interim + head + chunked(self.response_body)
        return interim + response(self.response_body, fields=mark)


TURNS = st.lists(
    st.builds(
        Turn,
        st.sampled_from([b"GET", b"HEAD", b"POST"]),
        BODIES,
        st.booleans(),
        BODIES,
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)
CUTS = st.integers(min_value=1, max_value=60)
STARTS = st.sampled_from([1_000, 0xFFFF_FFF0, 0x7FFF_FFF0])


def spread(wire: Wire, turns: list[Turn], cut: int, batch: int = 1) -> list[Segment]:
    """The segments of a conversation: `batch` requests at a time, payloads of `cut` bytes."""
    segments = []
    for first in range(0, len(turns), batch):
        numbers = range(first, min(first + batch, len(turns)))
        for direction in (0, 1):
            for number in numbers:
                turn = turns[number]
                data = turn.response(number) if direction else turn.request(number)
                pieces = [data[i : i + cut] for i in range(0, len(data), cut)]
                segments += [wire.segment(direction, piece) for piece in pieces]
    return segments


def check_truth(exchange: Exchange, turns: list[Turn]) -> None:
    """What is known of an exchange is what really was."""
    number = int(exchange.target[1:])
    turn = turns[number]
    if exchange.request_body_len is not None:
        body = turn.request_body if turn.method == b"POST" else b""
        assert exchange.request_body_sha256 == sha256(body).digest()
    assert exchange.answered == (exchange.unanswered is None)
    if exchange.answered:
        assert exchange.status == 200
        assert dict(exchange.response_headers)[b"X-Number"] == b"%d" % number
        if exchange.response_body_len is None:
            assert exchange.notes
        else:
            body = b"" if turn.method == b"HEAD" else turn.response_body
            assert exchange.response_body_len == len(body)
            assert exchange.response_body_sha256 == sha256(body).digest()


@given(TURNS, CUTS, STARTS, st.booleans(), st.integers(1, 5))
def test_whole_conversations_are_read_whole(
    turns: list[Turn], cut: int, start: int, opened: bool, batch: int
) -> None:
    """However it is cut, joined from the start or in the middle, pipelined or not."""
    wire = Wire(client=start, server=start + 5)
    segments = wire.open() if opened else []
    cut = cut if opened else cut + 20  # in mid-stream, a request line must not be cut
    # Joined in mid-connection, a pipelining client's answers cannot be told apart.
    segments += spread(wire, turns, cut, batch if opened else 1)
    segments += wire.close()
    target = assembler()
    events = drive(target, segments)
    exchanges = begun(events)
    assert [int(exchange.target[1:]) for exchange in exchanges] == list(range(len(turns)))
    for exchange in exchanges:
        assert exchange.answered
        assert exchange.request_body_len is not None
        assert exchange.response_body_len is not None
        check_truth(exchange, turns)
        raw = b"".join(
            event.raw
            for event in events
            if isinstance(event, RequestBodySeen) and event.exchange is exchange
        )
        number = int(exchange.target[1:])
        assert exchange.raw_head + raw == turns[number].request(number)
    assert target.segments.used == len(segments)
    assert target.exchanges.open == target.requests.open == 0


@given(TURNS, CUTS, STARTS, st.data())
def test_copies_and_disorder_change_nothing(
    turns: list[Turn], cut: int, start: int, data: st.DataObject
) -> None:
    """Duplicates anywhere later, and neighbours of one direction swapped: the same exchanges."""
    wire = Wire(client=start, server=start + 5)
    segments = wire.open() + spread(wire, turns, cut)
    places = data.draw(st.lists(st.integers(2, len(segments) - 1), max_size=8))
    for place in places:
        if place + 1 < len(segments) and segments[place][2] == segments[place + 1][2]:
            segments[place : place + 2] = reversed(segments[place : place + 2])
    for place in sorted(places, reverse=True):
        later = data.draw(st.integers(place + 1, len(segments)))
        segments.insert(later, segments[place])
    target = assembler()
    exchanges = begun(drive(target, segments + wire.close()))
    assert len(exchanges) == len(turns)
    for exchange in exchanges:
        assert exchange.answered
        assert exchange.response_body_len is not None
        check_truth(exchange, turns)
    assert target.segments.held == 0


@settings(max_examples=300)
@given(TURNS, CUTS, STARTS, st.booleans(), st.randoms(use_true_random=False))
def test_a_shuffled_file_is_read_whole(
    turns: list[Turn], cut: int, start: int, ends: bool, random: Random
) -> None:
    """Any order of both directions' segments, FINs too, copies included: the same exchanges."""
    wire = Wire(client=start, server=start + 5)
    opening, rest = wire.open(), spread(wire, turns, cut)
    if ends:
        rest += wire.close()
    rest += random.sample(rest, len(rest) // 4)
    random.shuffle(rest)
    target = assembler(FlowLimits(acks_prove_loss=False))
    events = drive(target, opening + rest) + target.close(Unanswered.DRAINED, wire.now)
    exchanges = begun(events)
    assert [int(exchange.target[1:]) for exchange in exchanges] == list(range(len(turns)))
    for exchange in exchanges:
        assert exchange.answered
        assert exchange.request_body_len is not None
        assert exchange.response_body_len is not None
        check_truth(exchange, turns)
    assert target.budget.held == target.table.held_bytes == 0


@settings(max_examples=300)
@given(TURNS, CUTS, STARTS, st.floats(0.0, 0.5), st.randoms(use_true_random=False))
def test_a_shuffled_file_with_losses_is_never_mispaired(
    turns: list[Turn], cut: int, start: int, missing: float, random: Random
) -> None:
    """Whatever is missing, and wherever the rest stands, what is told is true."""
    wire = Wire(client=start, server=start + 5)
    segments = wire.open() + spread(wire, turns, cut) + wire.close()
    segments = [segment for segment in segments if random.random() >= missing]
    for _ in range(len(segments)):
        place = random.randrange(len(segments))
        other = min(place + random.randrange(4), len(segments) - 1)
        segments[place], segments[other] = segments[other], segments[place]
    target = assembler(FlowLimits(acks_prove_loss=False))
    events = drive(target, segments)
    events += target.expire(wire.now + 10**10)
    events += target.close(Unanswered.DRAINED, wire.now + 10**10)
    assert target.budget.held == target.table.held_bytes == target.segments.held == 0
    for exchange in begun(events):
        assert set(exchange.notes or ()) <= NOTES
        if exchange.host == b"a":  # else a body's bytes passed for a request after a loss
            check_truth(exchange, turns)


@settings(max_examples=300)
@given(TURNS, CUTS, STARTS, st.booleans(), st.integers(1, 3), st.booleans(), st.data())
def test_loss_is_named_and_never_mispaired(
    turns: list[Turn],
    cut: int,
    start: int,
    opened: bool,
    batch: int,
    acks: bool,
    data: st.DataObject,
) -> None:
    """Any segments may be missing: an exchange is right, or it says what is unknown."""
    wire = Wire(client=start, server=start + 5)
    segments = wire.open() if opened else []
    # Joined in mid-connection, a pipelining client cannot be told from one that is not.
    segments += spread(wire, turns, cut, batch if opened else 1) + wire.close()
    kept = data.draw(st.lists(st.booleans(), min_size=len(segments), max_size=len(segments)))
    target = assembler(FlowLimits(acks_prove_loss=acks))
    events = drive(target, [s for i, s in enumerate(segments) if kept[i] or (opened and i < 2)])
    events += target.expire(wire.now + 10**10)
    events += target.close(Unanswered.DRAINED, wire.now + 10**10)
    check_balance(target)
    assert target.exchanges.open == target.requests.open == target.segments.held == 0
    assert target.table.held_bytes == len(target.table) == 0
    assert target.budget.held == target.budget.unfinished_heads == 0
    closed = [event for event in events if isinstance(event, FlowClosed)]
    assert len(closed) == (1 if events else 0)
    assert events[-1:] == closed
    assert len(ended(events)) == len(begun(events))
    for exchange in begun(events):
        if exchange.host == b"a":  # else a body's bytes passed for a request after a loss
            check_truth(exchange, turns)


def any_segment(
    ts: int, port: int, direction: int, seq: int, ack: int, flags: int, payload: bytes, cut: int,
    *, final: bool,
) -> Segment:  # fmt: skip
    """A segment of nobody's TCP."""
    key = Wire(port).key
    seq, ack = seq & 0xFFFF_FFFF, ack & 0xFFFF_FFFF
    return Segment(ts, key, direction, seq, ack, flags, payload, len(payload) + cut, final)


SEGMENTS = st.builds(
    any_segment,
    st.integers(0, 10**10),
    st.integers(1, 2),
    st.integers(0, 1),
    st.one_of(st.integers(-20, 200), st.integers(0, 2**32)),
    st.one_of(st.integers(-20, 200), st.integers(0, 2**32)),
    st.sampled_from([16, 16, 16, 24, 2, 18, 17, 1, 4, 20, 0, 7, 31]),
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n",
                b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                b"CONNECT a:1 HTTP/1.1\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                b"HTTP/1.1 200 OK\r\n\r\n",
                b"HTTP/1.1 101 OK\r\n\r\n",
                b"HTTP/1.1 100 OK\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\n",
                b"\x16\x03\x01",
                b"PROXY TCP4 192.0.2.3 192.0.2.4 5 80\r\n",
                b"PROXY T",
                b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
                b"GET / HTTP/1.1\r\nA: ",
            ]
        ),
    ),
    st.sampled_from([0, 0, 0, 5]),
    final=st.sampled_from([True, True, True, False]),
)


@settings(max_examples=500)
@given(st.lists(SEGMENTS, max_size=30), st.integers(1, 3), st.integers(400, 4_000), st.booleans())
def test_no_segments_break_the_rooms(
    segments: list[Segment], flows: int, held: int, acks: bool
) -> None:
    """Arbitrary segments, tiny limits: no exception, nothing unaccounted for, nothing kept."""
    limits = FlowLimits(
        max_flows=flows,
        max_held_bytes_per_flow=held,
        max_held_bytes_total=2 * held,
        acks_prove_loss=acks,
    )
    tiny = Limits(max_held_bytes=held, head_ns=10**9, max_heads_per_source=1, max_outstanding=2)
    target = assembler(limits, tiny)
    finals = 0
    for segment in segments:
        target.push(segment)
        finals += segment.final
        check_balance(target)
        assert target.segments.read == finals
        assert target.table.held_bytes <= 2 * held
        assert 0 <= target.budget.held <= held
        assert len(target.table) <= flows
    target.expire(5 * 10**9)
    target.close(Unanswered.DRAINED, 10**11)
    check_balance(target)
    assert target.exchanges.open == target.requests.open == target.segments.held == 0
    assert target.table.held_bytes == len(target.table) == 0
    assert target.budget.held == target.budget.unfinished_heads == 0
