"""The byte budget: asked at a request's start, kept to the response's end, in both directions."""

from __future__ import annotations

import struct
import time

import pytest

from shadow_agent.kernel.control import MAX_BYTES_PER_S
from shadow_agent.kernel.layout import ControlField, Counter
from shadow_agent.kernel.sampling import flow_hash
from tests.kernel.conftest import PAGE, MakeTap, Tap
from tests.kernel.talk import (
    COPIED,
    ENTRY,
    GET,
    OK,
    SKIPPED,
    Talk,
    counted,
    debt_ns,
    epoch,
    limit,
    number,
    spend,
    tenancy,
)

SETS = 16384
WAYS = 4


@pytest.fixture
def tap(make_tap: MakeTap) -> Tap:
    """One that sees both directions."""
    return make_tap(ENTRY)


def test_without_a_budget_records_have_no_number(tap: Tap) -> None:
    """Nothing is decided, and nobody's slot is looked at."""
    assert counted(Talk(tap).exchange()) == [COPIED, COPIED]
    spend(tap)
    (request,), _ = Talk(tap).client(GET % 1)
    assert request.number == 0


def test_a_request_and_its_response_share_a_fate(tap: Tap) -> None:
    """Copied while there is room, else skipped and counted; sequence numbers wrap on the way."""
    talk = Talk(tap)
    limit(tap)
    (first, second), _ = zip(*talk.exchange(1), strict=True)
    spend(tap)
    for one in (2, 3, 4):
        assert counted(talk.exchange(one)) == [SKIPPED, SKIPPED]
    limit(tap)
    (third, fourth), _ = zip(*talk.exchange(5), strict=True)
    records = [first[0], second[0], third[0], fourth[0]]
    assert [r.payload for r in records] == [GET % 1, OK, GET % 5, OK]
    assert [epoch(r) for r in records] == [0, 0, 1, 1]
    assert [number(r) for r in records] == [1, 1, 2, 2]
    assert len({tenancy(r) for r in records}) == 1
    assert third[0].seq < first[0].seq, "the sequence numbers did not wrap"


def test_the_answer_holds_to_the_end_of_the_message(tap: Tap) -> None:
    """A body and a response of any length, whatever they cost; the debt is the next one's."""
    talk = Talk(tap)
    limit(tap)
    before = time.monotonic_ns()
    assert talk.client(b"POST /x HTTP/1.1\r\nContent-Length: 9000\r\n\r\n").counted == COPIED
    for _ in range(6):
        assert talk.client(bytes(1500)).counted == COPIED
    for _ in range(20):
        assert talk.server(bytes(1500)).counted == COPIED
    assert debt_ns(tap) - before > 39_000 * 1_000_000_000
    assert counted(talk.exchange()) == [SKIPPED, SKIPPED]


def test_no_budget_any_more(tap: Tap) -> None:
    """What was skipped stays skipped to its end, the next request is copied; nothing is owed."""
    talk = Talk(tap)
    limit(tap, room=False)
    assert talk.client(GET % 1).counted == SKIPPED
    tap.control.set_byte_budget(None)
    assert talk.server(OK).counted == SKIPPED
    assert counted(talk.exchange(2)) == [COPIED, COPIED]
    assert counted(talk.exchange(3)) == [COPIED, COPIED]


def test_budget_over_time(tap: Tap) -> None:
    """The burst first, then as much as time pays for; a long quiet time saves up no more."""
    size = len(GET % 1) + len(OK)
    tap.control.set_byte_budget(1, 3 * size - 1)
    talk = Talk(tap)
    fates = [talk.exchange()[1].counted == COPIED for _ in range(6)]
    assert fates == [True] * 3 + [False] * 3
    tap.control.set_byte_budget(MAX_BYTES_PER_S, 1)  # a debt of another rate is forgotten
    assert counted(talk.exchange()) == [COPIED, COPIED]


def test_pipelined_requests_share_the_fate_of_the_first(tap: Tap) -> None:
    """Whose response is whose nobody here can tell; skipped once, such a flow is left alone."""
    talk = Talk(tap)
    limit(tap)
    assert talk.client(GET % 1).counted == COPIED
    spend(tap)
    assert talk.client(GET % 2, ack=talk.next[1]).counted == COPIED
    assert counted([talk.server(OK), talk.server(OK)]) == [COPIED, COPIED]
    assert counted(talk.exchange(3)) == [SKIPPED, SKIPPED]
    limit(tap)
    assert counted(talk.exchange(4)) == [SKIPPED, SKIPPED]


def test_a_request_sent_while_a_response_streams_is_pipelined(tap: Tap) -> None:
    """The client lacks bytes that the service has sent."""
    talk = Talk(tap)
    limit(tap)
    assert talk.client(GET % 1).counted == COPIED
    talk.server(OK)
    seen = talk.next[1]
    talk.server(bytes(1000))
    spend(tap)
    assert talk.client(GET % 2, ack=seen).counted == COPIED


