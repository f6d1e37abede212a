"""The tap's flow hash in Python, to know which flows a change of the sample lets go of."""

from __future__ import annotations

import struct
from typing import Final

_WORDS: Final = struct.Struct("=QQ16xI")
_MULTIPLIER: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def flow_hash(key: bytes, salt: int) -> int:
    """32 bits, as ``flow_hash`` in ``bpf/tap.bpf.c``; ``key`` is a flow's 36 bytes."""
    h = salt
    for word in _WORDS.unpack(key):
        h = ((h ^ word) * _MULTIPLIER) & _MASK
        h ^= h >> 32
    return h >> 16 & 0xFFFFFFFF


def sampled(key: bytes, salt: int, below: int) -> bool:
    """Whether the tap mirrors this flow when the control page says ``below``."""
    return flow_hash(key, salt) < below
