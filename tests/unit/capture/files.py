"""Capture files, written byte by byte."""

from collections.abc import Iterable
from struct import pack
from typing import Final

SECTION: Final = 0x0A0D0D0A
DAY: Final = 1_700_000_000  # s, a moment for time stamps


def pcap(
    frames: Iterable[bytes],
    *,
    link: int = 1,
    order: str = "<",
    magic: int = 0xA1B2C3D4,
    version: tuple[int, int] = (2, 4),
    extra: bytes = b"",
    gap: bytes = b"",
) -> bytes:
    """A pcap file, one frame a second; ``extra`` ends each record header, ``gap`` the file's."""
    records = (
        pack(order + "IIII", DAY + second, 5, len(frame), len(frame)) + extra + frame
        for second, frame in enumerate(frames)
    )
    head = pack(order + "IHHiIII", magic, *version, 0, 0, 65_535, link)
    return head + gap + b"".join(records)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A pcapng block."""
    body += bytes(-len(body) % 4)
    length = pack(order + "I", len(body) + 12)
    return pack(order + "I", kind) + length + body + length


def section(order: str = "<") -> bytes:
    """A section header."""
    return block(SECTION, pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    """An option of a block."""
    return pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(link: int = 1, order: str = "<", snaplen: int = 0, options: bytes = b"") -> bytes:
    """An interface description."""
    return block(1, pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(
    data: bytes, time: int, number: int = 0, order: str = "<", wire: int | None = None
) -> bytes:
    """An enhanced packet block."""
    lengths = (len(data), len(data) if wire is None else wire)
    padded = data + bytes(-len(data) % 4)
    return block(
        6, pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, *lengths) + padded, order
    )
