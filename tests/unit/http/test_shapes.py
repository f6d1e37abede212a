"""Shapes of HTTP/1 on the wire, end to end, one case each: the table in docs names them."""

import tracemalloc

import pytest

from shadow_agent.flow.segment import ACK, URG, split_urgent
from shadow_agent.http.exchange import Event, Exchange, FlowUpgraded, Limits
from shadow_agent.http.notes import NOTES
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, Wire, assembler, begun, chunked, drive, ended, response

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EXPECT = b"PUT /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def talk(*parts: tuple[int, bytes]) -> list[Exchange]:
    """The exchanges of these segments, then both FINs; every note is one of the closed set."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), *(wire.segment(*part) for part in parts)]
    exchanges = begun(drive(target, segments + wire.close()))
    assert target.budget.held == 0
    for exchange in exchanges:
        assert set(exchange.notes or ()) <= NOTES
        assert exchange.notes or exchange.response_body_len is not None
    return exchanges


SMUGGLING = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two equal lengths": b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": b"Content-Length: 5, 5\r\n",
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "chunked not last": b"Transfer-Encoding: chunked, gzip\r\n",
    "no chunked": b"Transfer-Encoding: gzip\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n",
    "chunked in two fields": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunked with a parameter": b"Transfer-Encoding: chunked;q=1\r\n",
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "space before colon": b"Transfer-Encoding : chunked\r\n",
    "space before colon, length": b"Content-Length : 5\r\n",
    "plus": b"Content-Length: +5\r\n",
    "hexadecimal": b"Content-Length: 0x5\r\n",
    "negative": b"Content-Length: -5\r\n",
    "underscore": b"Content-Length: 1_0\r\n",
    "two numbers": b"Content-Length: 5 5\r\n",
    "empty length": b"Content-Length:\r\n",
    "overflow 64": b"Content-Length: 18446744073709551616\r\n",
    "overflow 63": b"Content-Length: 9223372036854775808\r\n",
    "folded length": b"Content-Length:\r\n 5\r\n",
    "folded coding": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded host": b"Host: a\r\n b\r\n",
    "fold that hides a length": b"A: b\r\n Content-Length: 5\r\n",
    "bare CR": b"A: b\rContent-Length: 5\r\n",
    "NUL": b"A: \0\r\n",
    "control byte": b"A: \x01\r\n",
    "NUL in a name": b"A\0: b\r\n",
    "no colon": b"Content-Length 5\r\n",
    "no name": b": 5\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_a_smuggling_shape_is_malformed_and_never_replayed(name: str) -> None:
    """No exchange begins, so nothing can be replayed, whole or byte by byte."""
    raw = POST + SMUGGLING[name] + b"\r\n"
    for pieces in ([raw], [bytes([byte]) for byte in raw]):
        wire, target = Wire(), assembler()
        events = drive(target, [*wire.open(), *map(wire.client, pieces)])
        assert not begun(events)
        assert target.requests.malformed == target.requests.started == 1


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.2",
        b"GET / HTTP/1.11",
        b"GET / http/1.1",
        b"GET / HTTP/1.1 x",
        b"GET /a b HTTP/1.1",
        b"GET /\0 HTTP/1.1",
        b"GET a:80 HTTP/1.1",
    ],
)
def test_a_broken_request_line_is_malformed(line: bytes) -> None:
    """Nor is it replayed."""
    wire, target = Wire(), assembler()
    assert not begun(drive(target, [*wire.open(), wire.client(line + b"\r\nHost: a\r\n\r\n")]))
    assert target.requests.malformed == 1


def test_transfer_encoding_in_http_10_is_malformed() -> None:
    """RFC 9112 6.1: its framing is faulty."""
    wire, target = Wire(), assembler()
    raw = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert not begun(drive(target, [*wire.open(), wire.client(raw)]))
    assert target.requests.malformed == 1


@pytest.mark.parametrize("request_", [b"GET /\r\n", b"GET /page.html\n", b"GET / HTTP/0.9\r\n\r\n"])
def test_http_09_is_named(request_: bytes) -> None:
    """Its answer has no head and is not waited for: malformed, at once."""
    wire, target = Wire(), assembler()
    drive(target, [*wire.open(), wire.client(request_), wire.server(b"<html>")])
    assert (target.requests.malformed, target.requests.open) == (1, 0)


@pytest.mark.parametrize(
    ("target", "host"),
    [(b"/a?b", b"a"), (b"http://b/c", b"a"), (b"*", b"a"), (b"/\xc3\xa9", b"a")],
)
def test_forms_of_targets(target: bytes, host: bytes) -> None:
    """Origin, absolute, asterisk, and UTF-8 as sent."""
    request = b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    (exchange,) = talk((0, request), (1, response(b"1")))
    assert (exchange.target, exchange.host) == (target, host)


@pytest.mark.parametrize("method", [b"BREW", b"QUERY", b"X-Y.Z_1", b"VERSION-CONTROL"])
def test_methods_that_nobody_listed(method: bytes) -> None:
    """Any token is a method (RFC 9110 9.1); its body is framed like POST's."""
    body = b" /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    first, second = talk((0, method + body + method + body), (1, response() + response()))
    assert first.method == second.method == method.decode()
    assert first.request_body_len == 3


