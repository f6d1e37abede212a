"""TCP packets by hand: parsed, built with right checksums, cut in two."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from shadow_agent.flow.segment import FIN, PSH, RST, SYN

_TCP: Final = 6
_V4: Final = struct.Struct("!BBHHHBBH4s4s")
_V6: Final = struct.Struct("!IHBB16s16s")
_HEADER: Final = struct.Struct("!HHIIBBHHH")
_V6_FIRST_WORD: Final = 6 << 28
_TTL: Final = 64
_DONT_FRAGMENT: Final = 0x4000


class Packet(NamedTuple):
    """One TCP packet; addresses are 4 or 16 bytes, both of a kind."""

    source: bytes
    destination: bytes
    sport: int
    dport: int
    seq: int
    ack: int = 0
    flags: int = 0
    window: int = 65535
    urgent: int = 0
    options: bytes = b""  # a multiple of 4 bytes
    payload: bytes = b""

    @property
    def space(self) -> int:
        """Sequence numbers that it takes."""
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)


def parse(raw: bytes) -> Packet | None:
    """The TCP packet that begins with this IP header; None when it is none, or has extensions."""
    if not raw:
        return None
    if raw[0] >> 4 == 4 and raw[9] == _TCP:
        header = (raw[0] & 15) * 4
        source, destination = raw[12:16], raw[16:20]
        end = int.from_bytes(raw[2:4], "big") or len(raw)
    elif raw[0] >> 4 == 6 and raw[6] == _TCP:
        header = _V6.size
        source, destination = raw[8:24], raw[24:40]
        end = header + int.from_bytes(raw[4:6], "big")
    else:
        return None
    sport, dport, seq, ack, offset, flags, window, _, urgent = _HEADER.unpack_from(raw, header)
    payload_at = header + (offset >> 4) * 4
    options = raw[header + _HEADER.size : payload_at]
    return Packet(
        *(source, destination, sport, dport, seq, ack, flags, window, urgent, options),
        raw[payload_at:end],
    )


def build(packet: Packet) -> bytes:
    """From the IP header on."""
    size = _HEADER.size + len(packet.options)
    header = _HEADER.pack(
        *(packet.sport, packet.dport, packet.seq, packet.ack, size // 4 << 4, packet.flags),
        *(packet.window, 0, packet.urgent),
    )
    tcp = header + packet.options + packet.payload
    pseudo = packet.source + packet.destination + struct.pack("!II", len(tcp), _TCP)
    tcp = tcp[:16] + checksum(pseudo + tcp) + tcp[18:]
    if len(packet.source) == 16:
        first = (_V6_FIRST_WORD, len(tcp), _TCP, _TTL)
        return _V6.pack(*first, packet.source, packet.destination) + tcp
    total = _V4.size + len(tcp)
    ip = _V4.pack(
        *(0x45, 0, total, 0, _DONT_FRAGMENT, _TTL, _TCP, 0, packet.source, packet.destination)
    )
    return ip[:10] + checksum(ip) + ip[12:] + tcp


def checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071), two bytes."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def cut(packet: Packet, at: int, overlap: int = 0) -> tuple[Packet, Packet]:
    """Two packets: the payload before ``at``, and what follows from ``overlap`` bytes earlier."""
    back = at - overlap
    first = packet._replace(payload=packet.payload[:at], flags=packet.flags & ~(FIN | PSH | RST))
    second = packet._replace(payload=packet.payload[back:], seq=(packet.seq + back) & 0xFFFF_FFFF)
    return first, second
