"""What can befall a connection, one case each: the table in docs names them."""

import random

import pytest

from shadow_agent.flow.items import Data, End, EndKind, Gap, Item
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, URG, split_urgent
from tests.property.wire import GET, Wire, push, response
from tests.property.wire import flow_table as table

REQUEST = GET % 1
RESPONSE = response(b"ok")


def payload(items: list[Item], direction: int) -> bytes:
    """The bytes of one direction, `_` for each that is missing."""
    text = b""
    for item in items:
        if item.direction == direction and isinstance(item, Data):
            text += item.payload
        elif item.direction == direction and isinstance(item, Gap):
            text += b"_" * item.length
    return text


@pytest.mark.parametrize("client", [1_000, 0xFFFF_FFF0])
def test_retransmissions_shorter_and_longer(client: int) -> None:
    """Whatever the pieces, every byte is read once; also where the sequence wraps in a request."""
    wire, target = Wire(client=client), table()
    opening = wire.open()
    whole = wire.client(REQUEST * 3)
    pieces = [(0, 20), (0, 10), (0, 30), (25, 5), (28, 40), (60, len(whole.payload) - 60)]
    segments = [
        whole._replace(
            seq=(whole.seq + at) & 0xFFFF_FFFF,
            payload=whole.payload[at : at + size],
            length=len(whole.payload[at : at + size]),
        )
        for at, size in pieces
    ]
    assert payload(push(target, *opening, *segments), 0) == REQUEST * 3
    assert target.counts.duplicate == 2


def test_keepalive_and_zero_window_probes() -> None:
    """An old byte is a duplicate; one new byte ahead of its window is the byte itself."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST[:-4])]
    keepalive = segments[-1]._replace(seq=wire.next[0] - 1, payload=b"\0", length=1)
    probe = segments[-1]._replace(seq=wire.next[0], payload=REQUEST[-4:-3], length=1)
    rest = wire.client(REQUEST[-4:])
    assert payload(push(target, *segments, keepalive, probe, probe, rest), 0) == REQUEST
    assert target.counts.duplicate == 2


def test_a_fin_with_data() -> None:
    """The bytes first, then the end."""
    wire, target = Wire(), table()
    opening, request = wire.open(), wire.client(REQUEST, FIN | ACK)
    items = push(target, *opening, request)
    assert [type(item) for item in items] == [Data, End]


def test_simultaneous_close() -> None:
    """Both FINs before either is acknowledged: both directions end in order, once."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST), wire.server(RESPONSE)]
    one = wire.client(b"", FIN | ACK)
    two = wire.server(b"", FIN | ACK)._replace(ack=one.seq)
    again = one._replace(ack=two.seq + 1)
    items = push(target, *segments, one, two, again)
    assert [item.direction for item in items if isinstance(item, End)] == [0, 1]
    assert target.counts.read == target.counts.used


@pytest.mark.parametrize("trusted", [True, False])
def test_a_reset_behind_is_ignored(trusted: bool) -> None:
    """Its receiver ignores it too (RFC 5961): the connection goes on."""
    wire, target = Wire(), table(acks_prove_loss=trusted)
    push(target, *wire.open(), wire.client(REQUEST))
    old = wire.reset(0)
    assert not push(target, old._replace(seq=old.seq - 1))
    assert target.counts.duplicate == 1
    assert payload(push(target, wire.server(RESPONSE)), 1) == RESPONSE


def test_a_reset_at_the_next_byte_ends_at_once() -> None:
    """It names who sent it, also one that repeats the number of a FIN."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    items = push(target, wire.reset(1))
    assert [(item.kind, item.by) for item in items if isinstance(item, End)] == [
        (EndKind.RST, 1)
    ] * 2
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST), wire.client(b"", FIN | ACK))
    late = wire.reset(0)
    items = push(target, late._replace(seq=late.seq - 1))
    assert [item.direction for item in items] == [1]


def test_a_reset_ahead_ends_live_and_waits_in_a_file() -> None:
    """Live the bytes before it are lost in the ring; in a file they may still come."""
    for trusted in (True, False):
        wire, target = Wire(), table(acks_prove_loss=trusted)
        push(target, *wire.open(), wire.client(REQUEST))
        late = wire.server(RESPONSE)
        items = push(target, wire.reset(1))
        assert [type(item) for item in items] == ([End, End] if trusted else [])
        if not trusted:
            assert [type(item) for item in push(target, late)] == [Data, End, End]


@pytest.mark.parametrize("closed", [True, False])
def test_ports_are_used_again(closed: bool) -> None:
    """After TIME_WAIT, or when the end of the first connection was not seen."""
    wire, target = Wire(), table()
    items = push(target, *wire.open(), wire.client(REQUEST), wire.server(RESPONSE))
    if closed:
        items += push(target, *wire.close())
    again = Wire(client=50_000_000, server=90_000_000)
    items += push(target, *again.open(), again.client(REQUEST), again.server(RESPONSE))
    assert payload(items, 0) == 2 * REQUEST
    assert payload(items, 1) == 2 * RESPONSE
    assert len(target) == 1


def test_a_replaced_flow_delivers_what_waited() -> None:
    """With its holes, before its successor begins."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    wire.client(b"lost")
    push(target, wire.client(REQUEST), *Wire(client=50_000_000).open())
    ((_, items),) = target.take_ended()
    assert payload(items, 0) == b"____" + REQUEST
    assert target.counts.evicted == 0