def test_folding_is_read_and_kept_as_captured() -> None:
    """RFC 9112 5.2, in both directions."""
    request = b"GET / HTTP/1.1\r\nA: b\r\n c\r\nHost: a\r\n\r\n"
    answer = OK + b"X: y\r\n\tz\r\nContent-Length: 1\r\n\r\n1"
    (exchange,) = talk((0, request), (1, answer))
    assert exchange.raw_head == request
    assert (b"A", b"b c") in exchange.request.headers
    assert exchange.response_headers == [(b"X", b"y z"), (b"Content-Length", b"1")]
    assert exchange.response_body == b"1"


def test_bare_line_feeds_and_leading_empty_lines() -> None:
    """RFC 9112 2.2: both are understood, in heads."""
    request = b"\r\n\r\n\nGET / HTTP/1.1\nHost: a\n\n"
    (exchange,) = talk((0, request), (1, b"HTTP/1.1 200 OK\nContent-Length: 1\n\n1"))
    assert (exchange.host, exchange.response_body) == (b"a", b"1")


def test_bare_line_feeds_in_chunks_are_malformed() -> None:
    """Servers disagree about them, and that has been a smuggling vector: never replayed whole."""
    request = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    (exchange,) = talk((0, request + b"1\na\r\n0\r\n\r\n"))
    assert exchange.request_body_len is None
    assert exchange.notes is not None
    assert exchange.notes[0] == "request body: malformed"


def test_extensions_and_trailers() -> None:
    """Read over; the body is what is left."""
    body = b'3;a="b\r"\r\n'
    whole = b"3;a=b;c\r\nabc\r\n0;d\r\nX: y\r\nZ:\r\n\r\n"
    head = b"Transfer-Encoding: chunked\r\n\r\n"
    (exchange,) = talk((0, POST + head + whole), (1, OK + head + whole))
    assert exchange.request_body_len == exchange.response_body_len == 3
    (exchange,) = talk((0, POST + head + body))
    assert exchange.request_body_len is None


def test_long_extensions_and_trailers_are_not_held() -> None:
    """However slowly they come, what matters of them is a few bytes; the limits stay."""
    long = b"3;" + b"x" * 3_000 + b"\r\nabc\r\n0\r\nX: " + b"y" * 3_000 + b"\r\n\r\n"
    raw = POST + b"Transfer-Encoding: chunked\r\n\r\n" + long + GET % 2
    pieces = [(0, raw[at : at + 7]) for at in range(0, len(raw), 7)]
    first, second = talk(*pieces)
    assert first.request_body_len == 3
    assert second.target == b"/2"


@pytest.mark.parametrize("size", [1, 100, 70_000, 200_000])
def test_a_very_long_head_costs_itself_only(size: int) -> None:
    """Oversize; then the next request that provably starts, and its response, are right."""
    head = b"GET /1 HTTP/1.1\r\nA: " + b"x" * 66_000 + b"\r\n\r\n"
    wire, target = Wire(), assembler()
    pieces = [head[at : at + size] for at in range(0, len(head), size)]
    segments = [*wire.open(), *map(wire.client, pieces), wire.server(response(status=431))]
    events = drive(target, [*segments, wire.client(GET % 2), wire.server(response(b"2"))])
    assert target.requests.oversize == 1
    assert [(e.target, e.response_body) for e in ended(events)] == [(b"/2", b"2")]


