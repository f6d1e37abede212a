"""Requests from their first byte to their outcome."""

import pytest

from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import ACK, FIN
from shadow_agent.http.counts import RequestOutcome
from shadow_agent.http.exchange import Event, Limits, RequestBodySeen, RequestEnded, RequestHeadSeen
from tests.property.wire import GET, Wire, assembler, begun, drive, response

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def outcomes(events: list[Event]) -> list[RequestOutcome]:
    """How the requests with a head ended."""
    return [event.outcome for event in events if isinstance(event, RequestEnded)]


def bodies(events: list[Event]) -> bytes:
    """Body bytes as captured."""
    return b"".join(event.raw for event in events if isinstance(event, RequestBodySeen))


@pytest.mark.parametrize("size", [1, 10, 1_000])
def test_events_tell_the_request_as_captured(size: int) -> None:
    """Head, body with its chunk framing, end; length and hash are of what it decodes to."""
    wire, target = Wire(), assembler()
    data = CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    events = drive(target, [*wire.open(), *map(wire.client, pieces)])
    assert isinstance(events[0], RequestHeadSeen)
    assert bodies(events) == b"3\r\nabc\r\n0\r\n\r\n"
    assert outcomes(events) == [RequestOutcome.COMPLETE]
    (exchange,) = begun(events)
    assert exchange.request_body_len == 3
    assert exchange.request_started_ts == 3_000
    assert exchange.request_ended_ts == wire.now


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GET / HTTP/1.1\r\nA b\r\n\r\n", "malformed"),
        (b"GET / HTTP/9.9\r\n\r\n", "malformed"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 200, "oversize"),
    ],
)
def test_heads_that_fail_are_counted_without_an_exchange(data: bytes, name: str) -> None:
    """Started, with an outcome, but no head; the next request that begins a segment is read."""
    wire, target = Wire(), assembler(limits=Limits(max_head=100))
    events = drive(target, [*wire.open(), wire.client(data), wire.client(GET % 2)])
    counts = target.requests.as_dict()
    assert counts[name] == 1
    assert counts["heads"] == 1
    assert counts["started"] == 2
    assert begun(events)[0].target == b"/2"


def test_bytes_that_never_become_a_request_are_not_held() -> None:
    """No method begins like this, so the flow does not wait for the end of a head."""
    wire, target = Wire(), assembler()
    drive(target, [*wire.open(), wire.client(GET % 1), wire.client(b"garbage")])
    assert target.requests.malformed == 1


def test_broken_chunks_end_the_request() -> None:
    """Malformed after its head: the exchange says so."""
    wire, target = Wire(), assembler()
    events = drive(target, [*wire.open(), wire.client(CHUNKED + b"zz\r\n")])
    assert outcomes(events) == [RequestOutcome.MALFORMED]
    assert begun(events)[0].notes == ["request body: malformed"]


def test_a_gap_in_a_body_costs_that_request_only() -> None:
    """It is told at once; the next request and both responses are fine."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(POST % 9 + b"abc"), wire.client(b"def", cut=1)]
    events = drive(target, segments)
    assert outcomes(events) == [RequestOutcome.GAP]
    rest = [wire.client(b"ghi"), wire.server(response()), wire.client(GET % 2)]
    events += drive(target, [*rest, wire.server(response())])
    assert bodies(events) == b"abcde"
    assert outcomes(events) == [RequestOutcome.GAP, RequestOutcome.COMPLETE]
    assert [exchange.answered for exchange in begun(events)] == [True, True]
    assert begun(events)[0].request_body_len is None
    assert target.requests.unexplained_gaps == 0


def test_a_lost_fin_hides_no_request() -> None:
    """The service acknowledged one byte more than the client's requests have."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1), wire.server(response(b"1"))]
    wire.client(b"", flags=FIN | ACK)
    segments.append(wire.server(b"", flags=FIN | ACK))
    drive(target, segments)
    assert target.requests.unexplained_gaps == 0
    assert target.requests.started == target.requests.complete == 1