def test_a_retransmitted_request_asks_nothing(tap: Tap) -> None:
    """Whatever became of the budget: it is the same request."""
    talk = Talk(tap)
    limit(tap)
    talk.client(GET % 1)
    spend(tap)
    assert talk.client(GET % 1, back=len(GET % 1)).counted == COPIED
    talk.server(OK)
    assert talk.client(GET % 1, back=len(GET % 1)).counted == COPIED
    assert talk.client(GET % 2).counted == SKIPPED
    limit(tap)
    assert talk.client(GET % 2, back=len(GET % 2)).counted == SKIPPED


def test_a_body_before_its_head_is_skipped_with_it(tap: Tap) -> None:
    """Out of order, at the moment when there is room again: no half request."""
    talk = Talk(tap)
    limit(tap, room=False)
    talk.exchange()
    limit(tap)
    head = b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
    talk.next[0] += len(head)
    assert talk.client(b"nine byte").counted == SKIPPED
    assert talk.client(head, back=len(head) + 9).counted == SKIPPED
    assert talk.server(OK).counted == SKIPPED
    assert counted(talk.exchange(2)) == [COPIED, COPIED]


@pytest.mark.parametrize(
    "body", [b"THE CAT /sat on the mat", b"POSTAL /codes and more", b"get /x "]
)
def test_a_body_is_no_request(tap: Tap, body: bytes) -> None:
    """After an interim response a body stands where a request might."""
    talk = Talk(tap)
    limit(tap)
    talk.client(b"POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 30\r\n\r\n")
    talk.server(b"HTTP/1.1 100 Continue\r\n\r\n")
    spend(tap)
    assert talk.client(body + bytes(30 - len(body))).counted == COPIED
    assert talk.server(OK).counted == COPIED


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"PUT", b"POST", b"PATCH", b"DELETE", b"OPTIONS"]
)
@pytest.mark.parametrize("target", [b"/", b"http://a/", b"*"])
def test_methods(tap: Tap, method: bytes, target: bytes) -> None:
    """The usual ones are a request's start."""
    talk = Talk(tap)
    limit(tap)
    talk.exchange()
    assert talk.client(method + b" " + target + b" HTTP/1.1\r\n\r\n").counted == SKIPPED


def test_a_whole_connection(tap: Tap) -> None:
    """SYN, requests and FIN are all copied as without a budget while there is room."""
    tap.control.set_byte_budget(1, 1_000_000)
    talk = Talk(tap)
    assert counted(talk.open() + talk.exchange(1) + talk.exchange(2)) == [COPIED] * 6
    assert counted([talk.finish(0), talk.finish(1)]) == [COPIED] * 2


@pytest.mark.parametrize("direction", [0, 1])
def test_the_end_of_a_known_connection_is_told(tap: Tap, direction: int) -> None:
    """Without the bytes that come with it, and where it stands."""
    talk = Talk(tap)
    limit(tap)
    talk.exchange()
    talk.exchange()
    at = talk.next[direction]
    (record,), moved = talk.finish(direction, b"last bytes, not ours")
    assert moved == COPIED
    assert (record.payload, record.length) == (b"", 0)
    assert record.seq == (at + 20) & 0xFFFF_FFFF
    assert record.flags & 1
    assert epoch(record) == 1
    (record,), _ = talk.reset(1 - direction)
    assert record.flags & 4


def test_the_end_of_an_unknown_connection_is_not(tap: Tap) -> None:
    """None of it was copied."""
    limit(tap, room=False)
    talk = Talk(tap)
    talk.open()
    talk.exchange()
    assert counted([talk.finish(0), talk.finish(1), talk.reset(0)]) == [SKIPPED] * 3


@pytest.mark.parametrize(
    "preamble",
    [b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)],
)
def test_a_skipped_preamble_shuts_the_connection(tap: Tap, preamble: bytes) -> None:
    """What follows is not said for whom; a copied one is followed like any other flow."""
    limit(tap, room=False)
    talk = Talk(tap)
    talk.open()
    assert talk.client(preamble).counted == SKIPPED
    talk.exchange()
    limit(tap)
    assert counted(talk.exchange()) == [SKIPPED] * 2
    other = Talk(tap, port=40002)
    tap.control.set_byte_budget(1, 1_000_000)
    assert counted([*other.open(), other.client(preamble), *other.exchange()]) == [COPIED] * 5
    spend(tap)
    assert counted(other.exchange()) == [SKIPPED] * 2
    limit(tap)
    assert counted(other.exchange()) == [COPIED] * 2


def test_what_is_no_http_asks_at_every_packet(tap: Tap) -> None:
    """It never begins a request, and may not go on for ever."""
    limit(tap)
    talk = Talk(tap)
    talk.open()
    assert talk.client(b"\x16\x03\x01 a TLS hello....").counted == COPIED
    assert talk.server(bytes(2000)).counted == SKIPPED
    assert talk.client(bytes(2000)).counted == SKIPPED


