"""Flows opened, joined, held, limited, ended."""

from shadow_agent.flow.items import Data, End, EndKind, Gap
from shadow_agent.flow.segment import ACK, RST, SYN
from tests.property.wire import GET, Wire, push, response
from tests.property.wire import flow_table as table

REQUEST = GET % 1
RESPONSE = response(b"ok")


def test_a_handshake_aligns_both_directions() -> None:
    """Payload follows the SYNs of each side, and every segment is used."""
    wire, target = Wire(), table()
    items = push(target, *wire.open(), wire.client(REQUEST), wire.server(RESPONSE))
    assert [(i.direction, i.payload) for i in items if type(i) is Data] == [
        (0, REQUEST),
        (1, RESPONSE),
    ]
    assert target.counts.as_dict()["used"] == target.counts.read == 4


def test_a_handshake_out_of_order_is_one_flow() -> None:
    """SYN-ACK before SYN, or a SYN twice, opens no second flow."""
    wire, target = Wire(), table()
    syn, syn_ack = wire.open()
    assert not push(target, syn_ack, syn, syn, syn_ack)
    assert len(push(target, wire.client(REQUEST))) == 1
    assert len(target) == 1
    assert not target.take_ended()


def test_a_request_joins_in_mid_connection() -> None:
    """What comes before the first request is unaligned; its ack aligns the response."""
    wire, target = Wire(), table()
    before = [wire.client(b"rest of a body"), wire.server(b"rest of a response")]
    assert not push(target, *before)
    items = push(target, wire.client(REQUEST), wire.server(RESPONSE))
    assert len(items) == 2
    assert target.counts.unaligned == 2
    assert target.counts.used == 2


def test_what_opens_no_flow_is_unaligned() -> None:
    """FIN, RST and pure acknowledgements of unknown flows leave no trace in the table."""
    wire, target = Wire(), table()
    push(target, *wire.close(), wire.reset(0), wire.client(b""), wire.server(RESPONSE))
    assert target.counts.unaligned == target.counts.read == 5
    assert len(target) == 0


def test_tls_and_others_become_tombstones() -> None:
    """All segments of the flow from its first bytes on are counted by name, in both directions."""
    cases = {b"\x16\x03\x01": "tls", b"PRI * HTTP/2.0\r\n": "h2", b"SSH-2.0-x\r\n": "other"}
    for first, name in cases.items():
        wire, target = Wire(), table()
        assert not push(target, *wire.open(), wire.client(first), wire.server(b"x"))
        assert target.counts.as_dict()["not_http"] == {name: 2}
        assert target.counts.used == 2
        push(target, *Wire(client=5).open())
        assert target.counts.used == 4


def test_a_loss_proven_by_an_ack_comes_before_the_data() -> None:
    """The answer acknowledges a request that was not seen: the gap first, then the answer."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST), wire.server(RESPONSE)]
    wire.client(REQUEST)
    late = wire.server(RESPONSE)
    items = push(target, *segments, late)[2:]
    assert [type(item) for item in items] == [Gap, Data]
    assert [item.direction for item in items] == [0, 1]


def test_acks_can_be_mistrusted() -> None:
    """With acks_prove_loss off the hole waits, and fills."""
    wire, target = Wire(), table(acks_prove_loss=False)
    opening, request, answer = wire.open(), wire.client(REQUEST), wire.server(RESPONSE)
    items = push(target, *opening, answer, request)
    assert [type(item) for item in items] == [Data, Data]


def test_old_holes_are_given_up() -> None:
    """After hold_ns a hole is a Gap."""
    wire, target = Wire(), table(hold_ns=1_000_000)
    push(target, *wire.open(), wire.client(REQUEST))
    wire.client(b"POST")
    push(target, wire.client(REQUEST))
    assert target.counts.held == 1
    assert target.expire(wire.now) == []
    ((_, items),) = target.expire(wire.now + 1_000_000)
    assert [type(item) for item in items] == [Gap, Data]
    assert target.counts.held == target.held_bytes == 0


def test_held_bytes_are_bounded_per_flow() -> None:
    """Over the limit the flow's holes are given up, so what waited is delivered."""
    wire, target = Wire(), table(max_held_bytes_per_flow=2_000)
    push(target, *wire.open(), wire.client(REQUEST))
    wire.client(b"lost")
    items = push(target, wire.client(b"a" * 900), wire.client(b"b" * 900))
    assert [type(item) for item in items] == [Gap, Data, Data]
    assert target.held_bytes == 0


