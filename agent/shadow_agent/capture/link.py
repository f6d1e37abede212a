"""Link layers of fixed shape: from a frame's first byte to the network layer."""

from __future__ import annotations

from typing import Final

from shadow_agent.capture.layers import (
    ETHERTYPES,
    LINKS,
    MAX_STEPS,
    Layer,
    Next,
    Outcome,
    Packet,
    follow,
    ip_by_version,
    layer,
    u16,
)
from shadow_agent.telemetry.reasons import Unsupported

_LEAST_ETHERTYPE: Final = 0x600  # below: an IEEE 802.3 length
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD

# Address families: IPv4 everywhere, IPv6 on Linux, NetBSD, FreeBSD, Darwin and Windows.
_FAMILIES: Final = {2: _IPV4, **dict.fromkeys((10, 23, 24, 28, 30), _IPV6)}
# Network layer protocol identifiers of ISO 9577.
_NLPIDS: Final = {0xCC: _IPV4, 0x8E: _IPV6}
_SNAP: Final = b"\xaa\xaa\x03"
_NLPID: Final = b"\xfe\xfe\x03"
_IP_SAP: Final = b"\x06\x06\x03"
_ISL: Final = (b"\x01\x00\x0c\x00\x00", b"\x03\x00\x0c\x00\x00")  # where Cisco's ISL frames go


def ethertype(packet: Packet, at: int) -> Next:
    """What follows an EtherType (or 802.3 length) at ``at``."""
    number = u16(packet, at)
    packet.at = at + 2
    return llc if number < _LEAST_ETHERTYPE else follow(ETHERTYPES, number)


@layer(LINKS, 1)
@layer(ETHERTYPES, 0x6558)
def ethernet(packet: Packet) -> Next:
    """Ethernet II or IEEE 802.3; the checksum or padding at its end is cut off by the IP length."""
    at = packet.at
    if packet.data[at : at + 5] in _ISL:
        packet.at = at + 26
        return ethernet
    return ethertype(packet, at + 12)


def llc(packet: Packet) -> Next:
    """IEEE 802.2: SNAP, IP's own SAP, or the NLPID of routed OSI."""
    data, at = packet.data, packet.at
    start = data[at : at + 3]
    if start == _SNAP:
        return snap(packet)
    if start == _IP_SAP:
        packet.at = at + 3
        return follow(ETHERTYPES, _IPV4)
    if start == _NLPID:
        packet.at = at + 4
        return follow(ETHERTYPES, _NLPIDS.get(data[at + 3], -1))
    return Outcome.OTHER


def snap(packet: Packet) -> Next:
    """An organisation's number and an EtherType; bridged Ethernet has a number of its own."""
    data, at = packet.data, packet.at
    if data[at + 3 : at + 6] == b"\x00\x80\xc2":
        # RFC 2684, with and without the checksum, and its two bytes of padding
        packet.at = at + 10
        return ethernet if data[at + 7] in {1, 7} else Outcome.OTHER
    packet.at = at + 8
    return follow(ETHERTYPES, u16(packet, at + 6))


@layer(ETHERTYPES, 0x8100, 0x88A8, 0x9100, 0x9200, 0x9300)
def vlan(packet: Packet) -> Next:
    """IEEE 802.1Q, 802.1ad and what came before it."""
    return ethertype(packet, packet.at + 2)


def skip(length: int, following: Layer) -> Layer:
    """A layer whose header has a fixed length and says nothing that matters here."""

    def skipped(packet: Packet) -> Next:
        packet.at += length
        return following

    return skipped


def typed(at: int, length: int) -> Layer:
    """A layer of fixed length with an EtherType at ``at``."""

    def read(packet: Packet) -> Next:
        number = u16(packet, packet.at + at)
        packet.at += length
        return llc if number < _LEAST_ETHERTYPE else follow(ETHERTYPES, number)

    return read


