"""The PROXY preamble: whole, cut anywhere, malformed, and what follows it."""

import pytest

from shadow_agent.http.exchange import Event, Exchange, FlowClosed
from shadow_agent.http.preamble import MAX_V1, MAX_V2, NoPreamble, Origin, read_preamble
from tests.property.wire import GET, Wire, assembler, begun, drive, response

V2 = b"\r\n\r\n\0\r\nQUIT\n"
MAPPED = bytes(10) + b"\xff\xff"
V1 = b"PROXY TCP4 203.0.113.9 198.51.100.7 56324 80\r\n"


def v2(command: int, family: int, body: bytes) -> bytes:
    """A version 2 preamble."""
    return V2 + bytes([command, family]) + len(body).to_bytes(2, "big") + body


TCP4 = v2(0x21, 0x11, bytes([203, 0, 113, 9, 198, 51, 100, 7]) + b"\xdc\x04\0\x50")
TCP6 = v2(0x21, 0x21, bytes(range(16)) + bytes(16) + b"\0\x07\0\x50" + b"\x04\0\1x")
CASES = {
    "v1 tcp4": (V1, MAPPED + bytes([203, 0, 113, 9]), 56_324),
    "v1 tcp6": (b"PROXY TCP6 2001:db8::9 ::1 1 2\r\n", b"\x20\x01\r\xb8" + bytes(11) + b"\x09", 1),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None, 0),
    "v1 unknown with more": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, 0),
    "v2 tcp4": (TCP4, MAPPED + bytes([203, 0, 113, 9]), 56_324),
    "v2 tcp6 with tlv": (TCP6, bytes(range(16)), 7),
    "v2 local": (v2(0x20, 0, b""), None, 0),
    "v2 unspecified": (v2(0x21, 0, b"abc"), None, 0),
    "v2 unix": (v2(0x21, 0x31, bytes(216)), None, 0),
    "v2 udp": (v2(0x21, 0x12, bytes(12)), None, 0),
}


def read(*pieces: bytes, opened: bool = True) -> tuple[list[Exchange], list[Event], int]:
    """Exchanges, events and packets that are not HTTP, of a flow with these request segments."""
    wire, target = Wire(), assembler()
    segments = wire.open() if opened else []
    events = drive(target, [*segments, *map(wire.client, pieces), wire.server(response(b"1"))])
    return begun(events), events, target.segments.not_http_other


@pytest.mark.parametrize("name", CASES)
def test_a_preamble_is_read_and_what_follows_is_a_request(name: str) -> None:
    """In one segment or in many, cut anywhere: the same client on every exchange."""
    raw, address, port = CASES[name]
    flow = MAPPED + bytes([192, 0, 2, 1]), 40_000
    said = flow if address is None else (address, port)
    wire = raw + GET % 1
    cuts = [1, 5, 6, 11, 12, 13, 15, 16, 17, len(raw) - 1, len(raw), len(raw) + 1]
    pieces = [[wire], [bytes([byte]) for byte in wire]]
    pieces += [[wire[:cut], wire[cut:]] for cut in cuts if cut < len(wire)]
    for cut in pieces:
        (exchange,), _, _ = read(*cut)
        assert exchange.client == said
        assert exchange.preamble == raw
        assert exchange.raw_head == GET % 1
        assert exchange.status == 200


def test_every_exchange_of_the_flow_shares_it() -> None:
    """One object; without a preamble the client is the flow's remote end."""
    (first, second), _, _ = read(V1, GET % 1, GET % 2)
    assert first.origin is second.origin
    (plain,), _, _ = read(GET % 1)
    assert plain.client == (MAPPED + bytes([192, 0, 2, 1]), 40_000)
    assert plain.preamble == b""


def test_a_file_may_begin_with_it() -> None:
    """No SYN, but the flow's first bytes are a preamble."""
    for raw in (V1, TCP4, TCP6):
        (exchange,), _, _ = read(raw + GET % 1, opened=False)
        assert exchange.preamble == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"PROXY TCP4 203.0.113.9 198.51.100.7 56324\r\n",
        b"PROXY TCP4 203.0.113.999 198.51.100.7 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 198.51.100.7 1 65536\r\n",
        b"PROXY TCP4 203.0.113.9 198.51.100.7 -1 2\r\n",
        b"PROXY  TCP4\r\n",
        b"PROXY UDP4 203.0.113.9 198.51.100.7 1 2\r\n",
        b"PROXY \xff\r\n",
        b"PROXY " + b"x" * MAX_V1,
        v2(0x22, 0x11, bytes(12)),
        v2(0x11, 0x11, bytes(12)),
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x41, bytes(99)),
        v2(0x21, 0x11, bytes(MAX_V2)),
    ],
)
def test_a_malformed_one_is_not_http(raw: bytes) -> None:
    """The flow is left alone, counted as other, and nothing is replayed of it."""
    exchanges, events, _ = read(raw, GET % 1)
    assert not exchanges
    assert [type(event) for event in events][-1] is FlowClosed
    with pytest.raises(NoPreamble):
        read_preamble(raw)


def test_what_only_begins_like_one_is_read_as_it_is() -> None:
    """POST, PUT, an empty line: byte by byte they look like a preamble first."""
    for wire in (b"POST / HTTP/1.1\r\n\r\n", b"\r\n\r\nGET / HTTP/1.1\r\n\r\n"):
        (exchange,), _, _ = read(*[bytes([byte]) for byte in wire])
        assert exchange.origin is None


@pytest.mark.parametrize(
    ("follows", "name"),
    [(b"\x16\x03\x01", "tls"), (b"PRI * HTTP/2.0\r\n\r\n", "h2"), (b"\0\1", "other")],
)
def test_what_follows_is_classified_again(follows: bytes, name: str) -> None:
    """In the same segment or in the next."""
    for pieces in ([V1 + follows], [V1, follows], [TCP4[:20], TCP4[20:] + follows]):
        wire, target = Wire(), assembler()
        drive(target, [*wire.open(), *map(wire.client, pieces), wire.server(b"x")])
        assert target.segments.as_dict()["not_http"] == {name: 1}
        assert target.requests.started == 0


def test_bytes_that_are_missing_inside_it() -> None:
    """Who the client is stays unknown; the next request that provably starts is read."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(V1[:9])]
    wire.client(V1[9:])
    events = drive(target, [*segments, wire.server(b""), wire.client(GET % 2)])
    wire.server(b"x")
    events += drive(target, [wire.client(GET % 3)])
    assert [exchange.origin for exchange in begun(events)] == [None] * 2
    assert target.budget.held >= 0


def test_an_end_inside_it() -> None:
    """The connection closes before it is whole."""
    wire, target = Wire(), assembler()
    drive(target, [*wire.open(), wire.client(V1[:9]), *wire.close()])
    assert target.budget.held == target.budget.unfinished_heads == 0


def test_an_origin_is_a_value() -> None:
    """Equal when it says the same."""
    assert read_preamble(V1) == Origin(V1, MAPPED + bytes([203, 0, 113, 9]), 56_324)
    assert read_preamble(b"PRO") is None
    with pytest.raises(NoPreamble):
        read_preamble(b"GET")
