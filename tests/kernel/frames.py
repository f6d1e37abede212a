"""Frames for the tap, built by scapy, and what the tap should make of them.

BPF_PROG_TEST_RUN reads a frame's ethertype from bytes 12 and 13 also for the entries of devices
without a link header. There these are bytes of the IP source address, so every address here
carries the right ethertype in that place: 8.0.x.y and 2001:db8:86dd::/48. For the same reason
IPv6 has a traffic class that makes its first byte odd: it is taken for a multicast MAC, not for
another host's.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Packet, Raw

from tests.kernel.conftest import SERVICE

OUR_MAC = "00:00:00:00:00:00"  # of loopback, where test runs take place
OTHER_MAC = "02:00:00:00:00:99"
PEER_MAC = "02:00:00:00:00:01"

CLIENT_PORT = 40001
SHADOW_PORT = 9090
SEQ, ACK = 0xFFFFFFF0, 0x01020304

CLIENT = {4: "8.0.0.7", 6: "2001:db8:86dd::7"}
SERVER = {4: "8.0.0.2", 6: "2001:db8:86dd::2"}
SHADOW_HOST = {4: "8.0.9.9", 6: "2001:db8:86dd::99"}

GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"


class Way(NamedTuple):
    """A packet of one direction through one entry, which takes it for the service's."""

    entry: str
    request: bool

    @property
    def shadow(self) -> bool:
        """Whether the entry taps our own connections to the shadow."""
        return self.entry.startswith("shadow_")

    @property
    def l3(self) -> bool:
        """Whether the entry is for devices without a link header."""
        return "_l3_" in self.entry

    def __str__(self) -> str:
        return f"{self.entry}-{'request' if self.request else 'response'}"


WAYS = (
    Way("tap_ingress", True),
    Way("tap_egress", False),
    Way("tap_loopback", True),
    Way("tap_loopback", False),
    Way("tap_l3_ingress", True),
    Way("tap_l3_egress", False),
    Way("shadow_egress", True),
    Way("shadow_ingress", False),
    Way("shadow_loopback", True),
    Way("shadow_loopback", False),
    Way("shadow_l3_egress", True),
    Way("shadow_l3_ingress", False),
)


class Ends(NamedTuple):
    """Addresses and ports as they stand in a packet."""

    source: str
    sport: int
    destination: str
    dport: int

    def reversed(self) -> Ends:
        """The other direction."""
        return Ends(self.destination, self.dport, self.source, self.sport)


def request_ends(family: int, *, shadow: bool = False, port: int = CLIENT_PORT) -> Ends:
    """From a client to the service, or from us to the shadow."""
    if shadow:
        return Ends(SERVER[family], port, SHADOW_HOST[family], SHADOW_PORT)
    return Ends(CLIENT[family], port, SERVER[family], SERVICE)


def ends_of(way: Way, family: int) -> Ends:
    """As in a packet that goes this way."""
    ends = request_ends(family, shadow=way.shadow)
    return ends if way.request else ends.reversed()


def ip(ends: Ends, **fields: object) -> Packet:
    """An IP header of the addresses' family."""
    if ":" in ends.source:
        return IPv6(src=ends.source, dst=ends.destination, tc=0x10, **fields)
    return IP(src=ends.source, dst=ends.destination, **fields)


def tcp(ends: Ends, payload: bytes = b"", flags: str = "PA", **fields: object) -> Packet:
    """A TCP header and payload."""
    header = TCP(sport=ends.sport, dport=ends.dport, seq=SEQ, ack=ACK, flags=flags, **fields)
    return header / Raw(payload) if payload else header


def frame(packet: Packet | bytes, *, l3: bool = False, mac: str = OUR_MAC, tags: str = "") -> bytes:
    """On the wire: an Ethernet header unless ``l3``.

    ``tags``: q for 802.1Q, a for 802.1ad, o for 0x9100.
    """
    if l3:
        return bytes(packet)
    link: Packet = Ether(dst=mac, src=PEER_MAC)
    for tag in tags:
        link /= (Dot1AD if tag == "a" else Dot1Q)(vlan=42, prio=3)
        if tag == "o":
            link.lastlayer().underlayer.type = 0x9100
    if isinstance(packet, bytes):
        # scapy takes the ethertype from the next layer, which bytes do not have
        tail = link.lastlayer()
        tail.type = 0x86DD if packet[0] >> 4 == 6 else 0x0800
        return bytes(link) + packet
    return bytes(link / packet)


def shadow_of(family: int) -> tuple[IPv4Address | IPv6Address, int]:
    """The shadow's address and port."""
    return ip_address(SHADOW_HOST[family]), SHADOW_PORT


def size_class(length: int) -> int:
    """Payload room that a record of ``length`` bytes takes on the ring."""
    return next(size for size in (0, 256, 1024, 4096, 16384) if length <= size)
