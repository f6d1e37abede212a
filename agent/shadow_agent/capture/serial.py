"""Point-to-point links: PPP and PPPoE, Cisco HDLC, frame relay, ATM, MPLS."""

from __future__ import annotations

from typing import Final

from shadow_agent.capture.layers import (
    ETHERTYPES,
    LINKS,
    MAX_STEPS,
    PPP,
    PROTOCOLS,
    Next,
    Outcome,
    Packet,
    follow,
    ip_by_version,
    layer,
    u16,
)
from shadow_agent.capture.link import ethernet, llc
from shadow_agent.capture.network import ipv4, ipv6
from shadow_agent.telemetry.reasons import Unsupported

_ADDRESS_CONTROL: Final = b"\xff\x03"
_HDLC_ADDRESSES: Final = frozenset({0x0F, 0x8F})  # Cisco's unicast and multicast
_WHOLE: Final = 0xC0  # multilink: this fragment is the first and the last


@layer(LINKS, 9)
@layer(ETHERTYPES, 0x880B)
def ppp(packet: Packet) -> Next:
    """PPP, with or without address and control, protocol numbers of one byte or two."""
    data, at = packet.data, packet.at
    if data[at : at + 2] == _ADDRESS_CONTROL:
        at += 2
    number = data[at]
    if number & 1:  # compressed: odd means last byte
        packet.at = at + 1
    else:
        number = u16(packet, at)
        packet.at = at + 2
    return follow(PPP, number)


PPP[0x0021] = ipv4
PPP[0x0057] = ipv6


@layer(PPP, 0x003D)
def multilink(packet: Packet) -> Next:
    """RFC 1990, long sequence numbers; only what is not cut into pieces."""
    if packet.data[packet.at] & _WHOLE != _WHOLE:
        return Unsupported.FRAGMENT
    packet.at += 4
    return ppp


@layer(PPP, 0x0031)
def bridged(packet: Packet) -> Next:
    """RFC 3518: flags, the kind of MAC, then a frame of it; 1 is Ethernet."""
    kind = packet.data[packet.at + 1]
    packet.at += 2
    return ethernet if kind == 1 else Outcome.OTHER


@layer(LINKS, 50)
def ppp_or_hdlc(packet: Packet) -> Next:
    """PPP in HDLC framing, or Cisco's HDLC: the first byte tells."""
    return hdlc if packet.data[packet.at] in _HDLC_ADDRESSES else ppp


@layer(LINKS, 166, 204)
def ppp_with_direction(packet: Packet) -> Next:
    """One byte for the direction, in the place of PPP's address (pppd) or before it."""
    packet.at += 1
    if packet.data[packet.at] == 0x03:
        packet.at += 1
    return ppp


@layer(LINKS, 104)
def hdlc(packet: Packet) -> Next:
    """Cisco HDLC: address, control, EtherType."""
    packet.at += 4
    return follow(ETHERTYPES, u16(packet, packet.at - 2))


@layer(LINKS, 205)
def hdlc_with_direction(packet: Packet) -> Next:
    """One byte for the direction first."""
    packet.at += 1
    return hdlc


@layer(LINKS, 51)
@layer(ETHERTYPES, 0x8864)
def pppoe(packet: Packet) -> Next:
    """PPPoE session packets: the length is that of the PPP packet."""
    at = packet.at
    packet.end = min(packet.end, at + 6 + u16(packet, at + 4))
    packet.at = at + 6
    return ppp if packet.data[at + 1] == 0 else Outcome.OTHER


@layer(LINKS, 206)
def frame_relay_with_direction(packet: Packet) -> Next:
    """One byte for the direction first."""
    packet.at += 1
    return frame_relay


@layer(LINKS, 107)
@layer(ETHERTYPES, 0x6559)
def frame_relay(packet: Packet) -> Next:
    """Q.922 address, then RFC 2427's control and NLPID, or Cisco's EtherType."""
    data, at = packet.data, packet.at
    for _ in range(4):  # the address's last byte has its lowest bit set
        at += 1
        if data[at - 1] & 1:
            break
    if data[at] != 0x03:
        packet.at = at + 2
        return follow(ETHERTYPES, u16(packet, at))
    at += 1
    if not data[at]:  # padding
        at += 1
    if data[at] == 0x80:  # SNAP
        packet.at = at + 6
        return follow(ETHERTYPES, u16(packet, at + 4))
    packet.at = at + 1
    return follow(ETHERTYPES, {0xCC: 0x0800, 0x8E: 0x86DD}.get(data[at], -1))


@layer(LINKS, 123)
def sunatm(packet: Packet) -> Next:
    """SunATM: what the circuit carries, and its numbers."""
    kind = packet.data[packet.at] & 0x0F
    packet.at += 4
    if kind == 1:  # LAN emulation
        packet.at += 2
        return ethernet
    return llc if kind == 2 else Outcome.OTHER


@layer(PPP, 0x0281, 0x0283)
@layer(ETHERTYPES, 0x8847, 0x8848)
@layer(PROTOCOLS, 137)
@layer(LINKS, 219)
def mpls(packet: Packet) -> Next:
    """Labels up to the bottom of the stack. Nothing says what follows: its first bits have to."""
    data, at = packet.data, packet.at
    for _ in range(MAX_STEPS):
        at += 4
        if data[at - 2] & 1:
            packet.at = at
            return pseudowire(packet)
    return Unsupported.MALFORMED


def pseudowire(packet: Packet) -> Next:
    """IP, or Ethernet with or without a control word of zeros before it."""
    data, at = packet.data, packet.at
    version = data[at] >> 4
    if (version == 4 and data[at] & 0x0F >= 5) or version == 6:
        return ip_by_version(packet)
    if version == 0 and (u16(packet, at + 12) not in ETHERTYPES or not any(data[at : at + 4])):
        packet.at = at + 4
    return ethernet