def test_fast_open_data_sent_again() -> None:
    """A server that does not know the cookie takes the SYN only; the client sends it all again."""
    wire, target = Wire(), table()
    syn, syn_ack = wire.open()
    early = syn._replace(payload=REQUEST, length=len(REQUEST))
    items = push(target, early, syn_ack, wire.client(REQUEST), wire.server(RESPONSE))
    assert payload(items, 0) == REQUEST
    assert payload(items, 1) == RESPONSE
    assert target.counts.duplicate == 1


@pytest.mark.parametrize("causal", [True, False])
def test_fast_open_data_that_were_refused_are_nobodys(causal: bool) -> None:
    """The client may send other data then: those are what the server reads."""
    wire, target = Wire(), table(acks_prove_loss=causal)
    syn, syn_ack = wire.open()
    other = GET % 2
    early = syn._replace(payload=REQUEST, length=len(REQUEST))
    items = push(target, early, syn_ack, wire.client(other), wire.server(RESPONSE))
    assert payload(items, 0) == other
    assert payload(items, 1) == RESPONSE


@pytest.mark.parametrize("again", [1, 2])
def test_a_late_handshake_drops_nothing(again: int) -> None:
    """In a file the SYN+ACK may come, or come again, while data wait for what they acknowledge."""
    wire, target = Wire(), table(acks_prove_loss=False)
    syn, syn_ack = wire.open()
    first, answer, second = wire.client(REQUEST), wire.server(RESPONSE), wire.client(GET % 2)
    items = push(target, syn, first, second, *[syn_ack] * again, answer)
    assert payload(items, 0) == REQUEST + GET % 2
    assert payload(items, 1) == RESPONSE


def test_fast_open_data_whose_handshake_was_lost() -> None:
    """What follows them shows that they were taken."""
    wire, target = Wire(), table()
    syn, _ = wire.open()
    early = syn._replace(payload=REQUEST, length=len(REQUEST))
    wire.next[0] += len(REQUEST)
    items = push(target, early, wire.client(GET % 2), wire.server(RESPONSE))
    assert payload(items, 0) == REQUEST + GET % 2


def test_what_an_idle_flow_held_comes_before_its_end() -> None:
    """Both are due at once: its data, then that it ended. Found by fuzzing."""
    wire, target = Wire(), table()
    syn = wire.open()[0]._replace(payload=REQUEST, length=len(REQUEST))
    push(target, syn)
    ((_, items),) = target.expire(wire.now + 10**12)
    assert [type(item) for item in items] == [Data, End, End]
    assert len(target) == target.counts.held == 0


def test_a_stray_syn_changes_nothing() -> None:
    """The service answers it with a challenge and goes on."""
    wire, target = Wire(), table()
    opening = wire.open()
    stray = opening[0]._replace(seq=77)
    items = push(target, *opening, stray, wire.client(REQUEST), wire.server(RESPONSE))
    assert payload(items, 0) == REQUEST
    assert payload(items, 1) == RESPONSE
    assert not target.take_ended()


