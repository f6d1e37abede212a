"""A seccomp filter over kinds of sockets: what no cgroup hook sees cannot be made.

The hooks see AF_INET and AF_INET6. Of the others a process may make AF_UNIX and AF_NETLINK; a
machine's AF_VSOCK, say, would be a way to its host. io_uring makes sockets past seccomp, so it is
not there (ENOSYS, as on kernels without it). Nor may it type into the terminal that the guard was
started from (TIOCSTI, TIOCLINUX): a root's shell reads there. Classic BPF by prctl(2): no library.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
import sys
from typing import Final, NamedTuple

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2
_RET_ALLOW: Final = 0x7FFF0000
_RET_ERRNO: Final = 0x00050000
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_RETURN: Final = 0x06
# offsets in struct seccomp_data
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4
_FIRST_ARGUMENT: Final = 16 if sys.byteorder == "little" else 20
_SECOND_ARGUMENT: Final = _FIRST_ARGUMENT + 8
_X32: Final = 0x40000000  # x86-64's other table
_IO_URING_SETUP: Final = 425
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C

FAMILIES: Final = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)


class Machine(NamedTuple):
    """What seccomp calls an architecture, and its socket(2), socketpair(2) and ioctl(2)."""

    audit: int
    socket: int
    socketpair: int
    ioctl: int


MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 41, 53, 16),
    "aarch64": Machine(0xC00000B7, 198, 199, 29),
    "riscv64": Machine(0xC00000F3, 198, 199, 29),
}


def here() -> Machine | None:
    """This machine; None where the filter is not known to be right."""
    return MACHINES.get(platform.machine())


def program(machine: Machine) -> bytes:
    """The filter, 8 bytes an instruction. Programs of another architecture (32-bit) get ENOSYS."""
    absent = _RET_ERRNO | errno.ENOSYS
    lines: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, absent),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, absent),
        (_EQUAL, 0, 1, _IO_URING_SETUP),
        (_RETURN, 0, 0, absent),
        (_EQUAL, 0, 5, machine.ioctl),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_EQUAL, 1, 0, _TIOCSTI),
        (_EQUAL, 0, 1, _TIOCLINUX),
        (_RETURN, 0, 0, _RET_ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _RET_ALLOW),
        (_EQUAL, 2, 0, machine.socket),
        (_EQUAL, 1, 0, machine.socketpair),
        (_RETURN, 0, 0, _RET_ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
    ]
    for left, family in zip(range(len(FAMILIES), 0, -1), FAMILIES, strict=True):
        lines.append((_EQUAL, left, 0, family))
    lines += [
        (_RETURN, 0, 0, _RET_ERRNO | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def restrict() -> bool:
    """Filter this process and what it starts; False where the machine is not known.

    no_new_privs must be set. Raises OSError.
    """
    machine = here()
    if machine is None:
        return False
    code = program(machine)
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(fprog, len(fprog))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(holder), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return True
