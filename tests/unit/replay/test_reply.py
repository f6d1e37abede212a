"""The shadow's bytes: read whole, byte by byte, and with more behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.replay.reply import Reply, ReplyReader
from shadow_agent.telemetry.reasons import Outcome

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
WHOLE = {
    "length": (LENGTH, 200, b"hello"),
    "chunked": (CHUNKED, 200, b"hello"),
    "empty": (EMPTY, 204, b""),
    "interim": (INTERIM + LENGTH, 200, b"hello"),
    "switch": (SWITCH, 101, b""),
    "old": (b"HTTP/1.0 404 No\r\nContent-Length: 0\r\n\r\n", 404, b""),
}


def reader(max_head: int = 1 << 16, max_body: int = 1 << 20) -> ReplyReader:
    """With limits no case meets by chance."""
    return ReplyReader(max_head, max_body)


def read(pieces: Iterable[bytes], *, head_only: bool = False) -> tuple[Reply, ReplyReader, bool]:
    """An answer out of these pieces."""
    reading = reader()
    reply = reading.expect(head_only=head_only)
    clean = True
    for piece in pieces:
        clean = reading.feed(piece)
    return reply, reading, clean


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("cut", ["whole", "bytes"])
def test_an_answer(name: str, cut: str) -> None:
    """The same however it is cut; offsets are those of the final response."""
    raw, status, body = WHOLE[name]
    pieces = [raw] if cut == "whole" else [raw[i : i + 1] for i in range(len(raw))]
    reply, reading, clean = read(pieces)
    assert clean
    assert reply.outcome is Outcome.ANSWERED
    assert reply.status == status
    assert reply.body_len == len(body)
    assert reply.body_sha256 == hashlib.sha256(body).digest()
    assert reply.body in (body, None if cut == "bytes" or name == "chunked" else body)
    assert reply.first_offset == (len(INTERIM) if name == "interim" else 0)
    assert reply.end_offset == reading.offset == len(raw)


@pytest.mark.parametrize("name", WHOLE)
def test_more_behind_an_answer(name: str) -> None:
    """It is told, and belongs to no answer."""
    raw, status, body = WHOLE[name]
    reply, reading, clean = read([raw + b"HTTP/1.1 200 OK\r\n"])
    assert not clean
    assert (reply.outcome, reply.status, reply.body_len) == (Outcome.ANSWERED, status, len(body))
    assert reply.end_offset == reading.offset == len(raw)


def test_one_answer_after_another() -> None:
    """Offsets go on; what an answer to HEAD announces does not follow."""
    reading = reader()
    head = LENGTH.removesuffix(b"hello")
    for number in range(3):
        reply = reading.expect(head_only=True)
        assert reading.feed(head)
        assert (reply.outcome, reply.body) == (Outcome.ANSWERED, b"")
        assert (reply.first_offset, reply.end_offset) == (
            number * len(head),
            (number + 1) * len(head),
        )


def test_a_body_until_the_close() -> None:
    """Whole when the shadow closes, and not before."""
    reply, _, clean = read([b"HTTP/1.1 200 OK\r\n\r\nhe", b"llo"])
    assert clean
    before = reply.outcome
    reply.closed()
    assert (before, reply.outcome) == (None, Outcome.ANSWERED)
    assert reply.body is None
    assert reply.body_sha256 == hashlib.sha256(b"hello").digest()


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 2", LENGTH[:-1], CHUNKED[:-1], INTERIM])
def test_a_close_within_an_answer(raw: bytes) -> None:
    """It is the shadow's outcome; a later close changes nothing."""
    reply, _, _ = read([raw])
    before = reply.outcome
    reply.closed()
    assert (before, reply.outcome) == (None, Outcome.CLOSED)
    reply.closed()
    assert reply.outcome is Outcome.CLOSED


@pytest.mark.parametrize(
    "raw",
    [
        b"X",
        b"HTTX",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        CHUNKED.replace(b"2\r\nhe", b"zz\r\nhe"),
    ],
)
def test_garbage(raw: bytes) -> None:
    """Whole or byte by byte, and nothing more is read."""
    for pieces in ([raw], [raw[i : i + 1] for i in range(len(raw))]):
        reply, reading, _ = read(pieces)
        assert reply.outcome is Outcome.GARBAGE
        assert not reading.feed(b"more")
        assert reply.outcome is Outcome.GARBAGE


def test_over_the_limits() -> None:
    """A head or a body too long for us is no answer; one at the limit is."""
    for max_head, max_body, outcome in (
        (len(LENGTH) - 5, 5, Outcome.ANSWERED),
        (len(LENGTH) - 6, 5, Outcome.OVERSIZE),
    ):
        reading = reader(max_head, max_body)
        reply = reading.expect(head_only=False)
        reading.feed(LENGTH)
        assert reply.outcome is outcome
    reading = reader(max_body=4)
    reply = reading.expect(head_only=False)
    reading.feed(b"HTTP/1.1 200 OK\r\n\r\n1234")
    assert reply.outcome is None
    reading.feed(b"5")
    assert reply.outcome is Outcome.OVERSIZE


def test_nothing_was_asked() -> None:
    """Every byte is one too many."""
    assert not reader().feed(LENGTH)
    assert reader().feed(b"")


@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from([LENGTH, CHUNKED, EMPTY, INTERIM, b"HTTP/1.1 200 OK\r\n\r\n"]),
        max_size=12,
    ),
    st.booleans(),
)
def test_no_bytes_raise(pieces: list[bytes], head_only: bool) -> None:
    """Whatever a hostile shadow sends: an outcome, offsets in order, limits kept."""
    reading = reader(64, 100)
    reply = reading.expect(head_only=head_only)
    for piece in pieces:
        reading.feed(piece)
        if reply.outcome is not None:
            break
    reply.closed()
    assert reply.outcome is not None
    assert 0 <= reading.offset <= sum(map(len, pieces))
    if reply.outcome is Outcome.ANSWERED and reply.first_offset is not None:
        assert reply.first_offset <= reading.offset


@given(st.data())
def test_cuts_change_nothing(data: st.DataObject) -> None:
    """However the network cuts it."""
    raw, status, body = data.draw(st.sampled_from(list(WHOLE.values())))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)))) | {0, len(raw)})
    reply, _, clean = read(raw[a:b] for a, b in pairwise(cuts))
    assert clean
    assert (reply.outcome, reply.status) == (Outcome.ANSWERED, status)
    assert reply.body_sha256 == hashlib.sha256(body).digest()
