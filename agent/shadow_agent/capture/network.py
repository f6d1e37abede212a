"""IPv4 and IPv6: past options, extension headers and fragments to the transport header."""

from __future__ import annotations

from struct import Struct
from typing import Final

from shadow_agent.capture.layers import (
    ETHERTYPES,
    LINKS,
    PROTOCOLS,
    Next,
    Outcome,
    Packet,
    follow,
    layer,
)
from shadow_agent.telemetry.reasons import Unsupported

# IP headers in one frame. Mirrored tunnels of tunnels have four; more is an attack on the walk.
_MAX_NESTING: Final = 8
# IPv6 extension headers in a row. RFC 8200 names seven kinds, one of them twice.
_MAX_EXTENSIONS: Final = 16

_IPV4: Final = Struct(">BxHHHxBxx8s").unpack_from
_IPV6: Final = Struct(">IHBx32s").unpack_from
_FRAGMENT: Final = Struct(">BxHI").unpack_from

_HOP_BY_HOP: Final = 0
_ROUTING: Final = 43
_FRAGMENT_HEADER: Final = 44
_ESP: Final = 50
_AUTHENTICATION: Final = 51
_DESTINATION: Final = 60
_MOBILITY: Final = 135
_HIP: Final = 139
_SHIM6: Final = 140
# Extension headers with their own length in units of 8 bytes, the first not counted.
_EIGHTS: Final = frozenset({_HOP_BY_HOP, _ROUTING, _DESTINATION, _MOBILITY, _HIP, _SHIM6})


PROTOCOLS[6] = Outcome.TCP  # the end of the walk
PROTOCOLS[_ESP] = Unsupported.ENCRYPTED


@layer(PROTOCOLS, _AUTHENTICATION)
def authentication(packet: Packet) -> Next:
    """IPsec authentication header: signed, not encrypted. Its length is in units of 4 bytes."""
    data, at = packet.data, packet.at
    packet.at = at + (data[at + 1] + 2) * 4
    return follow(PROTOCOLS, data[at])


@layer(ETHERTYPES, 0x0800)
@layer(PROTOCOLS, 4, 94)
@layer(LINKS, 228)
def ipv4(packet: Packet) -> Next:
    """Options are skipped; a total length of 0 (TSO, BIG TCP) means up to the frame's end."""
    at = packet.at
    version, total, ident, fragment, protocol, addresses = _IPV4(packet.data, at)
    header = (version & 0x0F) * 4
    if version >> 4 != 4 or header < 20 or 0 < total < header:
        return Unsupported.MALFORMED
    if not _nest(packet, addresses):
        return Unsupported.TUNNEL
    if total:
        packet.end = at + total
    packet.at = at + header
    if fragment & 0x3FFF:
        return _fragment(packet, protocol, ident, (fragment & 0x1FFF) * 8, bool(fragment & 0x2000))
    return follow(PROTOCOLS, protocol)


@layer(ETHERTYPES, 0x86DD)
@layer(PROTOCOLS, 41)
@layer(LINKS, 229)
def ipv6(packet: Packet) -> Next:
    """A payload length of 0 means up to the frame's end: a jumbogram, or TSO."""
    at = packet.at
    version, length, following, addresses = _IPV6(packet.data, at)
    if version >> 28 != 6:
        return Unsupported.MALFORMED
    if not _nest(packet, addresses):
        return Unsupported.TUNNEL
    packet.at = at + 40
    if length:
        packet.end = packet.at + length
    return _extensions(packet, following)


def _nest(packet: Packet, addresses: bytes) -> bool:
    packet.addresses = addresses
    packet.nesting += 1
    return packet.nesting <= _MAX_NESTING


def _extensions(packet: Packet, following: int) -> Next:
    """Walks extension headers up to the transport header or a fragment's."""
    data = packet.data
    for _ in range(_MAX_EXTENSIONS):
        at = packet.at
        if following in _EIGHTS:
            packet.at = at + (data[at + 1] + 1) * 8
            following = data[at]
        elif following == _FRAGMENT_HEADER:
            following, fragment, ident = _FRAGMENT(data, at)
            packet.at = at + 8
            if fragment & 0xFFF9:  # else an atomic fragment: the whole datagram
                return _fragment(packet, following, ident, fragment & 0xFFF8, bool(fragment & 1))
        else:
            return follow(PROTOCOLS, following)
    return Unsupported.IPV6_EXTENSION


def _fragment(packet: Packet, protocol: int, ident: int, offset: int, more: bool) -> Next:
    """Hands a fragment's bytes over; the walk goes on in the whole datagram once it is there."""
    if packet.end > len(packet.data):
        return Unsupported.TRUNCATED
    piece = packet.data[packet.at : packet.end]
    key = (packet.addresses, protocol, ident)
    whole = packet.fragments.add(key, packet.ts, offset, piece, more)
    if whole is None:
        return Outcome.HELD
    packet.data, packet.at, packet.end = whole.payload, 0, len(whole.payload)
    packet.joined += whole.fragments - 1
    if len(packet.addresses) == 8:
        return follow(PROTOCOLS, protocol)
    return _extensions(packet, protocol)
