"""Networks and their regions."""

from __future__ import annotations

import random
from ipaddress import ip_address, ip_network

import pytest

from shadow_agent.segments.region import Networks


def packed(address: str) -> bytes:
    """As a flow's key has it."""
    found = ip_address(address)
    return bytes(10) + b"\xff\xff" + found.packed if found.version == 4 else found.packed


@pytest.mark.parametrize(
    ("address", "region"),
    [
        ("10.0.0.1", "office"),
        ("10.1.0.0", "eu"),
        ("10.1.2.3", "paris"),
        ("10.1.2.255", "paris"),
        ("10.1.3.0", "eu"),
        ("10.2.0.0", "office"),
        ("11.0.0.0", "none"),
        ("9.255.255.255", "none"),
        ("2001:db8::1", "lab"),
        ("2001:db9::", "none"),
        ("::", "none"),
        ("ffff::", "far"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "far"),
    ],
)
def test_the_narrowest_network_counts(address: str, region: str) -> None:
    """Both families in one table."""
    table = [
        ("10.0.0.0/8", "office"),
        ("10.1.0.0/16", "eu"),
        ("10.1.2.0/24", "paris"),
        ("2001:db8::/32", "lab"),
        ("ffff::/16", "far"),
    ]
    assert Networks(table).find(packed(address)) == region
    assert Networks(reversed(table)).find(packed(address)) == region


def test_as_ipaddress_says() -> None:
    """A thousand addresses in fifty networks inside each other."""
    chance = random.Random(3)
    table = {}
    for number in range(50):
        bits = chance.randrange(0, 33)
        start = chance.choice([0x0A000000, 0x0A010000, 0xC0000200]) | chance.getrandbits(12)
        network = ip_network((start >> (32 - bits) << (32 - bits) if bits else 0, bits))
        table[str(network)] = f"r{number}"
    networks = Networks(table.items())
    for _ in range(1000):
        address = ip_address(
            chance.choice([0x0A000000, 0x0A010000, 0xC0000200]) | chance.getrandbits(13)
        )
        inside = [one for one in map(ip_network, table) if address in one]
        best = max(inside, key=lambda one: one.prefixlen, default=None)
        assert networks.find(packed(str(address))) == (table[str(best)] if best else "none")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ([("10.0.0.1/8", "a")], "has host bits set.*write 192.0.2.0/24"),
        ([("ten", "a")], "is no network"),
        ([("10.0.0.0/8", "a"), ("10.0.0.0/8", "b")], "give each network once"),
    ],
)
def test_mistakes(table: list[tuple[str, str]], reason: str) -> None:
    """One line with the fix."""
    with pytest.raises(ValueError, match=reason):
        Networks(table)