def test_joined_in_mid_connection(tap: Tap) -> None:
    """The rest of a response that nobody saw begin counts for nothing at the next request."""
    limit(tap, room=False)
    talk = Talk(tap)
    assert talk.server(bytes(100)).counted == SKIPPED
    limit(tap)
    assert talk.server(bytes(100)).counted == SKIPPED
    assert counted(talk.exchange()) == [COPIED, COPIED]


def test_pause_takes_no_notice(tap: Tap) -> None:
    """What passes while paused is unknown, and the next request asks all the same."""
    talk = Talk(tap)
    limit(tap)
    talk.exchange()
    tap.control.set_paused(True)
    assert counted(talk.exchange()) == [{Counter.PAUSED: 1}] * 2
    tap.control.set_paused(False)
    assert counted(talk.exchange()) == [SKIPPED] * 2
    limit(tap)
    assert counted(talk.exchange()) == [COPIED] * 2


def test_a_budget_in_mid_run(tap: Tap) -> None:
    """What is under way goes on for a while, whatever there is room for; new connections ask."""
    talk = Talk(tap)
    talk.client(GET % 1)
    soon = time.monotonic_ns() + 10**12
    tap.control.set_byte_budget(1, 1, joined_until_ns=soon)
    spend(tap)
    assert counted([talk.server(bytes(1000)), talk.server(bytes(1000))]) == [COPIED] * 2
    assert counted(talk.exchange()) == [SKIPPED] * 2
    other = Talk(tap, port=40002)
    assert counted(other.open()) == [SKIPPED] * 2
    tap.control._put("Q", ControlField.JOINED_UNTIL_NS, 1)
    assert Talk(tap, port=40003).server(bytes(1000)).counted == SKIPPED


def test_a_new_connection_on_the_same_ports(tap: Tap) -> None:
    """After a FIN at once; without one its SYN+ACK says where it stands."""
    limit(tap)
    talk = Talk(tap, client=1000, server=5000)
    talk.exchange()
    talk.next = [2_000_000_000, 3_000_000_000]
    limit(tap)
    talk.open()
    talk.exchange()
    assert counted(talk.exchange()) == [SKIPPED] * 2
    limit(tap)
    assert counted(talk.exchange()) == [COPIED] * 2


def _ports_of_one_set(wanted: int) -> list[int]:
    """Client ports whose flows share a set of slots; the salt is the fixture's."""
    found: dict[int, list[int]] = {}
    addresses = b"".join(bytes(10) + b"\xff\xff\x08\0\0" + bytes([last]) for last in (7, 2))
    for port in range(1024, 65536):
        key = addresses + struct.pack("!HH", port, 8080)
        ports = found.setdefault(flow_hash(key, 0x5EED) & (SETS - 1), [])
        ports.append(port)
        if len(ports) == wanted:
            return ports
    raise AssertionError("no such ports")


def test_flows_that_share_a_set(tap: Tap) -> None:
    """Four have slots; a fifth waits, under a name, until one of them ends or is skipped."""
    ports = _ports_of_one_set(WAYS + 3)
    talks = [Talk(tap, port) for port in ports]
    tap.control.set_byte_budget(1, 1_000_000)
    *held, fifth, sixth, seventh = talks
    for talk in held:
        assert counted(talk.exchange()) == [COPIED] * 2
    waits = {Counter.OVER_BUDGET: 1, Counter.UNTRACKED: 1}
    assert counted(fifth.exchange()) == [waits] * 2
    for talk in held:
        assert counted(talk.exchange()) == [COPIED] * 2
    held[1].finish(0)
    assert counted(fifth.exchange()) == [COPIED] * 2
    assert counted(sixth.exchange()) == [waits] * 2
    spend(tap)
    assert held[2].client(GET % 1).counted == SKIPPED
    tap.control.set_byte_budget(1, 1_000_000)
    (record,), _ = seventh.client(GET % 1)
    assert (epoch(record), number(record)) == (0, 1)
    # it comes back in the middle of what was skipped, and is another tenant's neighbour
    assert held[2].server(OK).counted == waits
    assert counted(held[0].exchange()) == [COPIED] * 2


def test_a_full_ring_advances_the_number(make_tap: MakeTap) -> None:
    """What was to be copied and was not shows in the next record."""
    tap = make_tap(ENTRY, ring_size=PAGE)
    tap.control.set_byte_budget(1, 1_000_000)
    talk = Talk(tap)
    (first,), _ = talk.client(GET % 1)
    assert talk.server(bytes(3000)).counted == {Counter.RING_FULL: 1}
    (last,), _ = talk.server(OK)
    assert (number(first), number(last)) == (1, 2)


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0), (MAX_BYTES_PER_S + 1, 1)])
def test_no_budget_is_refused(tap: Tap, rate: int, burst: int) -> None:
    """A budget that could never copy, or that the kernel cannot count."""
    with pytest.raises(ValueError, match="no byte budget"):
        tap.control.set_byte_budget(rate, burst)
