"""The bpf(2) commands we need, on file descriptors.

libbpf 1.1, which Debian 12 ships, knows no TCX, so links and test runs speak to the kernel
directly. Attribute layouts: ``union bpf_attr`` in ``include/uapi/linux/bpf.h``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

_SYSCALL_NUMBER: Final = {
    "x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351,
}  # fmt: skip


class Command(IntEnum):
    """``enum bpf_cmd``."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    PROG_ATTACH = 8
    PROG_DETACH = 9
    PROG_TEST_RUN = 10
    PROG_GET_FD_BY_ID = 13
    OBJ_GET_INFO_BY_FD = 15
    PROG_QUERY = 16
    LINK_CREATE = 28
    ENABLE_STATS = 32


class MapType(IntEnum):
    """``enum bpf_map_type``."""

    RINGBUF = 27


class AttachType(IntEnum):
    """``enum bpf_attach_type``."""

    CGROUP_INET_EGRESS = 1
    CGROUP_INET_SOCK_CREATE = 2
    CGROUP_INET4_CONNECT = 10
    CGROUP_INET6_CONNECT = 11
    CGROUP_UDP4_SENDMSG = 14
    CGROUP_UDP6_SENDMSG = 15
    TCX_INGRESS = 46
    TCX_EGRESS = 47


BPF_F_ALLOW_MULTI: Final = 1 << 1
BPF_F_BEFORE: Final = 1 << 3
_STATS_RUN_TIME: Final = 0

_libc = ctypes.CDLL(None, use_errno=True)


def _call(command: Command, attributes: ctypes.Array[ctypes.c_char]) -> int:
    number = _SYSCALL_NUMBER.get(platform.machine())
    if number is None:
        raise OSError(38, f"bpf(2) number unknown on {platform.machine()}")
    result: int = _libc.syscall(
        ctypes.c_long(number),
        ctypes.c_int(command),
        ctypes.byref(attributes),
        ctypes.c_uint(len(attributes)),
    )
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"bpf {command.name}: {os.strerror(errno)}")
    return result


def _attributes(layout: str, *values: int | bytes) -> ctypes.Array[ctypes.c_char]:
    packed = struct.pack(layout, *values)
    return ctypes.create_string_buffer(packed, len(packed))


def create_ring(size: int, name: str) -> int:
    """A BPF ring buffer of ``size`` bytes (a power of two, whole pages); returns its fd."""
    return _call(
        Command.MAP_CREATE,
        _attributes("=5I8x16s", MapType.RINGBUF, 0, 0, size, 0, name.encode()[:15]),
    )


def lookup(map_fd: int, key: int, value_size: int) -> bytes:
    """The value under an u32 key; ``value_size`` counts all CPUs for a per-CPU map."""
    key_buffer = ctypes.c_uint32(key)
    value = ctypes.create_string_buffer(value_size)
    _call(
        Command.MAP_LOOKUP_ELEM,
        _attributes("=I4xQQQ", map_fd, ctypes.addressof(key_buffer), ctypes.addressof(value), 0),
    )
    return value.raw


def update(map_fd: int, key: int | bytes, value: bytes) -> None:
    """Set the value under a key; a number is an u32."""
    raw = key.to_bytes(4, sys.byteorder) if isinstance(key, int) else key
    key_buffer = ctypes.create_string_buffer(raw, len(raw))
    buffer = ctypes.create_string_buffer(value, len(value))
    _call(
        Command.MAP_UPDATE_ELEM,
        _attributes("=I4xQQQ", map_fd, ctypes.addressof(key_buffer), ctypes.addressof(buffer), 0),
    )


def create_tcx_link(program_fd: int, ifindex: int, attach_type: AttachType) -> int:
    """Attach first in line: behind a program that returns OK a tap would see nothing.

    The link, and with it the attachment, ends with the last process that holds the fd.
    """
    return _call(
        Command.LINK_CREATE,
        _attributes("=4II4xQ", program_fd, ifindex, attach_type, BPF_F_BEFORE, 0, 0),
    )


