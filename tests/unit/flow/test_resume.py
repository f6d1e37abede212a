"""Taking a flow up again behind what the kernel skipped: no gap for it, one for what was lost."""

from __future__ import annotations

import pytest

from shadow_agent.flow.items import Data, Gap, Item, Skip
from shadow_agent.flow.resume import SURE
from shadow_agent.flow.segment import ACK, FIN, Segment
from shadow_agent.flow.table import FlowTable
from tests.property.wire import GET, MASK, Wire, flow_table, response

TENANT = 7 << 24


def numbered(count: int, epoch: int = 0, *, sure: bool = False, tenant: int = TENANT) -> int:
    """A record's number as the kernel makes it."""
    return tenant | epoch << 16 | (SURE if sure else 0) | count


def follow(target: FlowTable[object], *records: tuple[Segment, int]) -> list[Item]:
    """The items of all records; whoever has items gets a conversation."""
    items: list[Item] = []
    for segment, number in records:
        flow, some = target.follow(segment, number)
        if flow is not None and some:
            flow.conversation = flow
        items += some
    return items


def begin(wire: Wire) -> list[tuple[Segment, int]]:
    """A connection whose first exchange was copied."""
    syn, answer = wire.open()
    return [
        (syn, numbered(1)),
        (answer, numbered(1)),
        (wire.client(GET % 1), numbered(2, sure=True)),
        (wire.server(response(b"one")), numbered(2)),
    ]


@pytest.mark.parametrize("skipped", [1, 5000, (1 << 30) + 7, 3 << 30])
def test_what_was_skipped_is_no_gap(skipped: int) -> None:
    """However much it was; both directions go on where the request says."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.next = [(n + skipped) & MASK for n in wire.next]
    items = follow(
        table,
        (wire.client(GET % 9), numbered(3, 1, sure=True)),
        (wire.server(response(b"nine")), numbered(3, 1)),
    )
    assert [type(item) for item in items] == [Skip, Data, Data]
    assert items[0] == Skip(0, wire.now - 1000, sure=True)
    assert table.counts.used == table.counts.read == 6


def test_what_was_lost_in_between_is_one() -> None:
    """The count of the requests' direction jumps."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.client(GET % 2)
    wire.next[1] += 100
    items = follow(table, (wire.client(GET % 3), numbered(5, 1, sure=True)))
    assert items[0] == Gap(0, len(GET % 2), wire.now)
    assert [type(item) for item in items] == [Gap, Skip, Data]


def test_a_hole_before_it_is_one() -> None:
    """What waited for a record that was lost will never have it."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.server(b"x" * 10)
    follow(table, (wire.server(b"y" * 5), numbered(4)))
    wire.next = [n + 500 for n in wire.next]
    items = follow(table, (wire.client(GET % 3), numbered(3, 1, sure=True)))
    assert [type(item) for item in items] == [Gap, Data, Skip, Data]
    assert table.held_bytes == table.counts.held == 0


def test_numbers_wrap() -> None:
    """Counts after 65,535, epochs after 127."""
    wire, table = Wire(), flow_table()
    syn, answer = wire.open()
    follow(table, (syn, numbered(0xFFFE, 127)), (answer, numbered(1, 127)))
    follow(table, (wire.client(GET % 1), numbered(0xFFFF, 127, sure=True)))
    wire.next = [n + 500 for n in wire.next]
    items = follow(table, (wire.client(GET % 3), numbered(0, 0, sure=True)))
    assert [type(item) for item in items] == [Skip, Data]


def test_a_record_of_before_is_no_resumption() -> None:
    """The other direction's may be overtaken on its way to the ring."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    late = wire.segment(1, b"x" * 10)
    wire.next = [n + 500 for n in wire.next]
    follow(table, (wire.client(GET % 3), numbered(3, 1, sure=True)))
    assert follow(table, (late, numbered(3, 0))) == []
    assert table.counts.duplicate == 1
    items = follow(table, (wire.server(response(b"three")), numbered(4, 1)))
    assert [type(item) for item in items] == [Data]


def test_a_retransmission_is_not_taken_up() -> None:
    """The kernel forgot the flow, and sees an old request again."""
    wire, table = Wire(), flow_table()
    records = begin(wire)
    follow(table, *records)
    assert follow(table, (records[2][0], numbered(1, tenant=9 << 24))) == []
    assert table.counts.duplicate == 1