def test_held_bytes_are_bounded_together() -> None:
    """Over the total the flow that asks for more gives up; the others keep waiting."""
    target = table(max_held_bytes_total=2_000)
    wires = [Wire(port) for port in (1, 2, 3)]
    items = []
    for wire in wires:
        push(target, *wire.open(), wire.client(REQUEST))
        wire.client(b"lost")
        items.append(push(target, wire.client(b"a" * 500)))
    assert [len(some) for some in items] == [0, 0, 2]
    assert 0 < target.held_bytes <= 2_000


def test_idle_flows_are_evicted() -> None:
    """What they held is delivered behind its hole, and whoever reads them is told."""
    wire, target = Wire(), table(idle_ns=10**9, hold_ns=10**12)
    push(target, *wire.open(), wire.client(REQUEST))
    wire.client(b"lost")
    push(target, wire.client(REQUEST))
    assert target.expire(10**8) == []
    ((_, items),) = target.expire(10**10)
    assert [type(item) for item in items] == [Gap, Data, End, End]
    assert [item.kind for item in items if isinstance(item, End)] == [EndKind.EVICTED] * 2
    assert len(target) == target.held_bytes == target.counts.held == 0


def test_the_longest_idle_flow_makes_room() -> None:
    """Over max_flows the one idle longest goes, whichever was opened first."""
    target = table(max_flows=2)
    old, young = Wire(1), Wire(2)
    push(target, *old.open(), old.client(REQUEST), *young.open(), young.client(REQUEST))
    old.now += 10**9
    push(target, old.server(RESPONSE))
    third = Wire(3)
    push(target, *third.open())
    ((flow, _),) = target.take_ended()
    assert flow.key == young.key


def test_a_new_syn_replaces_the_flow() -> None:
    """The same ports with another SYN are another connection; the old one is told it ended."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    again = Wire(client=77_000, server=88_000)
    push(target, *again.open())
    assert len(target.take_ended()) == 1
    assert len(push(target, again.client(REQUEST))) == 1


def test_a_closed_flow_lingers() -> None:
    """Late copies open nothing; after linger_ns the flow is forgotten."""
    wire, target = Wire(), table(linger_ns=1_000_000)
    request = [*wire.open(), wire.client(REQUEST)]
    items = push(target, *request, wire.server(RESPONSE), *wire.close())
    assert [item.kind for item in items if isinstance(item, End)] == [EndKind.FIN] * 2
    assert not push(target, request[-1], wire.client(b""))
    assert target.counts.duplicate == 1
    assert len(target) == 1
    target.expire(wire.now + 1_000_001)
    assert len(target) == 0


def test_a_closed_flow_makes_way_for_its_successor() -> None:
    """A request beyond the old end is a new connection of which the SYN was lost."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST), wire.server(RESPONSE), *wire.close())
    assert len(push(target, Wire(client=500_000).client(REQUEST))) == 1


def test_a_reset_ends_both_directions() -> None:
    """Who sent it is told; one far out of window is not believed."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    wild = wire.reset(0)._replace(seq=0x7000_0000)
    assert not push(target, wild)
    assert target.counts.out_of_window == 1
    items = push(target, wire.reset(1))
    assert items == [End(0, EndKind.RST, wire.now, 1), End(1, EndKind.RST, wire.now, 1)]


def test_only_final_pieces_are_counted() -> None:
    """A packet in two records is one packet."""
    wire, target = Wire(), table()
    first = wire.client(REQUEST[:9])._replace(final=False)
    items = push(target, first, wire.client(REQUEST[9:]))
    assert len(items) == 2
    assert target.counts.read == 1


def test_a_fast_open_request_is_read() -> None:
    """Payload on a SYN begins after it, and counts once the service has taken it."""
    wire, target = Wire(), table()
    syn = wire.client(b"", SYN)._replace(payload=REQUEST, length=len(REQUEST))
    assert not push(target, syn)
    wire.next[0] += len(REQUEST)
    items = push(target, wire.server(b"", SYN | ACK))
    assert [type(item) for item in items] == [Data]
    assert target.counts.used == 2
    assert target.counts.held == 0


def test_a_refused_connection_leaves_nothing_open() -> None:
    """SYN, then RST: no conversation, and the ports are free for the next SYN."""
    wire, target = Wire(), table()
    items = push(target, wire.open()[0], wire.server(b"", RST | ACK))
    assert [type(item) for item in items] == [End, End]
    push(target, *Wire(client=3).open())
    assert target.counts.read == target.counts.used == 4


def test_close_evicts_everything() -> None:
    """At a drain no flow stays."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    assert len(target.close(wire.now)) == 1
    assert len(target) == 0
