"""Which exchange a response belongs to, also when bytes are lost."""

from itertools import count

import pytest

from shadow_agent.flow.items import Data
from shadow_agent.flow.segment import flow_key
from shadow_agent.http.budget import Budget
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import Exchange, ExchangeEnded, FlowUpgraded, Limits
from shadow_agent.http.head import RequestHead
from shadow_agent.http.pairing import Pairing
from shadow_agent.telemetry.reasons import NotHttp, Unanswered
from tests.property.wire import GET, Wire, assembler, begun, drive, response

KEY = flow_key("192.0.2.1", 1, "192.0.2.2", 80)
HEAD = RequestHead(b"", "GET", b"/", "1.1")


def pairing(*, joined: bool = False, limits: Limits | None = None) -> Pairing:
    """One with counts of its own."""
    limits = limits or Limits()
    return Pairing(
        KEY, count(1), limits, RequestCounts(), ExchangeCounts(), Budget(limits), joined=joined
    )


def begin(target: Pairing, seq: int, ack: int, *, missing: bool = False) -> Exchange:
    """A request at `seq`, whose client has the responses up to `ack`."""
    return target.begin(HEAD, 5, seq, ack, missing=missing)


def answer(seq: int, ack: int) -> Data:
    """A response at `seq` from a service that has the requests up to `ack`."""
    return Data(1, b"HTTP/1.1 200 OK\r\n\r\n", 6, seq, ack)


def test_responses_come_in_the_order_of_requests() -> None:
    """Pipelined or not, as long as nothing is lost."""
    target = pairing()
    first, second = begin(target, 0, 0), begin(target, 10, 0)
    assert target.match(answer(0, 20), 0) is first
    target.answer(first)
    assert target.match(answer(9, 20), 9) is second
    assert (target.exchanges.answered, target.exchanges.open) == (1, 1)
    assert first.session == second.session == "192.0.2.1:1 > 192.0.2.2:80 #1"


def test_a_response_that_nobody_asked_for_loses_pairing() -> None:
    """Its request was not seen; the next request's acknowledgement restores pairing."""
    target = pairing()
    assert target.match(answer(0, 10), 0) is None
    exchange = begin(target, 10, 50, missing=True)
    assert not target.rematch(answer(40, 20))
    assert target.rematch(answer(50, 20))
    assert target.match(answer(50, 20), 50) is exchange


@pytest.mark.parametrize(
    ("seq", "ack", "payload"),
    [(51, 20, b"HTTP/1.1 200"), (50, 10, b"HTTP/1.1 200"), (50, 20, b"<html>")],
)
def test_only_proof_restores_pairing(seq: int, ack: int, payload: bytes) -> None:
    """Another place, a service without the request, or no status line: not paired."""
    target = pairing()
    target.lose()
    begin(target, 10, 50)
    assert not target.rematch(Data(1, payload, 6, seq, ack))


def test_a_pipelining_client_proves_nothing() -> None:
    """After a loss all its exchanges are unanswered.gap."""
    target = pairing()
    exchanges = [begin(target, 0, 7), begin(target, 10, 7)]
    target.lose()
    assert [exchange.unanswered for exchange in exchanges] == [Unanswered.GAP] * 2
    begin(target, 20, 9)
    assert not target.rematch(answer(9, 30))


def test_two_requests_with_one_acknowledgement_are_pipelined() -> None:
    """Also when the first of them could not be paired."""
    target = pairing()
    target.match(answer(0, 10), 0)
    target.skipped = False
    begin(target, 10, 50, missing=True)
    begin(target, 20, 50)
    assert not target.rematch(answer(50, 30))


def test_an_unseen_request_may_be_answered_first() -> None:
    """Requests are missing and nothing was answered since: the next response may be theirs."""
    target = pairing()
    exchange = begin(target, 10, 0, missing=True)
    assert target.match(answer(0, 20), 0) is None
    assert target.lost
    later = begin(target, 20, 90)
    assert exchange.unanswered is Unanswered.GAP
    assert target.rematch(answer(90, 30))
    assert target.match(answer(90, 30), 90) is later


def test_joining_in_mid_connection_needs_proof_once() -> None:
    """The first response must begin where the first request's acknowledgement stands."""
    good, bad = pairing(joined=True), pairing(joined=True)
    exchange = begin(good, 10, 50)
    assert good.match(answer(50, 20), 50) is exchange
    begin(bad, 10, 50)
    assert bad.match(answer(50, 10), 50) is None


def test_outstanding_exchanges_are_bounded() -> None:
    """Over the limit all of them are given up, by name."""
    target = pairing(limits=Limits(max_outstanding=2))
    exchanges = [begin(target, n, 0) for n in range(3)]
    assert [exchange.unanswered for exchange in exchanges] == [Unanswered.EVICTED] * 2 + [None]
    assert target.exchanges.open == len(target.open) == 1


def test_a_settled_exchange_stays_settled() -> None:
    """Given up, it is not answered any more; and it ends once."""
    target = pairing()
    exchange = begin(target, 0, 0)
    target.give_up(exchange, Unanswered.EVICTED)
    target.answer(exchange)
    target.give_up(exchange, Unanswered.GAP)
    assert exchange.unanswered is Unanswered.EVICTED
    assert [type(event) for event in target.events].count(ExchangeEnded) == 1


def test_handing_over_happens_once() -> None:
    """What is open is unanswered.upgraded."""
    target = pairing()
    exchange = begin(target, 0, 0)
    target.hand_over(NotHttp.UPGRADED)
    target.hand_over(NotHttp.UPGRADED)
    assert exchange.unanswered is Unanswered.UPGRADED
    assert target.events[-1] == FlowUpgraded(NotHttp.UPGRADED)
    assert len(target.events) == 3


def test_pipelining_that_was_itself_lost_proves_nothing() -> None:
    """Of two requests sent at once the first is lost to us: their answers are not told apart."""
    wire, target = Wire(), assembler()
    opening = wire.open()
    wire.client(GET % 1)  # lost
    second = wire.client(GET % 2)
    answers = [wire.server(response(b"1"))]
    third = wire.client(GET % 3)  # sent with the first answer in hand, before the second
    answers.append(wire.server(response(b"2")))
    answers.append(wire.server(response(b"3")))
    events = drive(target, [*opening, second, answers[0], third, *answers[1:]])
    events += target.expire(wire.now + 10**10)
    assert [exchange.response_body for exchange in begun(events) if exchange.answered] == []


def test_an_answer_that_nobody_asked_for_names_a_lost_request() -> None:
    """One packet held the end of a chunked body and the whole next request."""
    wire, target = Wire(), assembler()
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello"
    opening, first = wire.open(), wire.client(head)
    wire.client(b"\r\n0\r\n\r\n" + GET % 1)  # lost
    drive(target, [*opening, first, wire.server(response(b"0")), wire.server(response(b"1"))])
    assert target.requests.gap == 1
    assert target.requests.unexplained_gaps == 1