def test_forgotten_flows_are_joined() -> None:
    """Behind a jump, unsure; what the numbers were before says nothing."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.next = [n + 500 for n in wire.next]
    items = follow(table, (wire.client(GET % 3), numbered(40, tenant=9 << 24)))
    assert items[0] == Skip(0, wire.now, sure=False)
    assert [type(item) for item in items] == [Skip, Data]


def test_a_forgotten_flow_may_just_go_on() -> None:
    """Nothing was skipped."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    items = follow(table, (wire.client(GET % 3), numbered(1, tenant=9 << 24)))
    assert [type(item) for item in items] == [Data]


@pytest.mark.parametrize("direction", [0, 1])
def test_the_end_of_a_skipped_connection(direction: int) -> None:
    """A FIN behind skipped bytes ends its direction; no gap in either."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.next = [n + 500 for n in wire.next]
    items = follow(
        table,
        (wire.segment(direction, flags=FIN | ACK), numbered(3, 1)),
        (wire.segment(1 - direction, flags=FIN | ACK), numbered(3, 1)),
    )
    assert [type(item).__name__ for item in items] == ["Skip", "End", "End"]
    flow = table.get(wire.key)
    assert flow is not None
    assert flow.closed


def test_the_reset_of_a_skipped_connection() -> None:
    """Far behind what was seen."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire))
    wire.next = [(n + (3 << 29)) & MASK for n in wire.next]
    items = follow(table, (wire.reset(0), numbered(3, 1)))
    assert [type(item).__name__ for item in items] == ["Skip", "End", "End"]


def test_an_unknown_flow_is_opened_by_a_sure_request() -> None:
    """The kernel saw its handshake, or a request of it before; user space did not."""
    wire, table = Wire(), flow_table()
    flow, _ = table.follow(wire.client(GET % 1), numbered(1, sure=True))
    assert flow is not None
    assert flow.opened
    flow, _ = table.follow(Wire(port=2).client(GET % 1), numbered(1))
    assert flow is not None
    assert not flow.opened


def test_a_handshake_alone_has_nothing_to_skip() -> None:
    """Its first request was left out: nobody has read anything of the flow yet."""
    wire, table = Wire(), flow_table()
    syn, answer = wire.open()
    follow(table, (syn, numbered(1)), (answer, numbered(1)))
    wire.next = [n + 500 for n in wire.next]
    items = follow(table, (wire.client(GET % 2), numbered(2, 1, sure=True)))
    assert [type(item) for item in items] == [Data]
    items = follow(table, (wire.server(response(b"two")), numbered(2, 1)))
    assert [type(item) for item in items] == [Data]


def test_numbers_that_begin_in_mid_run() -> None:
    """A budget comes: the flow goes on, or behind its first request, which was skipped."""
    for skipped, kinds in ((0, [Data]), (500, [Skip, Data])):
        wire, table = Wire(), flow_table()
        for segment, _ in begin(wire):
            flow, items = table.push(segment)
            if flow is not None and items:
                flow.conversation = flow
        wire.next = [n + skipped for n in wire.next]
        items = follow(table, (wire.client(GET % 3), numbered(1, sure=skipped > 0)))
        assert [type(item) for item in items] == kinds


def test_a_new_connection_begins_anew() -> None:
    """A SYN on the same ports after the last one ended."""
    wire, table = Wire(), flow_table()
    follow(table, *begin(wire), *[(s, numbered(3)) for s in wire.close()])
    wire.next = [77, 88]
    items = follow(table, *[(s, numbered(n, tenant=3 << 24)) for s, n in begin(wire)])
    assert [type(item) for item in items] == [Data, Data]


def test_what_is_not_http_stays_so() -> None:
    """Its segments are counted, wherever they stand."""
    wire, table = Wire(), flow_table()
    syn, answer = wire.open()
    follow(table, (syn, numbered(1)), (answer, numbered(1)))
    follow(table, (wire.client(b"\x16\x03\x01 hello"), numbered(2)))
    wire.next[0] += 500
    assert follow(table, (wire.client(b"more"), numbered(3, 1))) == []
    assert table.counts.not_http_tls == 2


def test_a_cut_request_does_not_make_a_flow_something_else() -> None:
    """The first that was copied lost its head: the next one is read."""
    wire, table = Wire(), flow_table()
    syn, answer = wire.open()
    follow(table, (syn, numbered(1)), (answer, numbered(1)))
    wire.next = [n + 500 for n in wire.next]
    items = follow(table, (wire.client(b"\x16\x03 rest of a body"), numbered(3, 1)))
    assert [type(item) for item in items] == [Gap]
    assert table.counts.unaligned == 1
    items = follow(table, (wire.client(GET % 3), numbered(4, 1, sure=True)))
    assert [type(item) for item in items] == [Data]
