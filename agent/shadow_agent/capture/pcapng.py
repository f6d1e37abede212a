"""PcapngFile: pcapng, with any number of sections, interfaces and link types."""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812 - `error` alone would say nothing
from typing import Final, NamedTuple

from shadow_agent.capture.frame import MAX_FRAME, NO_LINK, Frame
from shadow_agent.capture.source import Source

# Block types; every other one is skipped.
_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 2  # obsolete, in old files
_SIMPLE: Final = 3
_ENHANCED: Final = 6

# Options of an interface, with the length of their value.
_END_OF_OPTIONS: Final = 0
_RESOLUTION: Final = (9, 1)
_OFFSET: Final = (14, 8)

_SECOND: Final = 1_000_000_000  # ns
_ENHANCED_HEADER: Final = 28  # bytes of an enhanced packet block before the packet
_MAGIC: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_SHORTEST: Final = 12  # bytes of a block: type, length, length again
# bytes of a block. A frame, its options, and decryption secrets fit; more is damage.
_MAX_BLOCK: Final = MAX_FRAME + (1 << 20)
# per section. Frames of an interface beyond have no link type, as those of an unknown one.
_MAX_INTERFACES: Final = 65_536


class _Interface(NamedTuple):
    link: int
    snaplen: int  # bytes; 0: no limit
    units: int  # of time, per second
    scale: int  # ns of one unit, where that is a whole number; else 0
    offset: int  # ns