def query_tcx(ifindex: int, attach_type: AttachType) -> list[int]:
    """Ids of the programs attached to an interface by TCX; OSError where there is none."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = _attributes(
        "=4IQI4xQQQQ", ifindex, attach_type, 0, 0, ctypes.addressof(ids), 64, 0, 0, 0, 0
    )
    _call(Command.PROG_QUERY, attributes)
    (count,) = struct.unpack_from("=I", attributes.raw, 24)
    return list(ids[:count])


def attach_to_cgroup(program_fd: int, cgroup_fd: int, attach_type: AttachType) -> None:
    """Attach beside others' programs, for as long as the cgroup exists: no fd keeps it."""
    _call(
        Command.PROG_ATTACH,
        _attributes("=4I", cgroup_fd, program_fd, attach_type, BPF_F_ALLOW_MULTI),
    )


def detach_from_cgroup(program_fd: int, cgroup_fd: int, attach_type: AttachType) -> None:
    """Undo ``attach_to_cgroup``; OSError (ENOENT) where it is not attached."""
    _call(Command.PROG_DETACH, _attributes("=4I", cgroup_fd, program_fd, attach_type, 0))


def query_cgroup(cgroup_fd: int, attach_type: AttachType) -> list[int]:
    """Ids of the programs attached to this cgroup itself."""
    ids = (ctypes.c_uint32 * 64)()
    attributes = _attributes(
        "=4IQI4xQ", cgroup_fd, attach_type, 0, 0, ctypes.addressof(ids), len(ids), 0
    )
    _call(Command.PROG_QUERY, attributes)
    (count,) = struct.unpack_from("=I", attributes.raw, 24)
    return list(ids[:count])


def program_by_id(program_id: int) -> int:
    """An fd of a loaded program; OSError (ENOENT) when it is gone."""
    return _call(Command.PROG_GET_FD_BY_ID, _attributes("=III", program_id, 0, 0))


def enable_run_time_stats() -> int:
    """Count run time and runs of every program while the returned fd is open (5.8+)."""
    return _call(Command.ENABLE_STATS, _attributes("=I", _STATS_RUN_TIME))


@dataclass(frozen=True, slots=True)
class ProgramInfo:
    """What the kernel says of a loaded program. Run figures are 0 unless stats are on."""

    id: int
    name: str
    run_time_ns: int
    run_count: int


def program_info(program_fd: int) -> ProgramInfo:
    """``struct bpf_prog_info`` of a program, by fd."""
    info = ctypes.create_string_buffer(232)
    _call(
        Command.OBJ_GET_INFO_BY_FD,
        _attributes("=IIQ", program_fd, len(info), ctypes.addressof(info)),
    )
    run_time_ns, run_count = struct.unpack_from("=QQ", info.raw, 192)
    (program_id,) = struct.unpack_from("=I", info.raw, 4)
    name = info.raw[64:80].split(b"\0")[0].decode()
    return ProgramInfo(program_id, name, run_time_ns, run_count)


def test_run(program_fd: int, packet: bytes, context: bytes = b"") -> tuple[int, bytes]:
    """Run a program once on a packet (BPF_PROG_TEST_RUN); returns (verdict, packet after)."""
    data_in = ctypes.create_string_buffer(packet, len(packet))
    data_out = ctypes.create_string_buffer(len(packet) + 256)
    context_in = ctypes.create_string_buffer(context, len(context)) if context else None
    attributes = _attributes(
        "=4IQQ4IQQ",
        program_fd, 0, len(packet), len(data_out),
        ctypes.addressof(data_in), ctypes.addressof(data_out),
        1, 0, len(context), 0,
        ctypes.addressof(context_in) if context_in is not None else 0, 0,
    )  # fmt: skip
    _call(Command.PROG_TEST_RUN, attributes)
    (verdict,) = struct.unpack_from("=i", attributes.raw, 4)
    (size_out,) = struct.unpack_from("=I", attributes.raw, 12)
    return verdict, data_out.raw[:size_out]
