"""Mirror of ``bpf/record.h``; ``tests/kernel/test_layout.py`` compares every size and offset."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

PIECE_MAX: Final = 16384
SHARDS_MAX: Final = 16

# The fields in order: ts_ns; the key, which is addresses and ports; seq; ack; length; copied;
# ifindex; number; family; tcp_flags; direction; role; final; urgent.
RECORD: Final = struct.Struct("=Q36s6I5BxH4x")

PORT_WORDS: Final = 1024
CONTROL_SIZE: Final = 136 + 8 * PORT_WORDS
COST_SHIFT: Final = 10
NUMBER_EPOCH_SHIFT: Final = 16
NUMBER_EPOCHS: Final = 128
NUMBER_SURE: Final = 1 << 23
NUMBER_TENANCY_SHIFT: Final = 24

COUNTED_ROLES: Final = 2


class Role(IntEnum):
    """Which tap made a record."""

    PRODUCTION = 0
    SHADOW = 1


class ControlField(IntEnum):
    """Byte offsets in the control page."""

    LEASE_NS = 0
    LEASE_MAX_NS = 8
    SAMPLE_BELOW = 16
    PAUSED = 24
    TRIPPED = 28
    SHARDS = 32
    SALT = 36
    WAKE_BYTES = 40
    GENERATION = 44
    SHADOW_ADDR = 48
    SHADOW_PORT = 64
    GUARD = 66
    BY_REQUEST = 67
    BUDGET_COST = 72
    BUDGET_BURST_NS = 80
    JOINED_UNTIL_NS = 88
    PORTS = 96
    BUDGET_UNTIL_NS = 8320


class Counter(IntEnum):
    """Index of a per-CPU counter; what each counts is said in ``record.h``."""

    SEEN = 0
    OWN = 1
    NOT_SERVICE = 2
    NO_PAYLOAD = 3
    PAUSED = 4
    SAMPLED_OUT = 5
    OVER_BUDGET = 6
    OTHER_HOST = 7
    FRAGMENT = 8
    TUNNEL = 9
    IPV6_EXTENSION = 10
    TRUNCATED = 11
    RING_FULL = 12
    COPIED = 13
    RING_FULL_REQUESTS = 14
    LEAKED = 15
    TIMED = 16
    TIMED_NS = 17
    UNTRACKED = 18