def test_a_gap_between_requests_is_unexplained() -> None:
    """Requests may hide in it: counted, and the next pair still is right."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1), wire.server(response(b"1"))]
    wire.client(GET % 2)
    segments += [wire.server(response(b"2")), wire.client(GET % 3), wire.server(response(b"3"))]
    exchanges = begun(drive(target, segments))
    assert [(e.target, e.response_body) for e in exchanges] == [(b"/1", b"1"), (b"/3", b"3")]
    assert target.requests.unexplained_gaps == 1
    assert target.requests.gap == 0


def test_a_gap_in_a_head_is_a_lost_request() -> None:
    """Started and lost, with no exchange; a body that looks like a request start is not read."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET[:9] % 1)]
    wire.client(b"lost")
    segments += [wire.client(b"rest\r\n\r\n"), wire.server(response())]
    drive(target, segments)
    assert target.requests.gap == 1
    assert target.requests.heads == 0


def test_what_the_end_of_the_connection_leaves() -> None:
    """Closed in the middle is aborted, evicted is evicted."""
    wire, target = Wire(), assembler(FlowLimits(idle_ns=10**9))
    drive(target, [*wire.open(), wire.client(POST % 9), *wire.close()])
    other = Wire(7)
    drive(target, [*other.open(), other.client(POST % 9)])
    events = target.expire(10**10)
    assert outcomes(events) == [RequestOutcome.EVICTED]
    assert (target.requests.aborted, target.requests.evicted) == (1, 1)


def test_a_refused_expectation_keeps_its_body() -> None:
    """After a final answer to Expect: 100-continue the next request may come at once."""
    wire, target = Wire(), assembler()
    expect = b"PUT /1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n"
    segments = [*wire.open(), wire.client(expect), wire.server(response(b"", status=417))]
    segments += [wire.client(GET % 2), wire.server(response(b"2"))]
    events = drive(target, segments)
    assert outcomes(events) == [RequestOutcome.ABORTED, RequestOutcome.COMPLETE]
    assert [exchange.status for exchange in begun(events)] == [417, 200]


def test_the_http2_preface_in_pieces_is_known() -> None:
    """The flow table sees its first bytes only; the head says it."""
    wire, target = Wire(), assembler()
    drive(
        target, [*wire.open(), wire.client(b"PRI * HT"), wire.client(b"TP/2.0\r\n\r\nSM\r\n\r\n")]
    )
    drive(target, [wire.client(b"more")])
    assert target.segments.not_http_h2 == 1
    assert target.requests.malformed == 1


def test_empty_lines_between_requests_are_no_requests() -> None:
    """Some clients send CRLF after a body."""
    wire, target = Wire(), assembler()
    drive(target, [*wire.open(), wire.client(b"\r\n" + GET % 1 + b"\r\n"), wire.client(GET % 2)])
    assert target.requests.started == target.requests.complete == 2


def test_a_tunnels_bytes_are_never_read_as_requests() -> None:
    """What follows a CONNECT is skipped until it is refused: it may be anybody's protocol."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(b"CONNECT a:80 HTTP/1.1\r\n\r\n"), wire.client(GET % 1)]
    assert len(begun(drive(target, segments))) == 1
    events = drive(target, [wire.server(response(status=403)), wire.client(GET % 2)])
    assert [exchange.target for exchange in begun(events)] == [b"/2"]
    assert target.requests.unexplained_gaps == 1  # had it been a request, it was lost


def test_requests_that_nobody_can_tell_from_a_body_are_lost_by_name() -> None:
    """A gap breaks a chunked body's framing; what is pipelined behind it begins in mid-segment."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(CHUNKED + b"5\r\nhello\r\n5", cut=3)]
    segments += [wire.client(b"\r\nworld\r\n0\r\n\r\n" + GET % 1 + GET % 2), wire.client(GET % 3)]
    assert [exchange.target for exchange in begun(drive(target, segments))] == [b"/", b"/3"]
    assert target.requests.gap == 1
    assert target.requests.unexplained_gaps == 2
