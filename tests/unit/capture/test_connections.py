"""Which end of a connection is the service."""

from struct import pack

import pytest

from shadow_agent.capture.connections import Connections, mirrored
from shadow_agent.flow.segment import ACK, SYN, Direction, flow_key
from tests.unit.capture.samples import KEY4, KEY6, REQUEST

CLIENT = bytes([192, 0, 2, 1, 198, 51, 100, 7]) + pack(">HH", 40_000, 80)
SERVICE = mirrored(CLIENT)
REPLY = b"HTTP/1.1 200 OK\r\n\r\n"
ASKS, ANSWERS = (KEY4, Direction.REQUEST), (KEY4, Direction.RESPONSE)


def numbered(number: int) -> bytes:
    """Another client."""
    return CLIENT[:8] + pack(">HH", number, 80)


def test_the_mirror_of_a_pair_is_the_other_end() -> None:
    """Twice mirrored is the same; IPv6 too."""
    assert mirrored(SERVICE) == CLIENT
    pair = KEY6
    assert mirrored(mirrored(pair)) == pair
    assert Connections(frozenset({80}), 4).learn(pair, ACK, b"") == (KEY6, Direction.REQUEST)


def test_a_port_names_the_service() -> None:
    """Either way, before any payload; other ports are nobody's."""
    known = Connections(frozenset({80, 8080}), 4)
    assert known.learn(SERVICE, ACK, b"") == ANSWERS
    assert known.learn(CLIENT, ACK, b"") == ASKS
    assert known.sides == {CLIENT: ASKS, SERVICE: ANSWERS}
    assert known.learn(CLIENT[:8] + pack(">HH", 1, 2), SYN, b"") is None


def test_between_two_services_the_syn_decides() -> None:
    """Both ends on a port of the service."""
    known = Connections(frozenset({80, 40_000}), 4)
    assert known.learn(CLIENT, ACK, b"") is None
    assert known.learn(CLIENT, SYN, b"") == ASKS
    assert known.learn(SERVICE, ACK, b"x") == ANSWERS


@pytest.mark.parametrize(
    ("pair", "flags", "payload", "side"),
    [
        pytest.param(CLIENT, SYN, b"", ASKS, id="syn"),
        pytest.param(SERVICE, SYN | ACK, b"", ANSWERS, id="syn-ack"),
        pytest.param(CLIENT, ACK, REQUEST, ASKS, id="request"),
        pytest.param(SERVICE, ACK, REPLY, ANSWERS, id="response"),
        pytest.param(SERVICE, ACK, b"neither", None, id="middle"),
        pytest.param(CLIENT, ACK, b"", None, id="ack"),
    ],
)
def test_without_ports_the_first_to_tell_decides(
    pair: bytes, flags: int, payload: bytes, side: object
) -> None:
    """And then the other end is known, too."""
    known = Connections(frozenset(), 4)
    assert known.learn(pair, flags, payload) == side
    other = ANSWERS if pair == CLIENT else ASKS
    assert known.learn(mirrored(pair), ACK, b"") == (other if side else None)


def test_a_syn_is_provisional_until_payload() -> None:
    """Who asks is the client, whoever connected."""
    known = Connections(frozenset(), 4)
    known.learn(SERVICE, SYN, b"")
    assert known.learn(CLIENT, ACK, REQUEST) == ASKS
    assert known.learn(SERVICE, ACK, b"body") == ANSWERS


def test_two_syns_at_once_wait_for_payload() -> None:
    """Simultaneous open: the first SYN stands, then the first request."""
    known = Connections(frozenset(), 4)
    assert known.learn(CLIENT, SYN, b"") == ASKS
    assert known.learn(SERVICE, SYN, b"") == ANSWERS
    assert known.learn(CLIENT, SYN | ACK, b"") == ASKS
    assert known.learn(CLIENT, ACK, REQUEST) == ASKS


def test_a_new_syn_turns_the_direction() -> None:
    """The ports were used again the other way round."""
    known = Connections(frozenset(), 4)
    assert known.learn(CLIENT, ACK, REQUEST) == ASKS
    turned = flow_key("198.51.100.7", 80, "192.0.2.1", 40_000)
    assert known.learn(SERVICE, SYN, b"") == (turned, Direction.REQUEST)
    assert known.learn(CLIENT, ACK, b"x") == (turned, Direction.RESPONSE)


def test_a_syn_of_the_same_client_changes_nothing() -> None:
    """Nor does the answer to it."""
    known = Connections(frozenset(), 4)
    known.learn(CLIENT, ACK, REQUEST)
    assert known.learn(CLIENT, SYN, b"") == ASKS
    assert known.learn(SERVICE, SYN | ACK, b"") == ANSWERS


def test_memory_is_bounded() -> None:
    """Those idle longest are forgotten, and counted; what is used stays."""
    known = Connections(frozenset(), 8)
    known.learn(CLIENT, ACK, REQUEST)
    for number in range(1000, 1100):
        known.learn(numbered(number), SYN, b"")
        known.learn(numbered(number), ACK, REQUEST)
        assert known.learn(SERVICE, ACK, b"body") == ANSWERS
        assert len(known.sides) <= 8
    assert known.learn(numbered(1000), ACK, b"body") is None
    assert known.forgotten > 80


def test_a_flood_of_syns_is_bounded() -> None:
    """Each one remembered pushes the oldest out."""
    known = Connections(frozenset(), 8)
    for number in range(1000, 1100):
        known.learn(numbered(number), SYN, b"")
    assert known.forgotten == 92
