"""One flow's items read as exchanges."""

from itertools import count

from shadow_agent.flow.items import Data, End, EndKind
from shadow_agent.flow.segment import flow_key
from shadow_agent.http.conversation import Conversation
from shadow_agent.http.counts import ExchangeCounts, RequestCounts, RequestOutcome
from shadow_agent.http.exchange import ExchangeEnded, Limits, RequestEnded, RequestHeadSeen
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, response

KEY = flow_key("2001:db8::1", 1, "2001:db8::2", 80)


def conversation() -> Conversation:
    """One with counts of its own."""
    return Conversation(KEY, count(1), Limits(), RequestCounts(), ExchangeCounts())


def test_events_come_in_order() -> None:
    """Head, end of the request, end of the exchange."""
    target = conversation()
    request = GET % 1
    answer = response(b"x")
    items = [Data(0, request, 1, 0, 0), Data(1, answer, 2, 0, len(request))]
    events = target.receive(items)
    assert [type(event) for event in events] == [RequestHeadSeen, RequestEnded, ExchangeEnded]
    assert target.receive([]) == []
    assert target.open_exchanges == 0


def test_an_early_response_ends_the_exchange_first() -> None:
    """The request goes on and ends later."""
    target = conversation()
    head = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
    events = target.receive([Data(0, head, 1, 0, 0), Data(1, response(), 2, 0, len(head))])
    assert [type(event) for event in events] == [RequestHeadSeen, ExchangeEnded]
    (_, last) = target.receive([Data(0, b"abc", 3, len(head), 40)])
    assert isinstance(last, RequestEnded)
    assert last.exchange.request_ended_ts == 3


def test_closing_names_the_reason() -> None:
    """What is unanswered gets it; a response at hand stays an answer."""
    target = conversation()
    request = GET % 1 + GET % 2 + b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
    answer = response(b"abc")[:-1]
    events = target.receive([Data(0, request, 1, 0, 0), Data(1, answer, 2, 0, len(request))])
    events = target.close(Unanswered.DRAINED, 9)
    ended = [event.exchange for event in events if isinstance(event, ExchangeEnded)]
    assert [exchange.unanswered for exchange in ended] == [
        None,
        Unanswered.DRAINED,
        Unanswered.DRAINED,
    ]
    assert [event.outcome for event in events if isinstance(event, RequestEnded)] == [
        RequestOutcome.EVICTED
    ]


def test_both_ends_finish_it() -> None:
    """One alone does not."""
    target = conversation()
    target.receive([End(0, EndKind.FIN, 1, 0)])
    assert not target.finished
    target.receive([End(1, EndKind.FIN, 1, 1)])
    assert target.finished
