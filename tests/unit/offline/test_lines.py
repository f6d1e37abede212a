"""Exchanges as JSON lines."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.counts import RequestOutcome
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead
from shadow_agent.http.preamble import Origin
from shadow_agent.offline import lines
from shadow_agent.offline.lines import LineFormatter, quoted

KEY = flow_key("192.0.2.1", 40_000, "2001:db8::7", 80)
EMPTY = hashlib.sha256().hexdigest()
KEYS = [
    *("flow", "method", "target", "host", "version", "request_body_len", "request_body_sha256"),
    *("status", "response_body_len", "response_body_sha256"),
    *("request_ts", "first_byte_us", "last_byte_us", "notes"),
]


def exchange(
    target: bytes = b"/", host: bytes | None = b"a", method: str = "GET", key: bytes = KEY
) -> Exchange:
    """Whose request is complete, and unanswered."""
    head = RequestHead(b"", method, target, "1.1")
    head.host = host
    made = Exchange(1, key, "s", head, 1_700_000_000_123_456_789, 0, 0)
    made.request_outcome = RequestOutcome.COMPLETE
    made.request_body_len = 0
    made.request_ended_ts = made.request_started_ts + 1_000
    return made


def answered(
    made: Exchange, body: bytes = b"", first: int = 51_234, last: int = 62_001
) -> Exchange:
    """With an answer that begins and ends so many ns after the request's end."""
    assert made.request_ended_ts is not None
    made.response = ResponseHead(b"", 200, len(body))
    made.answered = True
    made.response_first_ts = made.request_ended_ts + first
    made.response_last_ts = made.request_ended_ts + last
    made.set_response_body(len(body), body, None)
    return made


def read(made: Exchange) -> dict[str, Any]:
    """The line of it, as a program reads it."""
    line = LineFormatter().line(made)
    assert line.endswith(b"}\n")
    assert line.isascii()
    found: dict[str, Any] = json.loads(line)
    return found


def test_every_key_in_order() -> None:
    """Exactly those of the contract."""
    found = read(answered(exchange(b"/a?b=c", b"example.org:80"), b"hello"))
    assert list(found) == KEYS
    assert found == {
        "flow": "192.0.2.1:40000 > [2001:db8::7]:80",
        "method": "GET",
        "target": "/a?b=c",
        "host": "example.org:80",
        "version": "1.1",
        "request_body_len": 0,
        "request_body_sha256": EMPTY,
        "status": 200,
        "response_body_len": 5,
        "response_body_sha256": hashlib.sha256(b"hello").hexdigest(),
        "request_ts": pytest.approx(1_700_000_000.123456789),
        "first_byte_us": 51.234,
        "last_byte_us": 62.001,
        "notes": [],
    }


def test_bodies_of_every_size() -> None:
    """Empty, remembered, and too large to be; of requests too."""
    for size in (0, 1, lines._CACHED_BYTES, lines._CACHED_BYTES + 1, 20_000):
        body = b"x" * size
        made = exchange()
        made.set_request_body(size, body, None)
        found = read(answered(made, body))
        digest = hashlib.sha256(body).hexdigest()
        assert (found["request_body_len"], found["request_body_sha256"]) == (size, digest)
        assert (found["response_body_len"], found["response_body_sha256"]) == (size, digest)
    streamed = exchange()
    streamed.set_request_body(7, None, hashlib.sha256(b"7 bytes").digest())
    assert read(streamed)["request_body_sha256"] == hashlib.sha256(b"7 bytes").hexdigest()


def test_what_is_unknown_is_null() -> None:
    """With the reasons in notes, one a string."""
    made = exchange(host=None)
    made.request_body_len = None
    made.request_ended_ts = None
    made.note("request body: gap")
    made.note('response: "none"')
    found = read(made)
    unknown = [name for name, value in found.items() if value is None]
    assert unknown == [*KEYS[3:4], *KEYS[5:10], *KEYS[11:13]]
    assert found["notes"] == ["request body: gap", 'response: "none"']


def test_an_early_answer_took_no_time() -> None:
    """It began before the request had ended."""
    found = read(answered(exchange(), first=-5_000, last=999))
    assert (found["first_byte_us"], found["last_byte_us"]) == (0.0, 0.999)


def test_times_are_exact_to_the_nanosecond() -> None:
    """As they are written: a float would have rounded them."""
    line = LineFormatter().line(answered(exchange(), first=1_000_000_001, last=1_000_000_001))
    assert b'"request_ts":1700000000.123456789,"first_byte_us":1000000.001,' in line
    made = exchange()
    made.request_started_ts = -1_500_000_000
    assert b'"request_ts":-1.500000000,' in LineFormatter().line(made)


def test_nothing_drives_a_terminal() -> None:
    """Every byte arrives as Latin-1, and what is no printable ASCII only as an escape."""
    whole = bytes(range(256))
    line = LineFormatter().line(exchange(whole, whole, whole.decode("latin-1")))
    assert not any(byte < 0x20 or byte > 0x7E for byte in line[:-1])
    assert b"\\u007f\\u0080" in line
    assert b"\\u009f" in line
    found = json.loads(line)
    assert found["target"] == found["host"] == found["method"] == whole.decode("latin-1")


@given(st.binary(max_size=300))
def test_a_quoted_string_is_json(raw: bytes) -> None:
    """Whatever the bytes."""
    assert json.loads(b'"%b"' % quoted(raw)) == raw.decode("latin-1")


@pytest.mark.parametrize(
    ("origin", "client"),
    [
        (Origin(b"", b"\0" * 10 + b"\xff\xff\xcb\0\x71\x05", 5), "203.0.113.5:5"),
        (Origin(b"", b"\0" * 10 + b"\xff\xff\xc0\0\x02\x01", 40_000), None),  # its own
        (Origin(b"", None, 0), None),
    ],
)
def test_the_client_of_a_preamble(origin: Origin, client: str | None) -> None:
    """Only when it is another than the flow's end."""
    made = exchange()
    made.origin = origin
    found = read(made)
    assert found.get("client") == client
    assert list(found) == KEYS + (["client"] if client else [])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many flows, hosts, methods and bodies, and however long: the lines stay right."""
    monkeypatch.setattr(lines, "_CACHED", 4)
    formatter = LineFormatter()
    for number in range(20):
        port = number.to_bytes(2, "big")
        name = b"h%d" % number
        made = answered(exchange(host=name, method=f"M{number}", key=KEY[:32] + port + KEY[34:]))
        body = b"b%d" % number
        made.set_response_body(len(body), body, None)
        found = json.loads(formatter.line(made))
        assert (found["host"], found["method"]) == (f"h{number}", f"M{number}")
        assert found["flow"].startswith(f"192.0.2.1:{number} >")
        assert found["response_body_sha256"] == hashlib.sha256(body).hexdigest()
        formatter.line(exchange(host=b"x" * 1000))
    for cache in (formatter._flows, formatter._hosts, formatter._methods, formatter._bodies):
        assert len(cache) <= 4
        assert all(len(key) <= 256 for key in cache if key is not None)