ETHERTYPES[0x8926] = typed(4, 6)  # Cisco VN-Tag
ETHERTYPES[0x8909] = typed(6, 8)  # Cisco MetaData
ETHERTYPES[0x893F] = typed(6, 8)  # IEEE 802.1BR
ETHERTYPES[0x892F] = typed(4, 6)  # HSR
ETHERTYPES[0x88E7] = skip(4, ethernet)  # IEEE 802.1ah, MAC in MAC
ETHERTYPES[0x22F3] = skip(6, ethernet)  # TRILL without options
ETHERTYPES[0x8903] = skip(2, ethernet)  # Cisco FabricPath
LINKS[240] = skip(4, ethernet)  # netANALYZER
LINKS[241] = skip(12, ethernet)  # the same with preamble
LINKS[274] = skip(8, ethernet)  # IEEE 802.3br
LINKS[113] = typed(14, 16)  # Linux cooked
LINKS[276] = typed(0, 20)  # Linux cooked, version 2
LINKS[138] = typed(16, 18)  # Apple IP over IEEE 1394
LINKS[242] = typed(0, 4)  # IP over InfiniBand
LINKS[281] = LINKS[283] = typed(16, 18)  # Ethernet with a switch's tag: Broadcom, Marvell DSA
LINKS[282] = skip(4, ethernet)  # Broadcom's before the frame
LINKS[284] = typed(20, 22)  # Marvell's longer tag
ETHERTYPES[0xDADA] = typed(6, 8)  # the same, with its own EtherType
LINKS[8] = skip(16, ip_by_version)  # SLIP: direction, and the header before decompression
LINKS[100] = llc  # ATM, RFC 1483
LINKS[122] = skip(16, llc)  # IP over Fibre Channel
LINKS[10] = skip(13, llc)  # FDDI
LINKS[101] = LINKS[12] = LINKS[14] = ip_by_version  # raw IP, and two systems' own numbers for it


@layer(LINKS, 6)
def token_ring(packet: Packet) -> Next:
    """IEEE 802.5; a source route follows where the source address has its first bit set."""
    data, at = packet.data, packet.at
    route = data[at + 14] & 0x1F if data[at + 8] & 0x80 else 0
    packet.at = at + 14 + route
    return llc


@layer(LINKS, 0, 108)
def loopback(packet: Packet) -> Next:
    """BSD loopback: an address family in the byte order of the host that captured it."""
    family = packet.data[packet.at : packet.at + 4]
    return _by_family(packet, family, 4)


@layer(LINKS, 109)
def enc(packet: Packet) -> Next:
    """OpenBSD's and FreeBSD's view of IPsec after decryption."""
    return _by_family(packet, packet.data[packet.at : packet.at + 4], 12)


def _by_family(packet: Packet, family: bytes, header: int) -> Next:
    packet.at += header
    little, big = int.from_bytes(family, "little"), int.from_bytes(family, "big")
    return follow(ETHERTYPES, _FAMILIES.get(little) or _FAMILIES.get(big, -1))


@layer(LINKS, 117)
def pflog(packet: Packet) -> Next:
    """OpenBSD's packet filter log: its length, without padding to four bytes, comes first."""
    data, at = packet.data, packet.at
    packet.at = at + (data[at] + 3 & ~3)
    return follow(ETHERTYPES, _FAMILIES.get(data[at + 1], -1))


@layer(LINKS, 239)
def nflog(packet: Packet) -> Next:
    """Netfilter log: attributes in the capturing host's byte order; one is the packet."""
    data, at = packet.data, packet.at
    family = data[at]
    at += 4
    big = data[at + 3]  # types are below 256
    for _ in range(MAX_STEPS):
        length, kind = data[at] | data[at + 1] << 8, data[at + 2]
        if big:
            length, kind = u16(packet, at), data[at + 3]
        if length < 4:
            return Unsupported.MALFORMED
        if kind == 9:
            packet.at = at + 4
            return follow(ETHERTYPES, _FAMILIES.get(family, -1))
        at += length + 3 & ~3
    return Unsupported.MALFORMED


# ARCnet: IP of RFC 1201 and RFC 1051, IPv6.
_ARCNET_TYPES: Final = {212: _IPV4, 240: _IPV4, 196: _IPV6}


@layer(LINKS, 129)
def arcnet_linux(packet: Packet) -> Next:
    """ARCnet as Linux gives it: fragments put together, two more bytes than on the wire."""
    kind = packet.data[packet.at + 4]
    packet.at += 5 if kind in {240, 241} else 8
    return follow(ETHERTYPES, _ARCNET_TYPES.get(kind, -1))


@layer(LINKS, 7)
def arcnet(packet: Packet) -> Next:
    """ARCnet as BSD gives it: frames as on the wire, some of them a part only."""
    data, at = packet.data, packet.at
    kind = data[at + 2]
    if kind in {240, 241}:
        packet.at = at + 3
    elif data[at + 3] == 0xFF:  # an exception frame: padding before the real header
        packet.at = at + 10
        if data[at + 7]:
            return Unsupported.FRAGMENT
    else:
        packet.at = at + 6
        if data[at + 3]:
            return Unsupported.FRAGMENT
    return follow(ETHERTYPES, _ARCNET_TYPES.get(kind, -1))
