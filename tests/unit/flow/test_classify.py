"""What first bytes say."""

import pytest

from shadow_agent.flow.classify import (
    PROXY_V2,
    classify,
    is_preamble,
    starts_flow,
    starts_request,
    starts_response,
)
from shadow_agent.telemetry.reasons import NotHttp


@pytest.mark.parametrize(
    "payload",
    [
        b"GET / HTTP/1.1\r\n",
        b"M-SEARCH * HTTP/1.1",
        b"GET http://a/ HTTP/1.1",
        b"CONNECT a:443 HTTP/1.1",
        b"CONNECT [::1]:443 HTTP/1.1",
        b"\r\n\r\nPOST /x HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
    ],
)
def test_a_request_is_known_in_mid_connection(payload: bytes) -> None:
    """A method and the start of a target begin a request."""
    assert starts_request(payload)
    assert classify(payload) is None


@pytest.mark.parametrize(
    "payload",
    [b"", b"GET", b"get / HTTP/1.1", b"A / HTTP/1.1", b"GET x", b" GET /", b"HELLO WORLD", b"\x16"],
)
def test_other_bytes_begin_no_request(payload: bytes) -> None:
    """In mid-connection only what certainly begins a request counts."""
    assert not starts_request(payload)


@pytest.mark.parametrize("payload", [b"G", b"GET", b"GET ", b"GET x", b"\r", b"\r\n", b"\r\nG"])
def test_first_bytes_may_be_cut(payload: bytes) -> None:
    """After a SYN, what may still become a request is taken for one."""
    assert classify(payload) is None


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"\x16\x03\x01\x02\x00", NotHttp.TLS),
        (b"\x16", NotHttp.TLS),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NotHttp.H2),
        (b"SSH-2.0-OpenSSH\r\n", NotHttp.OTHER),
        (b"\x00\x01", NotHttp.OTHER),
        (b"get / HTTP/1.1\r\n", NotHttp.OTHER),
    ],
)
def test_other_protocols_are_named(payload: bytes, kind: NotHttp) -> None:
    """TLS and HTTP/2 have names of their own; all else is other."""
    assert classify(payload) is kind


def test_a_response_is_known() -> None:
    """A status line of HTTP/1 begins a response."""
    assert starts_response(b"HTTP/1.1 200 OK")
    assert not starts_response(b"HTTP/2")


@pytest.mark.parametrize("whole", [b"PROXY TCP4 1", b"PROXY UNKNOWN\r\n", PROXY_V2 + b"\x21"])
def test_a_preamble_may_come_first(whole: bytes) -> None:
    """Cut anywhere it may be HTTP; whole it begins a flow, and no request."""
    for size in range(1, len(whole)):
        assert classify(whole[:size]) is None
        assert is_preamble(whole[:size])
    assert starts_flow(whole)
    assert not starts_request(whole)
    assert not is_preamble(b"POST")
