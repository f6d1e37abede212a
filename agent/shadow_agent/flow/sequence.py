"""32-bit TCP sequence numbers compare only through this module (RFC 1982 serial arithmetic)."""

from __future__ import annotations

from typing import Final

MASK: Final = 0xFFFF_FFFF
_HALF: Final = 0x8000_0000


def add(seq: int, length: int) -> int:
    """The sequence number `length` bytes after `seq`."""
    return (seq + length) & MASK


def diff(left: int, right: int) -> int:
    """How many bytes `left` is ahead of `right`: -2**31 … 2**31 - 1, negative when behind."""
    distance = (left - right) & MASK
    return distance if distance < _HALF else distance - 0x1_0000_0000


def lt(left: int, right: int) -> bool:
    """Whether `left` comes before `right`."""
    return (left - right) & MASK >= _HALF
