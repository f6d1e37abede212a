"""What conversations hold, and who gives up when it is too much."""

from typing import Any

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import EXCHANGE_OVERHEAD, Limits
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, Wire, assembler, begun, check_balance, drive, ended, response

SLOW = b"GET / HTTP/1.1\r\nA: "
SECOND = 1_000_000_000


def wire(number: int, source: str = "192.0.2.1", now: int = 0) -> Wire:
    """A connection of its own, from an address."""
    made = Wire(number)
    made.key = flow_key(source, number, "198.51.100.7", 80)
    made.now = now
    return made


def limits(**values: Any) -> Limits:
    """Those and the defaults."""
    return Limits(**values)


def test_nothing_is_held_between_messages() -> None:
    """Every byte that was accounted for is given back."""
    target, one = assembler(), wire(1)
    post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n"
    drive(target, [*one.open(), one.client(SLOW)])
    assert target.budget.held == len(SLOW)
    drive(target, [one.client(b"b\r\n\r\n")])
    assert target.budget.held == len(SLOW) + 5 + EXCHANGE_OVERHEAD
    drive(target, [one.server(b"HTTP/1.1 2")])
    drive(target, [one.server(response(b"ok")[10:]), one.client(post), one.client(b"abc")])
    assert target.budget.held == len(post) + 3 + EXCHANGE_OVERHEAD
    drive(target, [one.server(response(b"ok"))])
    assert target.budget.held == target.budget.unfinished_heads == 0


def test_whatever_ends_a_conversation_gives_it_all_back() -> None:
    """Reset, eviction, protocol switch, malformed, oversize, drain."""
    for last in (b"b\r\nbroken line\r\n\r\n", b"x" * 300, b"\0" * 9, b""):
        target, one = assembler(limits=limits(max_head=200)), wire(1)
        drive(target, [*one.open(), one.client(GET % 1), one.client(SLOW)])
        drive(target, [one.server(b"HTTP/1.1 200 OK\r\nB: ")])
        if last:
            drive(target, [one.client(last), one.server(last)])
        drive(target, [one.reset(0)])
        target.close(Unanswered.DRAINED, 10**12)
        assert target.budget.held == target.budget.unfinished_heads == 0


def test_an_unfinished_head_has_a_deadline() -> None:
    """Slow loris: a byte now and then does not help; the connection is not lost for it."""
    target, one = assembler(limits=limits(head_ns=10 * SECOND)), wire(1)
    drive(target, [*one.open(), one.client(SLOW)])
    for second in range(1, 10):
        one.now = second * SECOND
        drive(target, [one.client(b"x")])
        assert target.expire(one.now) == []
    target.expire(11 * SECOND)
    assert (target.requests.evicted, target.budget.late_heads) == (1, 1)
    assert target.budget.held == 0
    check_balance(target)
    one.now = 12 * SECOND
    events = drive(target, [one.client(b"x\r\n\r\n"), one.client(GET % 2), one.server(response())])
    assert [exchange.target for exchange in begun(events)] == [b"/2"]


def test_unfinished_heads_of_one_source_are_few() -> None:
    """Over the cap the oldest of that source is given up; others are not touched."""
    target = assembler(limits=limits(max_heads_per_source=3))
    wires = [wire(n) for n in range(5)]
    other = wire(9, "192.0.2.2")
    for one in (other, *wires):
        drive(target, [*one.open(), one.client(SLOW)])
    assert target.budget.unfinished_heads == 4
    assert (target.requests.evicted, target.budget.crowded_heads) == (2, 2)
    events = drive(target, [one.client(b"b\r\n\r\n") for one in (other, *wires)])
    assert [exchange.flow_key for exchange in begun(events)] == [
        one.key for one in (other, *wires[2:])
    ]
    assert target.budget.unfinished_heads == 0


def test_a_preamble_that_never_ends_is_a_head_too() -> None:
    """It has the same deadline; the flow is not read any more."""
    target, one = assembler(limits=limits(head_ns=SECOND)), wire(1)
    drive(target, [*one.open(), one.client(b"PROXY TCP4 ")])
    assert target.budget.unfinished_heads == 1
    target.expire(2 * SECOND)
    assert target.budget.unfinished_heads == target.budget.held == 0
    drive(target, [one.client(b"x")])
    assert target.segments.not_http_other == 1


def test_the_flow_that_holds_longest_gives_up() -> None:
    """Over the total, until a sixteenth is free again; what it held is evicted by name."""
    cost = len(GET % 1) + EXCHANGE_OVERHEAD
    target = assembler(limits=limits(max_held_bytes=16 * cost))
    wires = [wire(n, now=n * SECOND) for n in range(18)]
    events = []
    # The first is busy for long, but holds only since its last request.
    first = wires[0]
    drive(target, [*first.open(), first.client(GET % 0), first.server(response())])
    for one in wires[1:10]:
        drive(target, [*one.open(), one.client(GET % 1)])
    first.now = 10 * SECOND
    drive(target, [first.client(GET % 0)])
    for one in wires[10:]:
        events += drive(target, [*one.open(), one.client(GET % 1)])
        assert target.budget.held <= 16 * cost
    assert [exchange.flow_key for exchange in ended(events)] == [wires[n].key for n in (1, 2)]
    assert {exchange.unanswered for exchange in ended(events)} == {Unanswered.EVICTED}
    assert ended(events)[0].notes == ["response: none (evicted)"]
    assert target.budget.relieved == 2
    assert target.exchanges.unanswered[Unanswered.EVICTED] == 2


def test_what_gives_up_a_response_in_the_middle() -> None:
    """It is answered with its status; its body is unknown; the next pair is right."""
    target, one = assembler(limits=limits(max_held_bytes=2 * EXCHANGE_OVERHEAD)), wire(1)
    drive(target, [*one.open(), one.client(GET % 1), one.server(response(b"abcdef")[:-3])])
    post = b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    other = wire(2)
    events = drive(target, [*other.open(), other.client(post)])
    (exchange,) = [e for e in ended(events) if e.flow_key == one.key]
    assert (exchange.status, exchange.response_body_len) == (200, None)
    assert exchange.notes == ["response body: cut off (evicted)"]
    events = drive(target, [one.server(b"def"), one.client(GET % 2), one.server(response(b"2"))])
    assert [e.response_body for e in ended(events)] == [b"2"]
    check_balance(target)


def test_pipelined_giant_heads_are_bounded() -> None:
    """A thousand unanswered requests of 60 KB each on many flows stay within the budget."""
    target = assembler(limits=limits(max_held_bytes=1 << 20))
    head = b"GET / HTTP/1.1\r\nA: " + b"x" * 60_000 + b"\r\n\r\n"
    for number in range(3):
        one = wire(number)
        drive(target, one.open())
        for _ in range(40):
            drive(target, [one.client(head)])
            assert target.budget.held <= 1 << 20
    assert target.exchanges.open < 20


def test_who_is_gone_is_forgotten() -> None:
    """Short connections leave nothing in the queue of those who hold."""
    target = assembler()
    for number in range(3_000):
        one = wire(number)
        drive(target, [*one.open(), one.client(GET % 1), one.server(response()), *one.close()])
    target.expire(10**12)
    assert len(target.table) == 0
    assert len(target.budget._queue) == 0
