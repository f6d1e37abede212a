"""Capture files on paper: segments as a pcap of raw IP packets."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from shadow_agent.flow.segment import Segment
from tests.property.wire import GET, Wire, response

EPOCH_NS = 1_700_000_000_000_000_000
_RAW = 101  # LINKTYPE_RAW
HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, _RAW)  # nanoseconds


def packet(segment: Segment) -> bytes:
    """The IPv4 packet that a segment came in."""
    client, server = segment.key[12:16], segment.key[28:32]
    ports = (segment.key[32:34], segment.key[34:36])
    if segment.direction:
        client, server, ports = server, client, ports[::-1]
    tcp = b"".join(ports) + struct.pack(
        ">IIBBHHH", segment.seq, segment.ack, 5 << 4, segment.flags, 65535, 0, 0
    )
    body = tcp + segment.payload
    return (
        struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, 6, 0) + client + server + body
    )


def pcap(segments: Iterable[Segment]) -> bytes:
    """A capture of them, their times counted from ``EPOCH_NS``."""
    pieces = [HEADER]
    for segment in segments:
        data = packet(segment)
        seconds, ns = divmod(EPOCH_NS + segment.ts, 1_000_000_000)
        pieces += [struct.pack("<IIII", seconds, ns, len(data), len(data)), data]
    return b"".join(pieces)


def snapped(capture: bytes, snaplen: int) -> bytes:
    """The same, taken with that snaplen."""
    pieces, at = [HEADER], len(HEADER)
    while at < len(capture):
        seconds, ns, size, wire = struct.unpack_from("<IIII", capture, at)
        kept = min(size, snaplen)
        pieces += [struct.pack("<IIII", seconds, ns, kept, wire), capture[at + 16 :][:kept]]
        at += 16 + size
    return b"".join(pieces)


def conversation(requests: int, *, port: int = 40_000, body: bytes = b"ok") -> list[Segment]:
    """One connection, from SYN to FIN."""
    wire = Wire(port)
    segments = wire.open()
    for number in range(requests):
        segments += [wire.client(GET % number), wire.server(response(body))]
    return segments + wire.close()
