"""Body readers: whole, byte by byte, with trailing data."""

from collections.abc import Callable

import pytest

from shadow_agent.http.body import (
    MAX_CHUNK_LINE,
    MAX_TRAILERS,
    BodyReader,
    ChunkedBody,
    CloseBody,
    LengthBody,
)

TRAILING = b"HTTP/1.1 200 OK\r\n"


def run(reader: BodyReader, *pieces: bytes) -> tuple[bytes, bytes]:
    """What was decoded, and what was left over."""
    decoded: list[bytes] = []
    for number, piece in enumerate(pieces):
        end = reader.feed(piece, 0, decoded)
        if reader.done or reader.malformed:
            return b"".join(decoded), piece[end:] + b"".join(pieces[number + 1 :])
    return b"".join(decoded), b""


@pytest.mark.parametrize(
    ("make", "wire", "body"),
    [
        (lambda: LengthBody(5), b"abcde", b"abcde"),
        (ChunkedBody, b"0\r\n\r\n", b""),
        (ChunkedBody, b"5\r\nabcde\r\n0\r\n\r\n", b"abcde"),
        (ChunkedBody, b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\nC:\r\n\r\n", b"abcde"),
        (ChunkedBody, b"00a  \r\n0\r\n\r\n12345\r\n000\r\n\r\n", b"0\r\n\r\n12345"),
        (ChunkedBody, b"A\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n\r\n\r\n\r\n"),
    ],
)
def test_bodies_end_where_they_end(
    make: Callable[[], BodyReader], wire: bytes, body: bytes
) -> None:
    """However the bytes come, the same body is read and not one byte of what follows."""
    single = [bytes([byte]) for byte in wire]
    trailing = [bytes([byte]) for byte in TRAILING]
    assert run(make(), wire) == (body, b"")
    assert run(make(), *single) == (body, b"")
    assert run(make(), wire + TRAILING) == (body, TRAILING)
    assert run(make(), *single, *trailing) == (body, TRAILING)
    for cut in range(1, len(wire)):
        assert run(make(), wire[:cut], wire[cut:] + TRAILING) == (body, TRAILING)


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"0x5\r\nabcde\r\n",
        b"5\nabcde\n",
        b"5\rx",
        b"1\r\nabc\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"12345678901234567\r\n",
        b"1;\x00\r\n",
        b"0\r\nbroken\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"1" + b"0" * MAX_CHUNK_LINE + b"\r\n",
        b"1;" + b"x" * MAX_CHUNK_LINE + b"\r\n",
        b"0\r\n" + b"A: b\r\n" * (MAX_TRAILERS // 6 + 1),
    ],
)
def test_broken_chunks_are_malformed(wire: bytes) -> None:
    """In one piece or in many, strict framing is not guessed at."""
    for pieces in ([wire], [bytes([byte]) for byte in wire]):
        reader = ChunkedBody()
        run(reader, *pieces)
        assert reader.malformed
        assert not reader.done


def test_a_line_without_end_is_not_waited_for() -> None:
    """What is held of a size line is bounded."""
    reader = ChunkedBody()
    run(reader, *[b"1" * 100] * 41)
    assert reader.malformed


def test_gaps_in_a_known_length_only_count() -> None:
    """The end is still found, unless the gap reaches beyond it."""
    reader = LengthBody(10)
    run(reader, b"ab")
    assert reader.skip(3)
    assert not reader.done
    assert not LengthBody(2).skip(3)
    assert reader.skip(5)
    assert reader.done


def test_gaps_in_a_chunk_only_count() -> None:
    """Within one chunk's data framing survives; elsewhere it does not."""
    reader = ChunkedBody()
    assert not reader.skip(1)
    run(reader, b"a\r\nab")
    assert reader.skip(3)
    assert not reader.skip(6)
    assert reader.skip(5)
    assert not reader.skip(1)
    assert run(reader, b"\r\n0\r\n\r\nX") == (b"", b"X")
    assert reader.done


def test_until_close_has_no_end() -> None:
    """All that comes is body, gaps included."""
    reader = CloseBody()
    assert run(reader, b"a", b"b") == (b"ab", b"")
    assert reader.skip(10**9)
    assert not reader.done