@pytest.mark.parametrize("waits", [True, False])
def test_100_continue_in_both_orders(waits: bool) -> None:
    """The interim response before the body, or after it."""
    middle = [(1, CONTINUE), (0, b"abcde")]
    if not waits:
        middle.reverse()
    (exchange,) = talk((0, EXPECT), *middle, (1, response(b"1")))
    assert (exchange.status, exchange.request_body_len) == (200, 5)


def test_an_early_answer_and_then_the_body() -> None:
    """With Expect or without: the answer ends the exchange, the body is still the request's."""
    for head in (EXPECT, b"PUT /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"):
        first, second = talk(
            (0, head), (1, response(b"1", status=401)), (0, b"abcde" + GET % 2), (1, response(b"2"))
        )
        assert (first.status, first.request_body_len) == (401, 5)
        assert second.response_body == b"2"


def test_a_refused_expectation() -> None:
    """The client keeps its body to itself and goes on."""
    first, second = talk((0, EXPECT), (1, response(status=417)), (0, GET % 2), (1, response(b"2")))
    assert (first.status, first.request_body_len) == (417, None)
    assert first.notes == ["request body: aborted"]
    assert second.response_body == b"2"


@pytest.mark.parametrize(
    ("request_", "status"),
    [(b"HEAD / HTTP/1.1\r\n\r\n", 200), (GET % 1, 204), (GET % 1, 304)],
)
@pytest.mark.parametrize("fields", [b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_responses_without_body_whatever_their_head_says(
    request_: bytes, status: int, fields: bytes
) -> None:
    """HEAD, 204, 304, and a 1xx before them."""
    early = b"HTTP/1.1 103 Hints\r\n" + fields + b"\r\n"
    answer = b"HTTP/1.1 %d X\r\n%s\r\n" % (status, fields)
    first, second = talk((0, request_), (1, early + answer), (0, GET % 2), (1, response(b"2")))
    assert (first.status, first.response_body_len) == (status, 0)
    assert second.response_body == b"2"


def test_http_10_keep_alive_and_close() -> None:
    """One with a length, one until close."""
    first, second = talk(
        (0, b"GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        (1, b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1"),
        (0, b"GET /2 HTTP/1.0\r\n\r\n"),
        (1, b"HTTP/1.0 200 OK\r\n\r\nab"),
        (1, b"cd"),
    )
    assert (first.version, first.response_body_len, second.response_body_len) == ("1.0", 1, 4)


def test_pipelined_requests_in_one_segment() -> None:
    """Their answers in one segment too."""
    exchanges = talk(
        (0, GET % 1 + GET % 2 + GET % 3), (1, b"".join(map(response, (b"1", b"2", b"3"))))
    )
    assert [exchange.response_body for exchange in exchanges] == [b"1", b"2", b"3"]


def test_a_refused_upgrade_goes_on_as_http() -> None:
    """Only 101 hands the flow over."""
    upgrade = b"GET /1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    first, second = talk((0, upgrade), (1, response(b"no")), (0, GET % 2), (1, response(b"2")))
    assert [first.status, second.response_body] == [200, b"2"]


def test_a_websocket_is_handed_over() -> None:
    """Frames are counted and never read as messages."""
    wire, target = Wire(), assembler()
    upgrade = b"GET /1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    switch = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05"
    segments = [*wire.open(), wire.client(upgrade), wire.server(switch)]
    events = drive(target, [*segments, wire.client(GET % 9), wire.server(response())])
    assert [type(event) for event in events if isinstance(event, FlowUpgraded)] == [FlowUpgraded]
    assert len(begun(events)) == 1
    assert target.segments.not_http_upgraded == 2


def lost(cut: bytes, *, chunks: bool = False) -> list[Event]:
    """Events of two exchanges, where bytes of the first response's body are lost."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1)]
    if chunks:
        body = OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(b"a" * 40, size=20)
    else:
        body = response(b"a" * 40)
    before, after = body.split(cut, 1)
    segments.append(wire.server(before))
    wire.server(cut)
    segments += [wire.server(after), wire.client(GET % 2), wire.server(response(b"2"))]
    return drive(target, segments)


@pytest.mark.parametrize("chunks", [True, False])
def test_a_gap_inside_a_body_costs_that_message_only(chunks: bool) -> None:
    """Known framing: parsing resumes at the next message."""
    first, second = begun(lost(b"a" * 10, chunks=chunks))
    assert (first.status, first.response_body_len) == (200, None)
    assert first.notes == ["response body: gap"]
    assert second.response_body == b"2"


def test_a_gap_in_framing_resynchronises() -> None:
    """At the next message that provably starts."""
    first, second = begun(lost(b"a\r\n14\r\na", chunks=True))
    assert first.notes == ["response body: gap"]
    assert second.response_body == b"2"
    first, second = begun(lost(b"200 X"))
    assert first.notes == ["response: none (gap)"]
    assert second.response_body == b"2"


def test_an_urgent_byte_makes_framing_uncertain() -> None:
    """It may not be part of the body: its length is no guide, the next pair is found anew."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1)]
    whole = response(b"abcdef")
    segments += split_urgent(wire.server(whole, ACK | URG), len(whole))
    segments += [wire.client(GET % 2), wire.server(response(b"2"))]
    first, second = begun([event for segment in segments for event in target.push(segment)])
    assert first.notes == ["response body: gap"]
    assert second.response_body == b"2"


def test_a_capture_that_ends_in_a_response() -> None:
    """Its status is known; a body until close has no end, and a note says why."""
    for answer in (OK + b"\r\nabc", response(b"abc")[:-1]):
        wire, target = Wire(), assembler()
        events = drive(target, [*wire.open(), wire.client(GET % 1), wire.server(answer)])
        events += target.close(Unanswered.DRAINED, wire.now)
        (exchange,) = ended(events)
        assert (exchange.status, exchange.response_body_len) == (200, None)
        assert exchange.notes == ["response body: cut off (drained)"]


def test_a_capture_that_ends_while_something_waits() -> None:
    """It is delivered with its holes before the drain."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1)]
    answer = response(b"abcdef")
    segments.append(wire.server(answer[:-4]))
    wire.server(answer[-4:-2])
    segments.append(wire.server(answer[-2:]))
    events = drive(target, segments) + target.close(Unanswered.DRAINED, wire.now)
    (exchange,) = ended(events)
    assert (exchange.status, exchange.notes) == (200, ["response body: gap"])


def test_a_request_that_is_never_answered() -> None:
    """Status null, with the reason; its own cut-off body too."""
    (exchange,) = talk((0, POST + b"Content-Length: 9\r\n\r\nabc"))
    assert (exchange.status, exchange.request_body_len) == (None, None)
    assert exchange.notes == ["request body: aborted", "response: none (server closed)"]


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n1",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1",
        OK + b"Content-Length: x\r\n\r\n",
        OK + b"Content-Length: 9223372036854775808\r\n\r\n",
        OK + b"A: \0\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 99 X\r\n\r\n",
    ],
)
def test_a_response_that_no_client_understands(answer: bytes) -> None:
    """Named; the next pair is right."""
    first, second = talk((0, GET % 1), (1, answer), (0, GET % 2), (1, response(b"2")))
    assert first.unanswered is Unanswered.MALFORMED
    assert first.notes == ["response: none (malformed)"]
    assert second.response_body == b"2"


def test_a_response_that_every_client_understands() -> None:
    """Equal lengths, white space before a colon, no reason phrase."""
    for fields in (b"Content-Length: 1\r\nContent-Length: 1\r\n", b"Content-Length : 1\r\n"):
        (exchange,) = talk((0, GET % 1), (1, b"HTTP/1.1 200\r\n" + fields + b"\r\n1"))
        assert exchange.response_body == b"1"


def test_a_head_in_a_thousand_segments_is_read() -> None:
    """Byte by byte, at the limit of what a head may be."""
    head = b"GET /1 HTTP/1.1\r\nA: " + b"x" * 979 + b"\r\n\r\n"
    wire, target = Wire(), assembler(limits=Limits(max_head=len(head)))
    events = drive(target, [*wire.open(), *[wire.client(bytes([byte])) for byte in head]])
    assert [exchange.raw_head for exchange in begun(events)] == [head]
    assert target.budget.unfinished_heads == 0


def test_a_gibibyte_streams_through() -> None:
    """Whatever a body's size, what is held of it is nothing."""
    wire, target = Wire(), assembler()
    piece, pieces = bytes(1 << 20), 1 << 10
    head = OK + b"Content-Length: %d\r\n\r\n" % (len(piece) * pieces)
    drive(target, [*wire.open(), wire.client(GET % 1), wire.server(head)])
    held = target.budget.held
    tracemalloc.start()
    events: list[Event] = []
    for _ in range(pieces):
        assert target.budget.held == held
        events += target.push(wire.server(piece))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(piece)
    (exchange,) = ended(events)
    assert exchange.response_body_len == 1 << 30
