"""Responses, each to the exchange it answers."""

import pytest

from shadow_agent.http.exchange import Event, Exchange, FlowClosed, FlowUpgraded, Limits
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, Wire, assembler, begun, chunked, drive, ended, response

HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
CONNECT = b"CONNECT a:1 HTTP/1.1\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\n\r\n"


def one(
    *parts: bytes, request: bytes = GET % 1, close: bool = False
) -> tuple[Exchange, list[Event]]:
    """The exchange of one request and these response segments."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(request), *map(wire.server, parts)]
    events = drive(target, segments + (wire.close() if close else []))
    return begun(events)[0], events


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (response(b"body"), b"body"),
        (response(b""), b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"body"), b"body"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" + response(b"x"), b"x"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", b""),
    ],
)
def test_a_response_ends_where_it_ends(wire: bytes, body: bytes) -> None:
    """Whole, byte by byte, and with the next response behind it."""
    for parts in ([wire], [bytes([byte]) for byte in wire]):
        exchange, events = one(*parts)
        assert exchange.answered
        assert exchange.response_body == body or exchange.response_body_len == len(body)
        assert exchange.notes is None
        assert ended(events) == [exchange]
    exchange, events = one(wire + response(b"2"), request=GET % 1 + GET % 2)
    assert [e.response_body_len for e in ended(events)] == [len(body), 1]


def test_a_response_to_head_has_no_body() -> None:
    """Whatever its fields say; the next response is not eaten."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    _, events = one(head, response(b"2"), request=HEAD + GET % 2)
    assert [exchange.response_body for exchange in ended(events)] == [b"", b"2"]


@pytest.mark.parametrize(
    ("limit", "kind", "kept"),
    [(0, b"json", None), (8, b"json", None), (9, b"text", None), (9, b"json", b"some body")],
)
def test_an_answer_in_pieces_is_kept_for_aliases(
    limit: int, kind: bytes, kept: bytes | None
) -> None:
    """Whole or not at all, if it is JSON; what is held meanwhile counts."""
    wire, target = Wire(), assembler(limits=Limits(max_kept_answer=limit))
    drive(target, [*wire.open(), wire.client(GET % 1)])
    before = target.budget.held
    head = b"HTTP/1.1 200 X\r\nContent-Type: %s\r\nContent-Length: 9\r\n\r\n" % kind
    drive(target, [wire.server(head), wire.server(b"some")])
    assert target.budget.held - before == (4 if limit and kind == b"json" else 0)
    (exchange,) = ended(drive(target, [wire.server(b" body")]))
    assert exchange.response_kept == kept


def test_times_are_those_of_first_and_last_byte() -> None:
    """The final response's, not an interim one's."""
    exchange, _ = one(b"HTTP/1.1 100 Continue\r\n\r\n", *response(b"abc").partition(b"\r\n"))
    assert exchange.request_ended_ts == 3_000
    assert exchange.response_first_ts == 5_000
    assert exchange.response_last_ts == 7_000


def test_a_body_until_close_ends_with_it() -> None:
    """FIN completes it; the last byte's time is the data's, not the FIN's."""
    exchange, _ = one(STREAM + b"a", b"b", close=True)
    assert exchange.response_body_len == 2
    assert exchange.response_last_ts == 5_000


def test_cut_off_bodies_are_unknown() -> None:
    """Status and first byte are known, the body is not, and a note says why."""
    exchange, _ = one(response(b"abcdef")[:-2], close=True)
    assert exchange.answered
    assert exchange.status == 200
    assert exchange.response_body_len is None
    assert exchange.response_body_sha256 is None
    assert exchange.notes == ["response body: cut off (fin)"]


def test_a_reset_body_until_close_is_unknown() -> None:
    """Only a FIN says that it was all."""
    wire, target = Wire(), assembler()
    events = drive(
        target, [*wire.open(), wire.client(GET % 1), wire.server(STREAM + b"a"), wire.reset(1)]
    )
    assert begun(events)[0].notes == ["response body: cut off (rst)"]


