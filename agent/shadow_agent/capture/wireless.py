"""IEEE 802.11 and what capture tools put before it."""

from __future__ import annotations

from typing import Final

from shadow_agent.capture.layers import LINKS, MAX_STEPS, Next, Outcome, Packet, follow, layer, u16
from shadow_agent.capture.link import ethertype, llc
from shadow_agent.telemetry.reasons import Unsupported

_DATA: Final = 2
# Bits of the subtype of data frames.
_NULL: Final = 4
_QOS: Final = 8
# Bits of the second byte of frame control.
_BOTH_WAYS: Final = 3  # to and from a distribution system: a fourth address
_PROTECTED: Final = 0x40
_ORDER: Final = 0x80
_AGGREGATE: Final = 0x80  # of the first QoS byte: A-MSDU
_LLC: Final = b"\xaa\xaa\x03"
_MAX_PARTS: Final = 512  # packets; the largest A-MSDU has 11,454 bytes, each packet 26 of headers
_AVS: Final = 0x8021


@layer(LINKS, 105)
def wifi(packet: Packet) -> Next:
    """A data frame; management and control frames carry nothing for us."""
    data, at = packet.data, packet.at
    control, flags = data[at], data[at + 1]
    if control >> 2 & 3 != _DATA or control >> 4 & _NULL:
        return Outcome.OTHER
    if flags & _PROTECTED:
        return Unsupported.ENCRYPTED
    header = 30 if flags & _BOTH_WAYS == _BOTH_WAYS else 24
    aggregate = False
    if control >> 4 & _QOS:
        aggregate = bool(data[at + header] & _AGGREGATE)
        header += 2
        if flags & _ORDER:
            header += 4
    packet.at = at + header
    if aggregate:
        return _split(packet)
    if data[packet.at + 2 : packet.at + 5] == _LLC:  # some drivers pad to four bytes
        packet.at += 2
    return llc


def _split(packet: Packet) -> Next:
    """An A-MSDU: packets with a small header each, padded to four bytes."""
    if packet.is_part:
        return Unsupported.TUNNEL
    data, at = packet.data, packet.at
    while at + 14 <= min(packet.end, len(data)) and len(packet.parts) < _MAX_PARTS:
        part = Packet(packet.ts, data, packet.end, packet.fragments)
        part.at = at + 14
        part.is_part = True
        length = u16(packet, at + 12)
        part.end = part.at + length
        packet.parts.append((part, llc))
        at += (14 + length + 3) & ~3
    return Outcome.SPLIT if packet.parts else Unsupported.TRUNCATED


@layer(LINKS, 127)
def radiotap(packet: Packet) -> Next:
    """Its length, little-endian, at the third byte."""
    data, at = packet.data, packet.at
    packet.at = at + (data[at + 2] | data[at + 3] << 8)
    return wifi if packet.at > at else Unsupported.MALFORMED


@layer(LINKS, 119, 163)
def prism(packet: Packet) -> Next:
    """Prism's header, in the byte order of the host that captured, or AVS, big-endian."""
    data, at = packet.data, packet.at
    length = data[at + 4 : at + 8]
    big = u16(packet, at) == _AVS or not (length[0] or length[1])
    size = int.from_bytes(length, "big" if big else "little")
    packet.at = at + size
    return wifi if size > 8 else Unsupported.MALFORMED


@layer(LINKS, 192)
def ppi(packet: Packet) -> Next:
    """Per-Packet Information: its length and the LINKTYPE that follows, little-endian."""
    data, at = packet.data, packet.at
    length = data[at + 2] | data[at + 3] << 8
    packet.at = at + length
    if length < 8:
        return Unsupported.MALFORMED
    return LINKS.get(data[at + 4] | data[at + 5] << 8, Unsupported.LINK)


@layer(LINKS, 258, 149)
def pktap(packet: Packet) -> Next:
    """Apple's packet tap: its length and the LINKTYPE that follows, little-endian."""
    data, at = packet.data, packet.at
    length = int.from_bytes(data[at : at + 4], "little")
    packet.at = at + length
    if length < 12:
        return Unsupported.MALFORMED
    return LINKS.get(data[at + 8] | data[at + 9] << 8, Unsupported.LINK)


@layer(LINKS, 197)
def erf(packet: Packet) -> Next:
    """Endace's record header with its extensions, then Ethernet or IP."""
    data, at = packet.data, packet.at
    kind = data[at + 8]
    packet.at = at + 16
    extended = kind & 0x80
    for _ in range(MAX_STEPS):
        if not extended:
            break
        extended = data[packet.at] & 0x80
        packet.at += 8
    kind &= 0x7F
    if kind in {2, 11, 16, 20}:  # Ethernet, two bytes of offset and padding before it
        packet.at += 2
        return ethertype(packet, packet.at + 12)
    if kind in {1, 10}:
        return follow(LINKS, 50)
    return follow(LINKS, {22: 228, 23: 229}.get(kind, -1))
