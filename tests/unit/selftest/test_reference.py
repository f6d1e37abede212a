"""The reference reader, whole, byte by byte and with more behind."""

from __future__ import annotations

import pytest

from shadow_agent.selftest.reference import Message, Reader

REQUESTS = (
    b"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    b"POST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=1\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n"
)
RESPONSES = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    b"HTTP/1.0 200 OK\r\n\r\nto the end"
)


def _read(reader: Reader, data: bytes, size: int) -> list[Message]:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [message for part in parts for message in reader.feed(part)]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_requests(size: int) -> None:
    """Each body by its own framing."""
    reader = Reader()
    messages = _read(reader, REQUESTS, size)
    assert [(m.method, m.target, m.body) for m in messages] == [
        ("GET", "/a", b""), ("POST", "/b", b"abc"), ("PUT", "/c", b"abcd"),
    ]  # fmt: skip
    assert reader.idle


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_responses(size: int) -> None:
    """What has no body whatever its fields say, and what ends with the connection."""
    reader = Reader(responses=True)
    reader.methods.extend(["HEAD", "GET", "GET", "GET"])
    messages = _read(reader, RESPONSES, size)
    assert [(m.status, m.body) for m in messages] == [
        (100, b""), (200, b""), (204, b""), (200, b"hi"),
    ]  # fmt: skip
    assert not reader.idle
    last = reader.eof()
    assert last is not None
    assert last.body == b"to the end"
    assert reader.eof() is None
