"""Tunnels in UDP: VXLAN, GENEVE, GTP-U, Teredo, AYIYA, L2TP and others, by their ports."""

from __future__ import annotations

from typing import Final

from shadow_agent.capture.layers import (
    ETHERTYPES,
    MAX_STEPS,
    PROTOCOLS,
    UDP_PORTS,
    Next,
    Outcome,
    Packet,
    follow,
    ip_by_version,
    layer,
    u16,
)
from shadow_agent.capture.link import ethernet
from shadow_agent.capture.serial import mpls, ppp
from shadow_agent.capture.tunnels import follow_next, guess
from shadow_agent.capture.wireless import wifi
from shadow_agent.telemetry.reasons import Unsupported

_HEADER: Final = 8  # bytes of a UDP header
_TEREDO_PREFIX: Final = b"\x20\x01\x00\x00"
_TEREDO_INDICATION: Final = b"\x00\x01"  # authentication
_TEREDO_ORIGIN: Final = b"\x00\x00"

UDP_PORTS[6635] = mpls  # RFC 7510


@layer(PROTOCOLS, 17, 136)
def udp(packet: Packet) -> Next:
    """UDP and UDP-Lite: which tunnel it is, if any, its ports say; Teredo also its addresses."""
    at = packet.at
    source, destination = u16(packet, at), u16(packet, at + 2)
    packet.at = at + _HEADER
    for port in (destination, source):
        if (tunnel := UDP_PORTS.get(port)) is not None:
            return tunnel
    return teredo if _is_teredo(packet) else Outcome.OTHER


def _is_teredo(packet: Packet) -> bool:
    """Between clients Teredo uses any port: an IPv6 packet from or to its prefix."""
    data, at = packet.data, packet.at
    return (
        data[at : at + 1] == b"\x60"
        and _TEREDO_PREFIX in {data[at + 8 : at + 12], data[at + 24 : at + 28]}
        and at + 40 + u16(packet, at + 4) == packet.end
    )


@layer(UDP_PORTS, 3544)
def teredo(packet: Packet) -> Next:
    """RFC 4380: an authentication header and the origin's address may come before IPv6."""
    data, at = packet.data, packet.at
    if data[at : at + 2] == _TEREDO_INDICATION:
        at += 4 + data[at + 2] + data[at + 3] + 9
    if data[at : at + 2] == _TEREDO_ORIGIN:
        at += 8
    packet.at = at
    return ip_by_version(packet)


@layer(UDP_PORTS, 4789, 8472)
def vxlan(packet: Packet) -> Next:
    """RFC 7348; also OTV, whose header has the same shape."""
    flags = packet.data[packet.at]
    following = packet.data[packet.at + 3]
    packet.at += 8
    # the generic protocol extension on VXLAN's port
    return follow_next(packet, following) if flags & 0x04 else ethernet


@layer(UDP_PORTS, 4790)
def vxlan_gpe(packet: Packet) -> Next:
    """VXLAN with a next protocol in its fourth byte."""
    packet.at += 8
    return follow_next(packet, packet.data[packet.at - 5])


@layer(UDP_PORTS, 6081)
def geneve(packet: Packet) -> Next:
    """RFC 8926: options in units of four bytes, then what an EtherType says."""
    data, at = packet.data, packet.at
    packet.at = at + 8 + (data[at] & 0x3F) * 4
    return follow(ETHERTYPES, u16(packet, at + 2))


@layer(UDP_PORTS, 2152)
def gtp_u(packet: Packet) -> Next:
    """GTPv1-U: user packets, behind optional fields and extension headers."""
    data, at = packet.data, packet.at
    flags, kind = data[at], data[at + 1]
    if flags >> 5 != 1 or not flags & 0x10 or kind != 255:
        return Outcome.OTHER  # GTP', or signalling
    at += 8
    if flags & 7:  # any of: extension, sequence number, N-PDU number
        following = data[at + 3] if flags & 4 else 0
        at += 4
        for _ in range(MAX_STEPS):
            if not following:
                break
            at += data[at] * 4
            following = data[at - 1]
    packet.at = at
    if data[at] >> 4 in {4, 6}:
        return ip_by_version(packet)
    return ppp if data[at : at + 2] == b"\xff\x03" else ethernet