@pytest.mark.parametrize(
    ("direction", "reason"), [(0, Unanswered.CLIENT_ABORTED), (1, Unanswered.SERVER_CLOSED)]
)
def test_who_reset_is_to_blame(direction: int, reason: Unanswered) -> None:
    """Before the response's head was complete."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1), wire.server(b"HTTP/1.1 2")]
    events = drive(target, [*segments, wire.reset(direction)])
    assert [exchange.unanswered for exchange in ended(events)] == [reason]
    assert type(events[-1]) is FlowClosed


def test_a_server_that_closes_answers_nothing_more() -> None:
    """Also a request that comes after its FIN."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1), wire.segment(1, flags=17)]
    segments += [wire.client(GET % 2), wire.segment(0, flags=17)]
    events = drive(target, segments)
    assert [exchange.unanswered for exchange in ended(events)] == [Unanswered.SERVER_CLOSED] * 2


@pytest.mark.parametrize(
    "data", [b"garbage", b"HTTP/1.1 20x\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200]
)
def test_malformed_responses_are_named(data: bytes) -> None:
    """The next exchange of a client that does not pipeline is read again."""
    wire, target = Wire(), assembler(limits=Limits(max_head=100))
    segments = [*wire.open(), wire.client(GET % 1), wire.server(data)]
    events = drive(target, [*segments, wire.client(GET % 2), wire.server(response(b"2"))])
    first, second = begun(events)
    assert first.unanswered is Unanswered.MALFORMED
    assert second.response_body == b"2"


def test_a_gap_in_a_body_costs_the_body_only() -> None:
    """The end is still found."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1), wire.server(response(b"abcdef"), cut=2)]
    events = drive(target, [*segments, wire.client(GET % 2), wire.server(response(b"2"))])
    first, second = begun(events)
    assert first.answered
    assert first.notes == ["response body: gap"]
    assert first.response_body_len is first.response_last_ts is None
    assert second.response_body == b"2"


def test_a_gap_in_chunk_framing_ends_the_exchange() -> None:
    """What follows is skipped until the next request's response."""
    wire, target = Wire(), assembler()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    segments = [*wire.open(), wire.client(GET % 1), wire.server(head + b"5\r\nab")]
    wire.server(b"cde\r\n4\r\n")
    segments += [
        wire.server(b"fghi\r\n0\r\n\r\n"),
        wire.client(GET % 2),
        wire.server(response(b"2")),
    ]
    first, second = begun(drive(target, segments))
    assert first.answered
    assert first.response_body_len is None
    assert second.response_body == b"2"


def test_a_lost_response_is_named_and_the_next_is_right() -> None:
    """The next request's acknowledgement proves the loss."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(GET % 1)]
    wire.server(response(b"1"))
    segments += [wire.client(GET % 2), wire.server(response(b"2"))]
    first, second = begun(drive(target, segments))
    assert first.unanswered is Unanswered.GAP
    assert second.response_body == b"2"


def test_pipelined_answers_after_a_loss_are_not_guessed() -> None:
    """All of them are unanswered.gap."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), *(wire.client(GET % n) for n in (1, 2, 3))]
    wire.server(response(b"1"))
    segments += [wire.server(response(b"2")), wire.server(response(b"3")), wire.client(GET % 4)]
    events = drive(target, segments + wire.close())
    assert [exchange.unanswered for exchange in begun(events)] == [Unanswered.GAP] * 4


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (GET % 1, b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x02hi"),
        (CONNECT, b"HTTP/1.1 200 Connected\r\n\r\n"),
    ],
)
def test_a_protocol_switch_hands_the_flow_over(request_: bytes, answer: bytes) -> None:
    """The exchange is answered, what follows is counted as not_http.upgraded."""
    wire, target = Wire(), assembler()
    events = drive(target, [*wire.open(), wire.client(request_), wire.server(answer)])
    assert begun(events)[0].answered
    assert [type(event) for event in events[-2:]] == [FlowUpgraded, FlowClosed]
    assert drive(target, [wire.client(GET % 9), wire.server(b"\x00"), *wire.close()]) == []
    assert target.segments.not_http_upgraded == 4


def test_a_refused_tunnel_stays_http() -> None:
    """Its early bytes are no requests; the next request is read."""
    wire, target = Wire(), assembler()
    segments = [*wire.open(), wire.client(CONNECT), wire.client(b"\x16\x03\x01")]
    segments += [wire.server(response(b"no", status=403)), wire.client(GET % 2)]
    events = drive(target, [*segments, wire.server(response(b"2"))])
    assert [exchange.status for exchange in begun(events)] == [403, 200]
    assert target.requests.malformed == target.requests.unexplained_gaps == 0
