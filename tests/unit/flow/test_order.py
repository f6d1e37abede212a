"""Captures whose order is not trusted: what waits for what, and for how long."""

from typing import Any

from shadow_agent.flow.flow import NEITHER
from shadow_agent.flow.items import Data, End, EndKind, Gap, Item
from shadow_agent.flow.segment import ACK, FIN
from shadow_agent.flow.table import FlowTable
from tests.property.wire import GET, Wire, flow_table, push, response

REQUEST = GET % 1
RESPONSE = response(b"ok")


def table(**limits: Any) -> FlowTable[object]:
    """For a file."""
    return flow_table(acks_prove_loss=False, **limits)


def sketch(items: list[Item]) -> str:
    """`0` and `1` for data of a direction, `_0` for a gap, `.0` for an end."""
    marks = {Data: "", Gap: "_", End: "."}
    return " ".join(f"{marks[type(item)]}{int(item.direction)}" for item in items)


def test_a_response_waits_for_its_request() -> None:
    """It acknowledges bytes that were not seen yet."""
    wire, target = Wire(), table()
    opening, request, answer = wire.open(), wire.client(REQUEST), wire.server(RESPONSE)
    assert not push(target, *opening, answer)
    assert target.counts.held == 1
    assert sketch(push(target, request)) == "0 1"
    assert target.counts.held == target.held_bytes == 0


def test_a_request_waits_for_the_response_before_it() -> None:
    """So a client that does not pipeline never looks as if it did."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST)]
    answer, second = wire.server(RESPONSE), wire.client(REQUEST)
    assert sketch(push(target, *segments, second, answer)) == "0 1 0"


def test_a_response_may_open_the_flow() -> None:
    """It waits before anything is aligned; the request says where it begins."""
    wire, target = Wire(), table()
    request, first, second = wire.client(REQUEST), wire.server(RESPONSE), wire.server(RESPONSE)
    assert not push(target, second, first)
    assert sketch(push(target, request)) == "0 1 1"
    assert target.counts.used == 3


def test_the_handshake_may_come_after_the_data() -> None:
    """It opens no second flow."""
    wire, target = Wire(), table()
    opening, request, answer = wire.open(), wire.client(REQUEST), wire.server(RESPONSE)
    assert sketch(push(target, answer, request, *opening)) == "0 1"
    assert len(target) == 1
    assert not target.take_ended()


def test_fin_and_reset_wait_for_what_they_follow() -> None:
    """Whichever comes first in the file, the end comes last."""
    wire, target = Wire(), table()
    opening, request, answer = wire.open(), wire.client(REQUEST), wire.server(RESPONSE)
    fin, reset = wire.segment(1, flags=FIN | ACK), wire.reset(0)
    items = push(target, *opening, reset, fin, answer, request)
    assert sketch(items) == "0 1 .1 .0"
    assert [item.kind for item in items if isinstance(item, End)] == [EndKind.FIN, EndKind.RST]


def test_a_reset_ends_the_other_side_too() -> None:
    """What waits there is delivered first."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST)]
    wire.server(b"lost")
    segments += [wire.server(RESPONSE), wire.reset(0)]
    assert sketch(push(target, *segments)) == "0"
    ((_, items),) = target.expire(wire.now + 10**10)
    assert sketch(items) == "_1 1 .0 .1"


def test_what_is_waited_for_in_vain_is_a_gap_of_known_length() -> None:
    """After hold_ns; then the rest in causal order."""
    wire, target = Wire(), table(hold_ns=1_000_000)
    push(target, *wire.open(), wire.client(REQUEST))
    wire.server(RESPONSE)
    assert not push(target, wire.client(REQUEST), wire.server(RESPONSE))
    assert target.expire(wire.now) == []
    ((_, items),) = target.expire(wire.now + 2_000_000)
    assert sketch(items) == "_1 0 1"
    assert [item.length for item in items if isinstance(item, Gap)] == [len(RESPONSE)]


def test_the_end_of_the_file_gives_up() -> None:
    """Nothing that waited is dropped."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    wire.server(b"lost")
    push(target, wire.server(RESPONSE))
    ((_, items),) = target.flush(wire.now)
    assert sketch(items) == "_1 1"
    assert target.held_bytes == 0


def test_a_limit_gives_up_at_once() -> None:
    """Held bytes stay bounded, whatever is waited for."""
    wire, target = Wire(), table(max_held_bytes_per_flow=2_000)
    push(target, *wire.open())
    wire.client(REQUEST)
    items = push(target, wire.server(b"a" * 900), wire.server(b"b" * 900))
    assert sketch(items) == "_0 1 1"
    assert target.held_bytes == 0


def test_requests_alone_stop_waiting() -> None:
    """A one-sided capture: after one vain wait acknowledgements prove loss on this flow."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    wire.server(RESPONSE)
    assert not push(target, wire.client(REQUEST))
    ((flow, items),) = target.expire(wire.now + 10**10)
    assert sketch(items) == "_1 0"
    assert flow.missing == 1
    wire.server(RESPONSE)
    assert sketch(push(target, wire.client(REQUEST))) == "_1 0"
    assert target.counts.held == 0


def test_responses_alone_stop_waiting() -> None:
    """The other way round, and when the other side comes after all it is waited for again."""
    wire, target = Wire(), table()
    wire.client(REQUEST)
    push(target, wire.server(RESPONSE))
    ((flow, items),) = target.expire(wire.now + 10**10)
    assert sketch(items) == "1"
    wire.client(REQUEST)
    assert sketch(push(target, wire.server(RESPONSE))) == "1"
    late = Wire(client=wire.next[0], server=wire.next[1])
    assert sketch(push(target, late.client(REQUEST), late.server(RESPONSE))) == "0 1"
    lost, answer = late.client(REQUEST), late.server(RESPONSE)
    push(target, late.client(b"x")._replace(seq=lost.seq, ack=answer.seq, payload=b"G", length=1))
    assert flow.missing in (0, NEITHER)


def test_a_retransmission_does_not_wait_for_its_own_answer() -> None:
    """The first copy was lost; the second acknowledges an answer to the first. No deadlock."""
    wire, target = Wire(), table()
    opening, lost, answer = wire.open(), wire.client(REQUEST), wire.server(RESPONSE)
    again = lost._replace(ack=wire.next[1])
    assert sketch(push(target, *opening, answer, again)) == "0 1"
    assert target.counts.held == 0
