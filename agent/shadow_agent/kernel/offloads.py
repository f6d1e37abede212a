"""Which offloads an interface has on, by the ethtool ioctl.

The tap works with all of them: a merged packet is one record of up to 64 KiB. They explain record
sizes, and LRO explains payloads that a router in front never sent in that shape.
"""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
from typing import Final

# linux/sockios.h, linux/ethtool.h
_SIOCETHTOOL: Final = 0x8946
_COMMANDS: Final = {"gro": 0x2B, "gso": 0x23, "tso": 0x1E}
_GET_FLAGS: Final = 0x25
_FLAG_LRO: Final = 1 << 15
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL})


def offloads(interface: str) -> dict[str, bool]:
    """``gro``, ``gso``, ``lro`` and ``tso`` as far as the device knows them. Raises OSError."""
    found = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        for name, command in _COMMANDS.items():
            value = _get(channel, interface, command)
            if value is not None:
                found[name] = bool(value)
        flags = _get(channel, interface, _GET_FLAGS)
        if flags is not None:
            found["lro"] = bool(flags & _FLAG_LRO)
    return dict(sorted(found.items()))


def _get(channel: socket.socket, interface: str, command: int) -> int | None:
    # struct ethtool_value, behind the pointer in struct ifreq
    value = array.array("I", [command, 0])
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    try:
        fcntl.ioctl(channel.fileno(), _SIOCETHTOOL, request)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return value[1]
