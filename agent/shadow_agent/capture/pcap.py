"""PcapFile: classic pcap files, every magic number that is in use."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from shadow_agent.capture.frame import MAX_FRAME, Frame
from shadow_agent.capture.source import Source

HEADER: Final = 24  # bytes of the file header


class Variant(NamedTuple):
    """What a magic number says about the records that follow."""

    scale: int  # ns per unit of a time stamp's fraction
    record: int  # bytes of a record header
    skip: int = 0  # bytes between the file header and the first record


# The number as its writer meant it; the file's byte order is whichever makes it one of these.
_VARIANTS: Final = {
    0xA1B2C3D4: Variant(1000, 16),
    0xA1B23C4D: Variant(1, 16),  # nanoseconds
    0xA1B2CD34: Variant(1000, 24),  # Kuznetzov's patch: interface, protocol and type per record
    0x1C0001AC: Variant(1, 16, 4),  # IXIA's, hardware and software stamps
    0x1C0001AB: Variant(1000, 16, 4),
}
_SWAPPED_BEFORE: Final = (2, 3)  # version; earlier ones had the two lengths the other way round


class PcapFile:
    """Iterates over frames. ``damage`` says afterwards why it ended early.

    ``hot`` reads the same records in place with `record` and `advance`.
    """

    def __init__(self, source: Source, head: bytes) -> None:
        """``head`` is the start of the file, at least HEADER bytes; see `recognise`."""
        found = recognise(head)
        if found is None:
            raise ValueError("not a pcap file")
        self.order, variant = found
        self.scale, self.record_bytes, skip = variant
        major, minor, _, _, snaplen, link = Struct(self.order + "HHiIII").unpack_from(head, 4)
        self.snaplen: int = snaplen
        self.link: int = link & 0xFFFF  # above: whether frames end with a checksum
        self.lengths_swapped = (major, minor) < _SWAPPED_BEFORE
        self.record = Struct(self.order + "IIII")
        self.damage: str | None = None
        self._source = source
        self.data = head
        self.start = HEADER + skip  # of the first record in `data`

    def advance(self, at: int) -> bool:
        """Replaces ``data`` by what follows position ``at`` in it; False at the end.

        Called where the record at ``at`` is not whole in ``data``. On True, it is.
        """
        header = self.record_bytes
        self.data = self._source.fill(self.data, at, header)
        self.start = 0
        if len(self.data) < header:
            return self._ends("in the header of a packet" if self.data else None)
        _, _, captured, wire = self.record.unpack_from(self.data, 0)
        if self.lengths_swapped:
            captured = wire
        if captured > MAX_FRAME:
            return self._ends(f"a packet claims {captured} bytes")
        need = header + captured
        if len(self.data) < need:
            self.data = self._source.fill(self.data, 0, need)
            if len(self.data) < need:
                return self._ends("in the middle of a packet")
        return True

    def _ends(self, why: str | None) -> bool:
        offset = self._source.offset - len(self.data)
        why = self._source.damage or (why and f"damaged or cut short: {why}")
        self.damage = why and f"{why} (at byte {offset})"
        return False

    def frame_at(self, at: int) -> tuple[int, Frame]:
        """Where the record at ``at`` in ``data`` ends, and its frame. It must be whole."""
        seconds, fraction, captured, wire = self.record.unpack_from(self.data, at)
        if self.lengths_swapped:
            captured, wire = wire, captured
        start = at + self.record_bytes
        ts = seconds * 1_000_000_000 + fraction * self.scale
        end = start + captured
        return end, Frame(ts, self.link, self.data[start:end], max(captured, wire))

    def __iter__(self) -> Iterator[Frame]:
        """Every frame, in the file's order."""
        at = self.start
        while self.advance(at):
            at, frame = self.frame_at(0)
            yield frame
            size = len(self.data)
            while self._is_whole(at, size):
                at, frame = self.frame_at(at)
                yield frame

    def _is_whole(self, at: int, size: int) -> bool:
        header = self.record_bytes
        if at + header > size:
            return False
        _, _, captured, wire = self.record.unpack_from(self.data, at)
        return at + header + int(wire if self.lengths_swapped else captured) <= size


def recognise(head: bytes) -> tuple[str, Variant] | None:
    """Byte order (`<` or `>`) and variant of a file that starts with ``head``, if it is pcap."""
    for order in "<>":
        (magic,) = Struct(order + "I").unpack_from(head)
        if (variant := _VARIANTS.get(magic)) is not None:
            return order, variant
    return None


def could_begin(head: bytes) -> bool:
    """Whether ``head``, shorter than HEADER, begins like a pcap file."""
    return len(head) >= 4 and recognise(head) is not None
