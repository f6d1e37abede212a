"""Segments in, events out."""

from shadow_agent.flow.flow import FlowLimits
from shadow_agent.http.exchange import FlowClosed
from shadow_agent.telemetry.reasons import Unanswered
from tests.property.wire import GET, Wire, assembler, begun, drive, ended, response


def test_flows_do_not_mix() -> None:
    """Interleaved connections, numbered in the order in which requests came."""
    first, second, target = Wire(1), Wire(2), assembler()
    segments = [*first.open(), *second.open(), second.client(GET % 2), first.client(GET % 1)]
    segments += [first.server(response(b"1")), second.server(response(b"2"))]
    events = drive(target, segments)
    assert [(e.id, e.target) for e in begun(events)] == [(1, b"/2"), (2, b"/1")]
    assert [(e.id, e.response_body) for e in ended(events)] == [(2, b"1"), (1, b"2")]


def test_a_replaced_flow_ends_first() -> None:
    """Its exchange is evicted and it is closed before its successor's events."""
    wire, again, target = Wire(), Wire(client=5, server=6), assembler()
    drive(target, [*wire.open(), wire.client(GET % 1)])
    events = drive(target, [*again.open(), again.client(GET % 2)])
    assert ended(events)[0].unanswered is Unanswered.EVICTED
    assert events[1] == FlowClosed(wire.key)
    assert begun(events)[0].target == b"/2"


def test_giving_a_hole_up_closes_nothing() -> None:
    """The flow goes on after a Gap by time."""
    wire, target = Wire(), assembler(FlowLimits(hold_ns=1_000))
    drive(target, [*wire.open(), wire.client(GET % 1), wire.server(response())])
    wire.client(GET % 2)
    drive(target, [wire.client(GET % 3)])
    events = target.expire(wire.now + 1_000)
    assert [exchange.target for exchange in begun(events)] == [b"/3"]
    assert not [event for event in events if isinstance(event, FlowClosed)]
    assert len(target.table) == 1


def test_a_finished_flow_is_closed_once() -> None:
    """Not again when the table forgets it."""
    wire, target = Wire(), assembler()
    events = drive(target, [*wire.open(), wire.client(GET % 1), wire.server(response())])
    events += drive(target, wire.close())
    events += target.expire(10**12) + target.close(Unanswered.DRAINED, 10**12)
    assert [event for event in events if isinstance(event, FlowClosed)] == [FlowClosed(wire.key)]
    assert len(target.table) == 0


def test_a_drain_ends_everything_by_name() -> None:
    """Nothing is open after it."""
    wires, target = [Wire(1), Wire(2)], assembler()
    for wire in wires:
        drive(target, [*wire.open(), wire.client(GET % 1)])
    events = target.close(Unanswered.DRAINED, 99)
    assert [exchange.unanswered for exchange in ended(events)] == [Unanswered.DRAINED] * 2
    assert target.exchanges.open == target.requests.open == 0
    assert target.exchanges.as_dict()["unanswered"] == {"drained": 2}
