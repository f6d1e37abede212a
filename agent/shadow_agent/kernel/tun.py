"""TUN devices: what the kernel sends by one we read, what we write it takes for received.

By ioctl: a device in a namespace that lives for a second is not worth netlink's import.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from ipaddress import IPv4Interface, IPv6Interface
from typing import Final

DEVICE: Final = "/dev/net/tun"

_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_IFF_UP: Final = 0x1
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFADDR: Final = 0x8916
_SIOCSIFNETMASK: Final = 0x891C
_SIOCSIFMTU: Final = 0x8922


def open_tun(
    name: str, addresses: tuple[IPv4Interface | IPv6Interface, ...], mtu: int = 1500
) -> int:
    """A device of this thread's namespace, up, with these addresses; it ends with its fd.

    The fd is non-blocking; each read and each write is one IP packet. Raises OSError.
    """
    fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            _set(control, _SIOCSIFMTU, name, struct.pack("=i", mtu))
            _set(control, _SIOCSIFFLAGS, name, struct.pack("=H", _IFF_UP))
            for address in addresses:
                if isinstance(address, IPv4Interface):
                    _set(control, _SIOCSIFADDR, name, _inet(address.ip.packed))
                    _set(control, _SIOCSIFNETMASK, name, _inet(address.netmask.packed))
                else:
                    _set_ipv6(name, address)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _set(control: socket.socket, command: int, name: str, value: bytes) -> None:
    fcntl.ioctl(control, command, struct.pack("16s24s", name.encode(), value))


def _inet(address: bytes) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, address)


def _set_ipv6(name: str, address: IPv6Interface) -> None:
    request = struct.pack(
        "=16sIi", address.ip.packed, address.network.prefixlen, socket.if_nametoindex(name)
    )
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFADDR, request)