@layer(UDP_PORTS, 3386)
def gtp_0(packet: Packet) -> Next:
    """GTP version 0: a header of twenty bytes."""
    data, at = packet.data, packet.at
    if data[at] >> 5 or data[at + 1] != 255:
        return Outcome.OTHER
    packet.at = at + 20
    return ip_by_version(packet)


@layer(UDP_PORTS, 5072)
def ayiya(packet: Packet) -> Next:
    """Anything in anything: identity and signature of given lengths, then an IP protocol."""
    data, at = packet.data, packet.at
    identity, signature, operation = data[at] >> 4, data[at + 1] >> 4, data[at + 2] & 0x0F
    if operation not in {1, 2}:  # forward, echo request and forward
        return Outcome.OTHER
    packet.at = at + 8 + (1 << identity) + signature * 4
    return follow(PROTOCOLS, data[at + 3])


@layer(UDP_PORTS, 1701)
def l2tp(packet: Packet) -> Next:
    """L2TPv2 data messages carry PPP; version 3 carries what its ends agreed on."""
    data, at = packet.data, packet.at
    flags, version = data[at], data[at + 1] & 0x0F
    if flags & 0x80 or version not in {2, 3}:
        return Outcome.OTHER  # control, or Cisco's L2F
    if version == 3:
        packet.at = at + 8
        return guess(packet)
    at += 2
    if flags & 0x40:  # length
        at += 2
    at += 4
    if flags & 0x08:  # sequence numbers
        at += 4
    if flags & 0x02:  # offset
        at += 2 + u16(packet, at)
    packet.at = at
    return ppp


@layer(UDP_PORTS, 4500)
def esp_in_udp(packet: Packet) -> Next:
    """IPsec behind NAT: ESP, or a key exchange marked by zeros, or one byte to keep NAT alive."""
    if packet.end - packet.at < 8 or not any(packet.data[packet.at : packet.at + 4]):
        return Outcome.OTHER
    return Unsupported.ENCRYPTED


@layer(UDP_PORTS, 4341)
def lisp(packet: Packet) -> Next:
    """LISP data: eight bytes, then IP."""
    packet.at += 8
    return ip_by_version(packet)


@layer(UDP_PORTS, 37008)
def tzsp(packet: Packet) -> Next:
    """TaZmen: tagged fields up to the end tag, then what its protocol number says."""
    data, at = packet.data, packet.at
    kind = u16(packet, at + 2)
    at += 4
    for _ in range(MAX_STEPS):
        if data[at] == 1:
            break
        at += 1 if data[at] == 0 else 2 + data[at + 1]
    packet.at = at + 1
    return {1: ethernet, 18: wifi}.get(kind, Outcome.OTHER)


@layer(UDP_PORTS, 5247)
def capwap(packet: Packet) -> Next:
    """CAPWAP data: 802.11, whose frame control many send with its bytes swapped, or 802.3."""
    data, at = packet.data, packet.at
    if data[at] & 0x0F:
        return Unsupported.ENCRYPTED  # DTLS
    native, fragment = data[at + 2] & 0x01, data[at + 3] & 0x80
    packet.at = at + (data[at + 1] >> 3) * 4
    if fragment:
        return Unsupported.FRAGMENT
    if not native:
        return ethernet
    at = packet.at
    if data[at] & 3 == 0 and data[at] >> 2 & 3 == 2:
        return wifi
    packet.data = data[:at] + data[at + 1 : at + 2] + data[at : at + 1] + data[at + 2 :]
    return wifi