class PcapngFile:
    """Iterates over frames. ``damage`` says afterwards why it ended early."""

    def __init__(self, source: Source, head: bytes) -> None:
        """``head`` is the start of the file, at least 12 bytes; see `recognise`."""
        self.damage: str | None = None
        self._source = source
        self._data = head
        self._at = 0  # of the next block in `_data`
        self._ts = 0  # ns, of the last frame that had a time
        self._interfaces: list[_Interface] = []
        self._use_order(_MAGIC[head[8:12]])

    def _use_order(self, order: str) -> None:
        self._order = order
        self._block = Struct(order + "II").unpack_from
        self._enhanced = Struct(order + "IIIII").unpack_from  # interface, time high, low, lengths
        self._enhanced_block = Struct(order + "IIIIIII").unpack_from
        self._old_packet = Struct(order + "HHIIII").unpack_from
        self._option = Struct(order + "HH").unpack_from
        self._word = Struct(order + "I").unpack_from

    def __iter__(self) -> Iterator[Frame]:
        """Every frame, in the file's order."""
        make = tuple.__new__  # a Frame by its constructor costs 0.3 µs more
        readers = {_SIMPLE: self._read_simple, _PACKET: self._read_old_packet,
                   _ENHANCED: self._read_enhanced}  # fmt: skip
        while True:
            # The common block in place; whatever is special about one goes the long way below.
            data, at, interfaces = self._data, self._at, self._interfaces
            if at + _ENHANCED_HEADER <= len(data):
                kind, length, number, high, low, captured, wire = self._enhanced_block(data, at)
                end = at + length
                if (
                    kind == _ENHANCED
                    and number < len(interfaces)
                    and _ENHANCED_HEADER + 4 + captured <= length
                    and end <= len(data)
                    and not length & 3
                ):
                    link, _, units, scale, offset = interfaces[number]
                    ts = high << 32 | low
                    self._ts = ts = (ts * scale if scale else ts * _SECOND // units) + offset
                    self._at = end
                    start = at + _ENHANCED_HEADER
                    frame = data[start : start + captured]
                    yield make(Frame, (ts, link, frame, max(captured, wire)))
                    continue
            block = self._next_block()
            if block is None:
                return
            kind, at, end = block
            try:
                if (reader := readers.get(kind)) is not None:
                    yield reader(at, end)
                elif kind == _INTERFACE:
                    self._describe_interface(at, end)
            except StructError:
                self._ends("a block is too short for its kind", at - 8)
                return

    def _next_block(self) -> tuple[int, int, int] | None:
        """Type of the next block, and where its body starts and ends in the data read."""
        at = self._at
        if at + _SHORTEST > len(self._data) and not self._fill(_SHORTEST):
            return None
        at = self._at
        kind, length = self._block(self._data, at)
        if kind == _SECTION:
            order = _MAGIC.get(self._data[at + 8 : at + 12])
            if order is None:
                self._ends("a section with an unknown byte order", at)
                return None
            self._use_order(order)
            self._interfaces.clear()
            kind, length = self._block(self._data, at)
        if not _SHORTEST <= length <= _MAX_BLOCK:
            self._ends(f"a block claims {length} bytes", at)
            return None
        padded = length + (-length & 3)
        if at + padded > len(self._data) and not self._fill(length):
            return None
        at = self._at
        self._at = at + padded
        return kind, at + 8, at + length - 4

    def _fill(self, need: int) -> bool:
        """Reads on until ``need`` bytes follow; they start at 0 then."""
        self._data = self._source.fill(self._data, self._at, need)
        self._at = 0
        if len(self._data) >= need:
            return True
        if self._data or self._source.damage:
            self._ends("cut short in the middle of a block", 0)
        return False

    def _ends(self, why: str, at: int) -> None:
        offset = self._source.offset - len(self._data) + at
        self.damage = f"{self._source.damage or f'damaged or cut short: {why}'} (at byte {offset})"

    def _describe_interface(self, at: int, end: int) -> None:
        """Adds an interface, also when its options are damaged: later ones count on its place."""
        if at + 8 > end:
            raise StructError
        link, _, snaplen = Struct(self._order + "HHI").unpack_from(self._data, at)
        if len(self._interfaces) >= _MAX_INTERFACES:
            return
        options = self._options(at + 8, end)
        resolution = options.get(_RESOLUTION, b"\x06")[0]
        (offset,) = Struct(self._order + "q").unpack(options.get(_OFFSET, bytes(8)))
        exponent = resolution & 0x7F
        units = 2**exponent if resolution & 0x80 else 10**exponent  # of time, per second
        scale = 0 if _SECOND % units else _SECOND // units
        self._interfaces.append(_Interface(link, snaplen, units, scale, offset * _SECOND))

    def _options(self, at: int, end: int) -> dict[tuple[int, int], bytes]:
        """Value of each option by code and length, up to where they end or stop making sense."""
        options: dict[tuple[int, int], bytes] = {}
        while at + 4 <= end:
            code, length = self._option(self._data, at)
            if code == _END_OF_OPTIONS or at + 4 + length > end:
                break
            if (code, length) in {_RESOLUTION, _OFFSET}:
                options[code, length] = self._data[at + 4 : at + 4 + length]
            at += 4 + length + (-length & 3)
        return options

    def _read_enhanced(self, at: int, end: int) -> Frame:
        number, high, low, captured, wire = self._enhanced(self._data, at)
        return self._frame(number, high << 32 | low, at + 20, end, captured, wire)

    def _read_old_packet(self, at: int, end: int) -> Frame:
        number, _, high, low, captured, wire = self._old_packet(self._data, at)
        return self._frame(number, high << 32 | low, at + 20, end, captured, wire)

    def _read_simple(self, at: int, end: int) -> Frame:
        """A packet of the first interface, without a time: it gets that of the one before."""
        (wire,) = self._word(self._data, at)
        if at + 4 > end:
            raise StructError
        if not self._interfaces:
            return Frame(self._ts, NO_LINK, b"", wire)
        interface = self._interfaces[0]
        captured = min(wire, interface.snaplen or wire, end - at - 4)
        return Frame(self._ts, interface.link, self._data[at + 4 : at + 4 + captured], wire)

    def _frame(self, number: int, time: int, at: int, end: int, captured: int, wire: int) -> Frame:
        if at > end:
            raise StructError
        if number >= len(self._interfaces):
            return Frame(self._ts, NO_LINK, b"", wire)
        link, _, units, _, offset = self._interfaces[number]
        self._ts = ts = time * _SECOND // units + offset
        data = self._data[at : min(at + captured, end)]
        return Frame(ts, link, data, max(wire, captured))


def recognise(head: bytes) -> bool:
    """Whether a file that starts with ``head`` is pcapng."""
    return head[:4] == b"\n\r\r\n" and head[8:12] in _MAGIC
