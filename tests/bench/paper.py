"""Frames of connections that exist on paper only, for what no generator can keep open or fast."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from pathlib import Path
from typing import BinaryIO, Final

from shadow_agent.flow.segment import ACK, FIN, PSH, SYN

_PCAP: Final = struct.Struct("<IHHiIII")
_RECORD: Final = struct.Struct("<IIII")
_IP: Final = struct.Struct(">BBHHHBBH4s4s")
_TCP: Final = struct.Struct(">HHIIBBHHH")
# As wrk asks and nginx answers.
_REQUEST: Final = (
    b"GET /api/items/%d?page=1 HTTP/1.1\r\nHost: shop.example:8080\r\nAccept: */*\r\n\r\n"
)
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)


class Connection:
    """Both ends of one connection; each call returns the Ethernet frame that goes out."""

    def __init__(
        self,
        client: tuple[str, int],
        server: tuple[str, int],
        macs: tuple[bytes, bytes] = (b"\2" * 6, b"\4" * 6),
    ) -> None:
        """Addresses and ports of both ends, then the MAC addresses of client and server."""
        self._ends = tuple((ip_address(host).packed, port) for host, port in (client, server))
        self._macs = macs
        self.next = [1_000, 5_000]

    def frame(self, side: int, payload: bytes = b"", flags: int = ACK) -> bytes:
        """A packet of the client (0) or of the server (1)."""
        (source, sport), (target, dport) = self._ends[side], self._ends[1 - side]
        seq, ack = self.next[side], self.next[1 - side] if flags & ACK else 0
        self.next[side] = (seq + len(payload) + bool(flags & (SYN | FIN))) & 0xFFFF_FFFF
        tcp = _TCP.pack(sport, dport, seq, ack, 0x50, flags, 65_535, 0, 0)
        ip = _IP.pack(0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0, source, target)
        macs = self._macs[1 - side] + self._macs[side]
        return macs + b"\x08\0" + ip + tcp + payload


class _Pcap:
    """A classic capture file of Ethernet frames, one every 10 µs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._now = 0
        file.write(_PCAP.pack(0xA1B2_C3D4, 2, 4, 0, 0, 262_144, 1))

    def put(self, frame: bytes) -> None:
        """The next frame."""
        self._now += 10
        seconds, us = divmod(self._now, 1_000_000)
        self._file.write(_RECORD.pack(seconds, us, len(frame), len(frame)) + frame)


def write_keep_alive(path: Path, exchanges: int, connections: int) -> None:
    """A pcap of small exchanges in turn on many connections, acknowledged by what follows.

    That is how wrk and nginx look to tcpdump: two packets an exchange.
    """
    made = [
        Connection((f"192.0.2.{1 + n % 200}", 40_000 + n), ("198.51.100.7", 80))
        for n in range(connections)
    ]
    with path.open("wb") as file:
        put = _Pcap(file).put
        for one in made:
            put(one.frame(0, flags=SYN))
            put(one.frame(1, flags=SYN | ACK))
            put(one.frame(0))
        for number in range(exchanges):
            one = made[number % connections]
            body = b'{"id": %d, "name": "an article"}\n' % number
            put(one.frame(0, _REQUEST % number, PSH | ACK))
            put(one.frame(1, _ANSWER % len(body) + body, PSH | ACK))


def write_download(path: Path, size: int, segment: int) -> None:
    """A pcap with one GET and a body of `size` bytes in segments of `segment` bytes."""
    made = Connection(("192.0.2.1", 40_000), ("198.51.100.7", 80))
    with path.open("wb") as file:
        put = _Pcap(file).put
        put(made.frame(0, flags=SYN))
        put(made.frame(1, flags=SYN | ACK))
        put(made.frame(0, b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n", PSH | ACK))
        put(made.frame(1, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size))
        body = bytes(range(256)) * (segment // 256 + 1)
        for start in range(0, size, segment):
            put(made.frame(1, body[: min(segment, size - start)]))
            if start // segment % 8 == 7:
                put(made.frame(0))
        put(made.frame(0, flags=FIN | ACK))
        put(made.frame(1, flags=FIN | ACK))
