"""A packet socket that sees what this host sends to some ports: a look, not a hand on traffic."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

LARGEST: Final = 256 << 10  # bytes of one packet: segments are not cut to size yet
# Bytes that wait for us; the kernel counts what does not fit.
_BUFFER: Final = 8 << 20
_ETH_P_ALL: Final = 3
_SO_ATTACH_FILTER: Final = 26
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_PACKET_IGNORE_OUTGOING: Final = 23
_LOAD_BYTE: Final = 0x30
_LOAD_HALF: Final = 0x28
_LOAD_HALF_AT_X: Final = 0x48
_HEADER_LENGTH: Final = 0xB1  # X = 4 * (byte & 0xf)
_AND: Final = 0x54
_EQUAL: Final = 0x15
_SET: Final = 0x45
_RETURN: Final = 0x06
_TCP: Final = 6


def program(ports: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Classic BPF over packets from their IP header on: TCP to one of ``ports``, whole."""
    # operation, where to go if it holds and if not (None: the next line), operand
    lines: list[tuple[int, str | None, str | None, int]] = [
        (_LOAD_BYTE, None, None, 0),
        (_AND, None, None, 0xF0),
        (_EQUAL, None, "six", 0x40),
        (_LOAD_BYTE, None, None, 9),
        (_EQUAL, None, "drop", _TCP),
        (_LOAD_HALF, None, None, 6),
        (_SET, "drop", None, 0x1FFF),  # a later fragment has no ports
        (_HEADER_LENGTH, None, None, 0),
        (_LOAD_HALF_AT_X, None, None, 2),
        *((_EQUAL, "take", None, port) for port in ports),
        (_RETURN, None, None, 0),
        (_EQUAL, None, "drop", 0x60),
        (_LOAD_BYTE, None, None, 6),
        (_EQUAL, None, "drop", _TCP),  # extension headers before TCP: not seen
        (_LOAD_HALF, None, None, 42),
        *((_EQUAL, "take", None, port) for port in ports),
        (_RETURN, None, None, 0),
        (_RETURN, None, None, 0xFFFFFFFF),
    ]
    labels = {"six": 10 + len(ports), "drop": len(lines) - 2, "take": len(lines) - 1}

    def away(label: str | None, at: int) -> int:
        return 0 if label is None else labels[label] - at - 1

    return [
        (code, away(yes, at), away(no, at), operand)
        for at, (code, yes, no, operand) in enumerate(lines)
    ]


def open_socket(interface: str, ports: Sequence[int]) -> socket.socket:
    """Sees from now on what passes ``interface`` towards these ports. Raises OSError."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        code = b"".join(struct.pack("=HBBI", *line) for line in program(ports))
        buffer = ctypes.create_string_buffer(code, len(code))
        fprog = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
        found.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        found.bind((interface, _ETH_P_ALL))
    except OSError:
        found.close()
        raise
    return found


def dropped(packets: socket.socket) -> int:
    """Packets that found no room since the last look."""
    raw = packets.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
    return int(struct.unpack("=II", raw)[1])
