"""Tunnels right above IP or Ethernet: GRE with all that it carries, NSH, EtherIP and others."""

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
from shadow_agent.capture.wireless import wifi
from shadow_agent.telemetry.reasons import Unsupported

# Flags of GRE's first byte.
_CHECKSUM: Final = 0x80
_ROUTING: Final = 0x40
_KEY: Final = 0x20
_SEQUENCE: Final = 0x10
_ACKNOWLEDGED: Final = 0x80  # of the second byte, version 1

# What Aruba's access points put into GRE's protocol: tunnel numbers, the payload is 802.11.
_ARUBA: Final = frozenset({*range(0x8200, 0x8380, 0x10), 0x9000})

# Next-protocol numbers that VXLAN-GPE and NSH share.
_NEXT_IP: Final = frozenset({1, 2})
_NEXT_ETHERNET: Final = 3
_NEXT_NSH: Final = 4
_NEXT_MPLS: Final = 5


@layer(PROTOCOLS, 47)
@layer(UDP_PORTS, 4754)
def gre(packet: Packet) -> Next:
    """RFC 1701, 2784, 2890, and version 1 of PPTP."""
    data, at = packet.data, packet.at
    flags, version, protocol = data[at], data[at + 1], u16(packet, at + 2)
    at += 4
    if flags & (_CHECKSUM | _ROUTING):
        at += 4
    if flags & _KEY:
        at += 4
    if flags & _SEQUENCE:
        at += 4
    if version & 7 == 1 and version & _ACKNOWLEDGED:
        at += 4
    if flags & _ROUTING:
        for _ in range(MAX_STEPS):
            last = not u16(packet, at) and not data[at + 3]
            at += 4 + data[at + 3]
            if last:
                break
    packet.at = at
    if protocol == 0x88BE:
        # ERSPAN: type I has no header of its own, and no sequence number in GRE's
        packet.at += 8 if flags & _SEQUENCE else 0
        return ethernet
    return wifi if protocol in _ARUBA else follow(ETHERTYPES, protocol)


@layer(ETHERTYPES, 0x22EB)
def erspan_3(packet: Packet) -> Next:
    """ERSPAN type III: 12 bytes, 8 more where its last bit says so."""
    optional = packet.data[packet.at + 11] & 1
    packet.at += 20 if optional else 12
    return ethernet


@layer(ETHERTYPES, 0x883E)
def wccp(packet: Packet) -> Next:
    """Cisco's web cache redirection: version 2 has a header of four bytes, version 1 none."""
    if packet.data[packet.at] >> 4 != 4:
        packet.at += 4
    return ip_by_version(packet)


@layer(ETHERTYPES, 0x894F)
def nsh(packet: Packet) -> Next:
    """Network service header: its length in units of four bytes, what follows in its fourth."""
    data, at = packet.data, packet.at
    packet.at = at + (data[at + 1] & 0x3F) * 4
    if packet.at < at + 8:
        return Unsupported.MALFORMED
    return follow_next(packet, data[at + 3])


def follow_next(packet: Packet, number: int) -> Next:
    """What the next-protocol numbers that VXLAN-GPE and NSH share mean."""
    if number in _NEXT_IP:
        return ip_by_version(packet)
    if number == _NEXT_ETHERNET:
        return ethernet
    if number == _NEXT_NSH:
        return nsh
    return mpls if number == _NEXT_MPLS else Outcome.OTHER


@layer(ETHERTYPES, 0x88E5)
def macsec(packet: Packet) -> Next:
    """IEEE 802.1AE: mostly encrypted; if only signed, an EtherType follows the tag."""
    data, at = packet.data, packet.at
    control = data[at]
    if control & 0x0C:
        return Unsupported.ENCRYPTED
    packet.at = at + (16 if control & 0x20 else 8)  # 0x20: the sender's number is in it
    return follow(ETHERTYPES, u16(packet, packet.at - 2))


@layer(PROTOCOLS, 97)
def etherip(packet: Packet) -> Next:
    """RFC 3378: a version, twelve zeros."""
    packet.at += 2
    return ethernet


@layer(PROTOCOLS, 115)
def l2tp_3(packet: Packet) -> Next:
    """L2TPv3 over IP: a session, a cookie and a sublayer whose lengths only its ends know.

    Tried as IP, Ethernet or PPP behind the usual four bytes of session and no cookie.
    """
    if not any(packet.data[packet.at : packet.at + 4]):
        return Outcome.OTHER  # the control connection
    packet.at += 4
    return guess(packet)


def guess(packet: Packet) -> Next:
    """IP by its first byte, PPP by its address and control, else Ethernet."""
    data, at = packet.data, packet.at
    if data[at] >> 4 in {4, 6}:
        return ip_by_version(packet)
    return ppp if data[at : at + 2] == b"\xff\x03" else ethernet
