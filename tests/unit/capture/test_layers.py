"""Tables of layers."""

from shadow_agent.capture.fragments import FragmentLimits, Fragments
from shadow_agent.capture.layers import Layer, Next, Outcome, Packet, follow, ip_by_version, layer
from shadow_agent.capture.network import ipv4, ipv6
from tests.unit.capture.samples import V4, V6, decoder


def packet(data: bytes) -> Packet:
    """A packet at its first byte."""
    return Packet(1, data, len(data), Fragments(FragmentLimits(), decoder().counts))


def test_a_layer_is_found_by_each_of_its_numbers() -> None:
    """And what is in no table is another protocol."""
    table: dict[int, Next] = {}

    @layer(table, 1, 2)
    def read(_: Packet) -> Next:
        return Outcome.TCP

    wanted: Layer = read
    assert [follow(table, number) for number in (1, 2, 3)] == [wanted, wanted, Outcome.OTHER]


def test_ip_says_its_version() -> None:
    """In its first four bits."""
    assert ip_by_version(packet(V4)) is ipv4
    assert ip_by_version(packet(V6)) is ipv6
    assert ip_by_version(packet(b"\x50")) is Outcome.OTHER
