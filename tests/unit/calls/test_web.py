"""HTTP/1 calls."""

from __future__ import annotations

import pytest

from shadow_agent.calls.call import Body, Call, Protocol
from shadow_agent.calls.web import WebReader
from tests.unit.calls.pieces import calls_of

KEY = b"k" * 32


def _hash(data: bytes) -> str | None:
    body = Body(KEY)
    body.add(data)
    return body.digest()


def _calls(data: bytes) -> list[Call]:
    return calls_of(lambda: WebReader(KEY), data)


def test_a_request() -> None:
    """Method, host without port, path without query, size and hash of the body."""
    data = (
        b"POST /v1/x?token=secret HTTP/1.1\r\nHost: Pay.example:80\r\nContent-Length: 3\r\n\r\nabc"
    )
    assert _calls(data) == [
        Call(
            Protocol.HTTP, "POST", "pay.example", "/v1/x", query=True, size=3,
            body_hash=_hash(b"abc"),
        )
    ]  # fmt: skip


def test_requests_in_a_row() -> None:
    """Pipelined, chunked, absolute form."""
    data = (
        b"GET /a?q HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        b"GET /b HTTP/1.1\r\n\r\n"
        b"POST http://b:8080/c HTTP/1.1\r\nHost: lie\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\n\r\n"
    )
    found = _calls(data)
    assert [(one.method, one.host, one.path, one.query, one.size) for one in found] == [
        ("GET", "a", "/a", True, 1),
        ("GET", "", "/b", False, 0),
        ("POST", "b:8080", "/c", False, 2),
    ]
    assert found[2].body_hash == _hash(b"hi")


def test_a_request_that_is_cut_is_a_call() -> None:
    """It was attempted; the hash of half a body says nothing."""
    (found,) = _calls(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc")
    assert (found.path, found.size, found.complete, found.body_hash) == ("/p", 3, False, None)


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/9.9.9\r\n\r\n", b"GET /" + b"a" * 70_000],
    ids=["malformed", "endless head"],
)
def test_no_http_is_told_once(data: bytes) -> None:
    """As malformed; what follows is not parsed."""
    reader = WebReader(KEY)
    assert reader.feed(data) == []
    assert reader.malformed
    assert reader.feed(b"GET / HTTP/1.1\r\n\r\n") == []


def test_expectations_and_keep_alive() -> None:
    """What a server has to know to answer."""
    for fields, expects, keep_alive in (
        ("", False, True),
        ("Expect: some\r\n", False, True),
        ("Expect: 100-continue\r\n", True, True),
        ("Connection: close\r\n", False, False),
    ):
        reader = WebReader(KEY)
        reader.feed(f"POST / HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: 1\r\n\r\n".encode())
        assert reader.expects == expects
        reader.feed(b"x")
        assert reader.keep_alive == keep_alive


def test_nothing_follows_an_upgrade() -> None:
    """What comes behind it is another protocol's."""
    reader = WebReader(KEY)
    (call,) = reader.feed(b"GET /ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert (call.path, reader.keep_alive) == ("/ws", False)
