"""Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian, times in nanoseconds."""

from __future__ import annotations

import struct
from typing import Final

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
_MAGIC: Final = 0x1A2B3C4D
_ETHERNET: Final = 1
_COMMENT, _APPLICATION, _NAME, _RESOLUTION = 1, 4, 2, 9
_RECEIVED, _DROPPED = 4, 5
_NANOSECONDS: Final = b"\x09"
# Statistics are always of one size, so that they can be written over: bytes of their comment.
_WIDE: Final = 400


def start(application: str, comment: str, interface: str) -> bytes:
    """A section with one Ethernet interface."""
    section = struct.pack("<IHHq", _MAGIC, 1, 0, -1) + _options(
        (_COMMENT, comment.encode()), (_APPLICATION, application.encode())
    )
    described = struct.pack("<HHI", _ETHERNET, 0, 0) + _options(
        (_NAME, interface.encode()), (_RESOLUTION, _NANOSECONDS)
    )
    return _block(_SECTION, section) + _block(_INTERFACE, described)


def packet(at_ns: int, frame: bytes) -> bytes:
    """An enhanced packet block; ``at_ns``: ns since the epoch."""
    head = struct.pack("<IIIII", 0, at_ns >> 32, at_ns & 0xFFFF_FFFF, len(frame), len(frame))
    return _block(_PACKET, head + _padded(frame))


def statistics(at_ns: int, comment: str, counts: tuple[int, int] | None = None) -> bytes:
    """What the interface saw and what of it is missing, for all reasons together; None: unknown."""
    head = struct.pack("<III", 0, at_ns >> 32, at_ns & 0xFFFF_FFFF)
    numbers = [
        (code, struct.pack("<Q", n))
        for code, n in zip((_RECEIVED, _DROPPED), counts or (), strict=False)
    ]
    wide = _WIDE - 12 * len(numbers)
    said = (_COMMENT, comment.encode()[:wide].ljust(wide))
    return _block(_STATISTICS, head + _options(said, *numbers))


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def _options(*options: tuple[int, bytes]) -> bytes:
    made = [
        struct.pack("<HH", code, len(value[:0xFFFF])) + _padded(value[:0xFFFF])
        for code, value in options
    ]
    return b"".join(made) + struct.pack("<HH", 0, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
