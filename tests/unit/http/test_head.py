"""Heads parsed, judged and framed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import (
    CHUNKED,
    UNTIL_CLOSE,
    Malformed,
    RequestHead,
    ResponseHead,
    _parse_request,
    parse_request,
    parse_response,
)


def request(raw: bytes) -> RequestHead:
    """A head that must be fine."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    return head


def response(raw: bytes) -> ResponseHead:
    """A head that must be fine."""
    head = parse_response(raw)
    assert isinstance(head, ResponseHead)
    return head


def test_a_request_head_is_read_whole() -> None:
    """Every part of it, with names and values as sent."""
    raw = b"GET  /a?b HTTP/1.1\r\nhost: one \r\nHost: two\r\nX-Empty:\r\nConnection: close\r\n\r\n"
    head = request(raw)
    assert (head.method, head.target, head.version) == ("GET", b"/a?b", "1.1")
    assert head.headers == [
        (b"host", b"one"),
        (b"Host", b"two"),
        (b"X-Empty", b""),
        (b"Connection", b"close"),
    ]
    assert head.host == b"one"
    assert head.framing == 0
    assert not head.keep_alive
    assert head.raw == raw


@pytest.mark.parametrize(
    ("fields", "framing"),
    [
        (b"", 0),
        (b"Content-Length: 12 \r\n", 12),
        (b"CONTENT-LENGTH: 0\r\n", 0),
        (b"Transfer-Encoding: chunked\r\n", CHUNKED),
        (b"transfer-encoding: gzip, Chunked\r\n", CHUNKED),
    ],
)
def test_request_framing(fields: bytes, framing: int) -> None:
    """Length, chunks, or no body."""
    assert request(b"POST / HTTP/1.1\r\n" + fields + b"\r\n").framing == framing


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"SETUP rtsp://a RTSP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
)
def test_ambiguous_requests_are_malformed(raw: bytes) -> None:
    """What two servers could read in two ways is not read at all."""
    assert isinstance(parse_request(raw), Malformed)


def test_bare_line_feeds_end_lines() -> None:
    """As nginx reads them; the head stays as captured."""
    raw = b"GET / HTTP/1.1\nHost: a\r\n\n"
    head = request(raw)
    assert (head.host, head.raw) == (b"a", raw)
    answer = response(b"HTTP/1.0 200 OK\nContent-Length: 3\n\n")
    assert answer.framing == 3
    assert answer.headers == [(b"Content-Length", b"3")]


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"keep-alive", True),
        (b"1.1", b"Upgrade, Close", False),
        (b"1.0", b"x", False),
        (b"1.0", b"Keep-Alive", True),
    ],
)
def test_whether_the_connection_is_kept(version: bytes, connection: bytes, kept: bool) -> None:
    """The version says, unless the Connection field does."""
    head = request(b"GET / HTTP/%s\r\nConnection: %s\r\n\r\n" % (version, connection))
    assert head.keep_alive == kept


def test_what_a_request_asks_for() -> None:
    """Continue, upgrade, tunnel; and the HTTP/2 preface is recognisable."""
    head = request(b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n")
    assert head.expect_continue
    assert not head.upgrade
    assert request(b"GET / HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").upgrade
    assert request(b"CONNECT a:1 HTTP/1.1\r\n\r\n").upgrade
    assert request(b"PRI * HTTP/2.0\r\n\r\n").method == "PRI"


@pytest.mark.parametrize(
    ("raw", "status", "framing"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", 200, 7),
        (b"HTTP/1.1 200 OK\r\ncontent-length:7 \r\n\r\n", 200, 7),
        (b"HTTP/1.1 200\r\n\r\n", 200, UNTIL_CLOSE),
        (b"HTTP/1.0 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n", 404, CHUNKED),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 200, UNTIL_CLOSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 200, CHUNKED),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", 204, 0),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, 0),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n", 100, 0),
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, 0),
    ],
)
def test_response_framing(raw: bytes, status: int, framing: int) -> None:
    """Status and fields say where the body ends."""
    head = response(raw)
    assert (head.status, head.framing) == (status, framing)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
)
def test_ambiguous_responses_are_malformed(raw: bytes) -> None:
    """What cannot be framed for sure is named so."""
    assert isinstance(parse_response(raw), Malformed)


def test_response_fields_are_split_when_asked_for() -> None:
    """In order, names as sent, values without surrounding space."""
    head = response(b"HTTP/1.1 200 OK\r\nB: x:y \r\na:\tz\r\n\r\n")
    assert head.headers == [(b"B", b"x:y"), (b"a", b"z")]
    assert head.headers is head.headers


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"HTTP/1.1 204 X\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 204 X\r\nCONNECTION: x,  Close\r\n\r\n", False),
        (b"HTTP/1.1 204 X\r\nConnection: x\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.1 204 X\r\nA: connection: close\r\n\r\n", True),
        (b"HTTP/1.0 204 X\r\n\r\n", False),
        (b"HTTP/1.0 204 X\r\nconnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_whether_a_response_keeps_its_connection(raw: bytes, kept: bool) -> None:
    """By its version, unless a Connection field says otherwise."""
    head = parse_response(raw)
    assert isinstance(head, ResponseHead)
    assert head.keep_alive is kept


@given(
    st.sampled_from([b"GET", b"POST", b"PATCH", b"get", b"GE T", b"CONNECT", b"BREW"]),
    st.text(st.characters(max_codepoint=255), max_size=12).map(lambda text: text.encode("latin-1")),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2"]),
    st.lists(
        st.sampled_from(
            [
                *(b"Host: a", b"HOST:b", b"Connection: close", b"Content-Length: 3", b"A:\x01"),
                *(b"Content-Length: 4", b"Transfer-Encoding: chunked", b"Expect: 100-continue"),
                *(b"Upgrade: x\r\nConnection: upgrade", b" folded", b"C: d\nE: f", b"B c"),
            ]
        ),
        max_size=3,
    ),
)
def test_what_is_remembered_changes_nothing(
    method: bytes, target: bytes, version: bytes, fields: list[bytes]
) -> None:
    """A head whose fields were seen before is judged as if it were the first."""
    raw = b"%s /%s %s\r\n%s\r\n\r\n" % (method, target, version, b"\r\n".join(fields))
    if b"\n\n" in raw or b"\n\r\n" in raw[:-1].removesuffix(b"\n\r"):
        return  # more than one head
    seen, alone = parse_request(raw), _parse_request(raw)
    assert type(seen) is type(alone)
    if isinstance(seen, RequestHead) and isinstance(alone, RequestHead):
        for name in RequestHead.__slots__:
            if name not in {"_headers", "shared"}:
                assert getattr(seen, name) == getattr(alone, name), name
        assert seen.headers == alone.headers
