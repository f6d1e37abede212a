"""The common case in flat loops: Ethernet, IPv4 without options, TCP, nothing missing.

Every packet of a capture passes here, so each 0.1 µs counts: a header is read by one `unpack`, of
a pcap file straight from the chunk that was read, and no object is made but the `Segment`. What is
in any way special goes to ``Decoder.decode``, as a `Frame`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Final

from shadow_agent.capture.frame import Frame
from shadow_agent.capture.pcap import PcapFile
from shadow_agent.flow.segment import Segment

if TYPE_CHECKING:
    from shadow_agent.capture.decoder import Decoder

# From two bytes before the IPv4 header: EtherType, version, header length and type of service;
# total length; flags, fragment offset, time to live and protocol; both addresses and both ports;
# sequence number; acknowledgement; data offset; flags.
HEADERS: Final = Struct(">IHxxIxx12sIIBB")
# Link types that end in an EtherType, and where that is.
ETHERTYPE_AT: Final = {1: 12, 113: 14}

_LEAST: Final = 42  # bytes from the EtherType to the end of a TCP header without options
_TICK: Final = 10_000_000  # ns by which `Decoder.now` may lag


def fits(capture: PcapFile) -> bool:
    """Whether `of_pcap` can read this file."""
    return capture.link in ETHERTYPE_AT and not capture.lengths_swapped


def of_pcap(decoder: Decoder, capture: PcapFile) -> Iterator[Segment]:
    """The segments of every frame; ``decoder.counts`` is complete at each new chunk and the end."""
    counts, connections, decode = decoder.counts, decoder.connections, decoder.decode
    record, scale, header, link = (
        capture.record.unpack_from, capture.scale, capture.record_bytes, capture.link,
    )  # fmt: skip
    unpack, make, learn = HEADERS.unpack_from, tuple.__new__, connections.learn
    sides = connections.sides.get
    headers_at = header + ETHERTYPE_AT[link]  # from the start of a record
    ip_at = headers_at + 2
    tcp_at = ip_at + 20
    least = tcp_at + 20
    due, at = 0, capture.start
    seen = copied = no_payload = 0
    try:
        while capture.advance(at):
            data, at, size = capture.data, 0, len(capture.data)
            fits = size - least
            counts.seen += seen
            counts.copied += copied
            counts.no_payload += no_payload
            seen = copied = no_payload = 0
            if fits < 0:  # a short frame at a chunk's end
                at, frame = capture.frame_at(0)
                yield from decode(frame)
                sides = connections.sides.get
            while at <= fits:
                seconds, fraction, captured, _ = record(data, at)
                end = at + header + captured
                if end > size:
                    break
                (
                    kind, total, fragment, pair, seq, ack, offset, flags,
                ) = unpack(data, at + headers_at)  # fmt: skip
                stop = at + ip_at + total
                start = at + tcp_at + (offset >> 2 & 0x3C)
                if (
                    kind >> 8 != 0x080045  # IPv4, no options
                    or fragment & 0x3FFF00FF != 6  # not a fragment, TCP
                    or flags & 0x20  # urgent data splits a packet
                    or offset < 0x50
                    or start > stop
                    or stop > end
                ):
                    at, frame = capture.frame_at(at)
                    yield from decode(frame)
                    sides = connections.sides.get
                    continue
                at = end
                seen += 1
                payload = data[start:stop]
                side = sides(pair)
                if side is None or flags & 2:
                    side = learn(pair, flags, payload)
                    sides = connections.sides.get
                    if side is None:
                        counts.not_service += 1
                        continue
                ts = seconds * 1_000_000_000 + fraction * scale
                if ts > due:
                    due = ts + _TICK
                    decoder.now = max(decoder.now, ts)
                if payload or flags & 7:
                    copied += 1
                    yield make(
                        Segment,
                        (ts, side[0], side[1], seq, ack, flags, payload, stop - start, True),
                    )
                else:
                    no_payload += 1
    finally:
        counts.seen += seen
        counts.copied += copied
        counts.no_payload += no_payload


def of_frames(decoder: Decoder, frames: Iterable[Frame]) -> Iterator[Segment]:
    """The same for frames of any source, with any link types among them."""
    counts, connections, decode = decoder.counts, decoder.connections, decoder.decode
    unpack, make, learn = HEADERS.unpack_from, tuple.__new__, connections.learn
    place = ETHERTYPE_AT.get
    for frame in frames:
        ts, link, data, _ = frame
        at = place(link)
        if at is None or len(data) < at + _LEAST:
            yield from decode(frame)
            continue
        kind, total, fragment, pair, seq, ack, offset, flags = unpack(data, at)
        stop = at + 2 + total
        start = at + 22 + (offset >> 2 & 0x3C)
        if (
            kind >> 8 != 0x080045
            or fragment & 0x3FFF00FF != 6
            or flags & 0x20
            or offset < 0x50
            or start > stop
            or stop > len(data)
        ):
            yield from decode(frame)
            continue
        counts.seen += 1
        decoder.now = max(decoder.now, ts)
        payload = data[start:stop]
        side = connections.sides.get(pair)
        if side is None or flags & 2:
            side = learn(pair, flags, payload)
            if side is None:
                counts.not_service += 1
                continue
        if payload or flags & 7:
            counts.copied += 1
            yield make(
                Segment, (ts, side[0], side[1], seq, ack, flags, payload, stop - start, True)
            )
        else:
            counts.no_payload += 1
