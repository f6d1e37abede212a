"""The guard's programs on a cgroup: what its processes may call, and what was refused.

Mirror of ``bpf/guard.h``; ``tests/kernel/test_guard.py`` compares sizes and values. The programs
are attached to the cgroup itself, not by links: they stay when whoever attached them is killed.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, NamedTuple

from shadow_agent.kernel import bpf, libbpf_loader
from shadow_agent.kernel.bpf import AttachType
from shadow_agent.kernel.counters import possible_cpus
from shadow_agent.kernel.program import OBJECT
from shadow_agent.kernel.ring import RingView

MAX_ALLOWED: Final = 4096
MAX_STUBBED: Final = 1024
RING_BYTES: Final = 256 * 1024
OBJECT_FILE: Final = OBJECT.with_name("guard.bpf.o")

ALLOW_KEY: Final = struct.Struct("=I2sxx16s")
STUB_KEY: Final = struct.Struct("=16s2sxx")
EVENT: Final = struct.Struct("=Q16s2sxxHHI4x16s8x")

_MAPS: Final = ("allow", "counters", "lease", "refused", "stubs")
# In the order in which they are attached; sockets first, so that none is made in between.
HOOKS: Final = {
    "guard_socket": AttachType.CGROUP_INET_SOCK_CREATE,
    "guard_egress": AttachType.CGROUP_INET_EGRESS,
    "guard_connect4": AttachType.CGROUP_INET4_CONNECT,
    "guard_connect6": AttachType.CGROUP_INET6_CONNECT,
    "guard_sendmsg4": AttachType.CGROUP_UDP4_SENDMSG,
    "guard_sendmsg6": AttachType.CGROUP_UDP6_SENDMSG,
}
_PORT_BITS: Final = 32
_MAPPED_BITS: Final = 96
_MAPPED: Final = b"\0" * 10 + b"\xff\xff"

Network = IPv4Network | IPv6Network


class Hook(IntEnum):
    """Where something was refused."""

    CONNECT = 1
    SENDMSG = 2
    SOCKET = 3
    PACKET = 4


class Refusal(NamedTuple):
    """One refused attempt; of a socket there is no address yet."""

    time_ns: int  # CLOCK_MONOTONIC
    address: bytes  # 16 bytes, IPv4 mapped
    port: int
    protocol: int
    hook: int
    pid: int
    command: bytes  # the process's own word for itself, up to 16 bytes


class GuardCounts(NamedTuple):
    """What the programs counted since they were loaded."""

    allowed: int
    stubbed: int
    refused: int
    untold: int  # of refused: the ring was full, nothing but the count is known


class GuardPrograms:
    """Loaded programs and maps; ``close`` them. What is attached stays attached."""

    def __init__(self, path: Path = OBJECT_FILE) -> None:
        """Loaded, attached nowhere: nothing is allowed. Raises LoadError and OSError."""
        self._loaded = libbpf_loader.load(path, tuple(HOOKS), _MAPS)
        self._maps = self._loaded.maps

    @property
    def ring_fd(self) -> int:
        """Of the ring with refusals: readable when something is in it."""
        return self._maps["refused"]

    def allow(self, network: Network, port: int = 0) -> None:
        """Let connections and datagrams to a network go out; port 0 is any. Raises OSError."""
        bits = network.prefixlen + (_MAPPED_BITS if network.version == 4 else 0)
        address = as_mapped(network.network_address.packed)
        key = ALLOW_KEY.pack(_PORT_BITS + bits, port.to_bytes(2, "big"), address)
        bpf.update(self._maps["allow"], key, b"\1\0\0\0")

    def stub(self, address: bytes, port: int, local_port: int) -> None:
        """Send connections to a 16-byte address and port to a port on loopback instead."""
        key = STUB_KEY.pack(address, port.to_bytes(2, "big"))
        bpf.update(self._maps["stubs"], key, local_port.to_bytes(2, "big") + b"\0\0")

    def answer_until(self, when_ns: int) -> None:
        """Until when (CLOCK_MONOTONIC) the stub server listens; after it, stubs are refused."""
        bpf.update(self._maps["lease"], 0, when_ns.to_bytes(8, sys.byteorder))

    def counts(self) -> GuardCounts:
        """Summed over all processors."""
        cpus = possible_cpus()
        sums = []
        for index in range(len(GuardCounts._fields)):
            raw = bpf.lookup(self._maps["counters"], index, 8 * cpus)
            sums.append(sum(struct.unpack(f"={cpus}Q", raw)))
        return GuardCounts(*sums)

    def attach(self, cgroup_fd: int) -> None:
        """Attach every program, then take off those of an earlier guard. Raises OSError."""
        before = {name: bpf.query_cgroup(cgroup_fd, hook) for name, hook in HOOKS.items()}
        for name, hook in HOOKS.items():
            bpf.attach_to_cgroup(self._loaded.programs[name], cgroup_fd, hook)
        for name, ids in before.items():
            _detach_ours(cgroup_fd, name, ids)

    def detach(self, cgroup_fd: int) -> None:
        """Take off these programs; harmless when they are gone."""
        for name, hook in HOOKS.items():
            with contextlib.suppress(OSError):
                bpf.detach_from_cgroup(self._loaded.programs[name], cgroup_fd, hook)

    def attached(self, cgroup_fd: int) -> list[str]:
        """Names of these programs that hang on the cgroup now; none when it is gone."""
        found = []
        for name, hook in HOOKS.items():
            mine = bpf.program_info(self._loaded.programs[name]).id
            with contextlib.suppress(OSError):
                if mine in bpf.query_cgroup(cgroup_fd, hook):
                    found.append(name)
        return found

    def close(self) -> None:
        """Close every fd."""
        self._loaded.close()


class Refusals(RingView):
    """Takes refusals off their ring."""

    def __init__(self, ring_fd: int) -> None:
        """Maps the ring, which works without privileges from then on."""
        super().__init__(ring_fd, RING_BYTES)

    def take(self, limit: int) -> list[Refusal]:
        """The oldest, at most ``limit`` of them."""
        found: list[Refusal] = []
        # all records have one size, and none is ever discarded
        step = EVENT.size + 8
        start = self._consumed[0]
        for at in self._records(start, min(self._produced[0], start + limit * step)):
            time_ns, address, port, protocol, hook, pid, command = EVENT.unpack_from(self._data, at)
            found.append(
                Refusal(
                    time_ns, address, int.from_bytes(port, "big"), protocol, hook, pid,
                    command.split(b"\0")[0],
                )
            )  # fmt: skip
        self._consumed[0] = start + len(found) * step
        return found


def as_mapped(packed: bytes) -> bytes:
    """16 bytes of an address of 4 or 16."""
    return packed if len(packed) == 16 else _MAPPED + packed


def _detach_ours(cgroup_fd: int, name: str, ids: list[int]) -> None:
    for number in ids:
        with contextlib.suppress(OSError):
            fd = bpf.program_by_id(number)
            try:
                if bpf.program_info(fd).name == name:
                    bpf.detach_from_cgroup(fd, cgroup_fd, HOOKS[name])
            finally:
                os.close(fd)
