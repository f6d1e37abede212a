"""Decoder: frames → segments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812 - `error` alone would say nothing
from typing import Final, NamedTuple

# The modules of layers register themselves in the tables.
from shadow_agent.capture import datagrams, hot, network  # noqa: F401
from shadow_agent.capture.connections import Connections
from shadow_agent.capture.counts import PacketCounts
from shadow_agent.capture.fragments import FragmentLimits, Fragments
from shadow_agent.capture.frame import MAX_FRAME, Frame
from shadow_agent.capture.layers import LINKS, Next, Outcome, Packet
from shadow_agent.capture.pcap import PcapFile
from shadow_agent.flow.segment import FIN, RST, SYN, URG, Segment, split_urgent
from shadow_agent.telemetry.reasons import Unsupported

# Headers in one frame: eight IP headers with what lies between them. MPLS labels and IPv6
# extension headers are walked within one layer.
_MAX_LAYERS: Final = 64
_TCP: Final = Struct(">4sIIBB").unpack_from  # ports, seq, ack, data offset, flags
_URGENT: Final = Struct(">18xH").unpack_from


class DecoderLimits(NamedTuple):
    """What a decoder may remember."""

    # TCP connections, 0.5 KB each. Over it: those idle longest are forgotten; joined again in
    # mid-connection they are known from their next message on.
    max_connections: int = 65_536
    fragments: FragmentLimits = FragmentLimits()


class Decoder:
    """Makes segments of frames, and counts every frame that gives none by name.

    Attributes:
        counts: the ledger's `packets` line.
        now: ns, the largest time stamp so far; in `segments` it may lag by 10 ms.
    """

    def __init__(self, ports: frozenset[int], limits: DecoderLimits, counts: PacketCounts) -> None:
        """``ports`` are the service's; empty: TCP on any port, direction by SYN and first bytes."""
        self.counts = counts
        self.now = 0
        self.connections = Connections(ports, limits.max_connections)
        self._fragments = Fragments(limits.fragments, counts)

    def segments(self, frames: Iterable[Frame]) -> Iterator[Segment]:
        """The segments of every frame, in order. ``counts`` is complete at the end."""
        if isinstance(frames, PcapFile) and hot.fits(frames):
            return hot.of_pcap(self, frames)
        return hot.of_frames(self, frames)

    def decode(self, frame: Frame) -> list[Segment]:
        """The segments of one frame: usually one; none of a pure ACK or of what is not ours."""
        ts, link_type, data, length = frame
        self.counts.seen += 1
        self.now = max(self.now, ts)
        first = LINKS.get(link_type)
        if first is None:
            self.counts.count_unsupported(Unsupported.LINK)
            return []
        packet = Packet(ts, data, max(len(data), min(length, MAX_FRAME)), self._fragments)
        return self._finish(packet, _walk(packet, first))

    def _finish(self, packet: Packet, outcome: Outcome | Unsupported) -> list[Segment]:
        """Counts what the walk came to; makes segments of TCP."""
        counts, joined = self.counts, packet.joined
        if outcome is Outcome.TCP:
            return self._tcp(packet)
        if outcome is Outcome.OTHER:
            counts.not_service += 1 + joined
        elif isinstance(outcome, Unsupported):
            counts.count_unsupported(outcome, 1 + joined)
        else:
            counts.no_payload += joined
        if outcome is Outcome.SPLIT:
            counts.seen += len(packet.parts) - 1
            return [
                segment
                for part, layer in packet.parts
                for segment in self._finish(part, _walk(part, layer))
            ]
        return []

    def _tcp(self, packet: Packet) -> list[Segment]:
        """One segment, or the pieces of one that urgent data splits."""
        counts, packets = self.counts, 1 + packet.joined
        data, at = packet.data, packet.at
        try:
            ports, seq, ack, offset, flags = _TCP(data, at)
        except StructError:
            counts.count_unsupported(Unsupported.TRUNCATED, packets)
            return []
        start = at + (offset >> 4) * 4
        length = packet.end - start
        if offset < 0x50 or length < 0:
            counts.count_unsupported(Unsupported.MALFORMED, packets)
            return []
        payload = data[start : packet.end]
        side = self.connections.learn(packet.addresses + ports, flags, payload)
        if side is None:
            counts.not_service += packets
            return []
        if not length and not flags & (SYN | FIN | RST):
            counts.no_payload += packets
            return []
        counts.copied += 1
        counts.no_payload += packet.joined
        segment = Segment(packet.ts, *side, seq, ack, flags, payload, length, True)
        if flags & URG and len(data) >= at + 20:
            (pointer,) = _URGENT(data, at)
            pointer = pointer or 1  # as Linux reads it; of a SYN's data it takes none out
            if pointer <= length and not flags & SYN:
                return split_urgent(segment, pointer)
        return [segment]


def _walk(packet: Packet, layer: Next) -> Outcome | Unsupported:
    """Where a packet's layers lead."""
    try:
        for _ in range(_MAX_LAYERS):
            if not callable(layer):
                return layer
            layer = layer(packet)
    except (IndexError, StructError):
        return Unsupported.TRUNCATED
    return Unsupported.TUNNEL