@pytest.mark.parametrize("seen", ["handshake", "data", "refusal"])
def test_a_syn_is_believed_when_something_follows_it(seen: str) -> None:
    """The FINs of the connection before were not seen; of the new one, part is lost to us."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST), wire.server(RESPONSE))
    again = Wire(client=70_000, server=90_000)
    syn, syn_ack = again.open()
    push(target, syn)
    if seen == "refusal":
        push(target, again.server(b"", RST | ACK))
        assert len(target.take_ended()) == 1
        return
    items = push(target, syn_ack) if seen == "handshake" else []
    items += push(target, again.client(GET % 2), again.server(RESPONSE))
    assert payload(items, 0) == GET % 2
    assert payload(items, 1) == RESPONSE
    assert target.counts.used == (8 if seen == "handshake" else 7)


def test_urgent_data_is_a_gap_that_is_not_certain() -> None:
    """Whether the application reads it in its stream cannot be known; the rest is read."""
    wire, target = Wire(), table()
    opening, segment = wire.open(), wire.client(REQUEST + b"!more", ACK | URG)
    pieces = split_urgent(segment, len(REQUEST) + 1)
    items = push(target, *opening, *pieces)
    assert payload(items, 0) == REQUEST + b"_more"
    assert [item.certain for item in items if isinstance(item, Gap)] == [False]
    assert target.counts.used == 3


def test_urgent_data_out_of_order() -> None:
    """It is told from bytes that were cut, also after it waited."""
    wire, target = Wire(), table()
    opening, first = wire.open(), wire.client(REQUEST)
    pieces = split_urgent(wire.client(b"ab", ACK | URG), 1)
    items = push(target, *opening, *pieces, first)
    assert [item.certain for item in items if isinstance(item, Gap)] == [False]


def test_a_very_long_lived_connection() -> None:
    """Twelve gibibytes: the numbers wrap three times, and a late copy is still a copy."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    piece = bytes(1 << 20)
    total = 0
    last = wire.server(b"")
    for _ in range(12 << 10):
        last = wire.server(piece)
        (item,) = push(target, last)
        total += len(item.payload) if isinstance(item, Data) else 0
    assert total == 12 << 30
    assert push(target, last) == []
    assert payload(push(target, wire.client(REQUEST)), 0) == REQUEST
    assert len(target) == 1


@pytest.mark.parametrize("size", [65_483, 185_000, 524_280])
def test_merged_frames_are_long_segments(size: int) -> None:
    """GRO, GSO and BIG TCP: one segment, in pieces or not, overlapping a retransmission."""
    wire, target = Wire(), table()
    push(target, *wire.open(), wire.client(REQUEST))
    data = random.Random(1).randbytes(size)
    segment = wire.server(data)
    pieces = [
        segment._replace(
            seq=segment.seq + at,
            payload=data[at : at + 16_384],
            length=len(data[at : at + 16_384]),
            final=at + 16_384 >= size,
        )
        for at in range(0, size, 16_384)
    ]
    early = segment._replace(seq=segment.seq + 1_460, payload=data[1_460:2_920], length=1_460)
    assert payload(push(target, early, *pieces), 1) == data
    assert target.counts.read == 5


def test_a_window_in_random_order_is_read_whole() -> None:
    """Six mebibytes, the most that Linux lets be on the way, held within the limits."""
    wire, target = Wire(server=0xFFF0_0000), table()
    push(target, *wire.open(), wire.client(REQUEST))
    segments = [wire.server(bytes([n & 255]) * 1_460) for n in range((6 << 20) // 1_460)]
    shuffled = segments[1:]
    random.Random(7).shuffle(shuffled)
    items = push(target, *shuffled, segments[0])
    assert not [item for item in items if isinstance(item, Gap)]
    assert [item.payload[0] for item in items if isinstance(item, Data)] == [
        n & 255 for n in range(len(segments))
    ]


def test_one_sided_live_flows_are_read() -> None:
    """Requests alone: what the other side said is a gap of known length."""
    wire, target = Wire(), table()
    segments = [*wire.open(), wire.client(REQUEST)]
    wire.server(RESPONSE)
    items = push(target, *segments, wire.client(REQUEST))
    assert payload(items, 0) == 2 * REQUEST
    assert payload(items, 1) == b"_" * len(RESPONSE)


def test_a_syn_of_the_present_connection_is_no_new_one() -> None:
    """A retransmitted SYN changes nothing."""
    wire, target = Wire(), table()
    opening = wire.open()
    push(target, *opening, wire.client(REQUEST))
    push(target, opening[0], opening[1], opening[0]._replace(flags=SYN))
    assert payload(push(target, wire.server(RESPONSE)), 1) == RESPONSE
    assert not target.take_ended()


def test_the_first_bytes_are_looked_at_whatever_came_before() -> None:
    """In a file a response waits for its request, and then TLS begins: found by fuzzing."""
    wire, target = Wire(), table(acks_prove_loss=False)
    syns = wire.open()
    tls = wire.client(b"\x16\x03\x01hello")
    early = wire.server(b"HTTP/1.1 200 OK\r\n\r\n")
    push(target, *syns, early)
    assert not target.expire(wire.now)  # not yet
    assert not push(target, tls, wire.client(b"more"))
    assert target.counts.not_http_tls > 0
