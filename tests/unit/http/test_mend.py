"""What llhttp refuses and RFC 9112 allows."""

import pytest

from shadow_agent.http.mend import mend_request, mend_response

LINE = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        (b"GET / HTTP/1.1\nA: b\n\n", LINE + b"A: b\r\n\r\n"),
        (LINE + b"A: b \r\n\t c\r\n d\r\nE: f\r\n\r\n", LINE + b"A: b c d\r\nE: f\r\n\r\n"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nA: \xff\r\n\r\n", b"GET /xx HTTP/1.1\r\nA: \xff\r\n\r\n"),
        (LINE + b"\r\n", LINE + b"\r\n"),
        (b"G(T / HTTP/1.1\r\n\r\n", b"G(T / HTTP/1.1\r\n\r\n"),
    ],
)
def test_a_request_is_rewritten_for_judging(raw: bytes, mended: bytes) -> None:
    """Lines, folding, method, target; nothing else."""
    assert mend_request(raw) == mended


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length:\r\n 5\r\n",
        b"content-length: 5\r\n 0\r\n",
        b"Transfer-Encoding: gzip,\r\n\tchunked\r\n",
        b"Host: a\r\n b\r\n",
        b"A: b\r\n Content-Length: 5\r\n",
        b"A: b\r\n \r\n",
        b" A: b\r\n",
    ],
)
def test_folding_that_servers_read_differently_is_not_mended(fields: bytes) -> None:
    """Framing fields, and what looks like one."""
    assert mend_request(LINE + fields + b"\r\n") is None
    assert mend_response(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n") is None


def test_a_response_is_rewritten_as_a_client_reads_it() -> None:
    """White space before a colon, equal lengths; differing ones stay."""
    line = b"HTTP/1.1 200 OK\r\n"
    assert mend_response(line + b"A : b\r\n\r\n") == line + b"A: b\r\n\r\n"
    twice = b"Content-Length: 5\r\ncontent-length:05\r\n"
    assert mend_response(line + twice + b"\r\n") == line + b"content-length:05\r\n\r\n"
    differ = b"Content-Length: 5\r\nContent-Length: 6\r\n"
    assert mend_response(line + differ + b"\r\n") == line + differ + b"\r\n"
