"""Segment: one decoded capture record, with its flow's key and its direction."""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

KEY_LENGTH: Final = 36
_V4_MAPPED: Final = b"\0" * 10 + b"\xff\xff"


class Direction(IntEnum):
    """Which way a segment travels."""

    REQUEST = 0  # towards the service
    RESPONSE = 1  # from the service


class Segment(NamedTuple):
    """One piece of a TCP packet as captured.

    A NamedTuple, not a dataclass: one is built per record (0.3 µs against 0.9 µs).
    """

    ts: int  # capture time, CLOCK_MONOTONIC ns
    key: bytes  # 36 bytes: remote address 16, local address 16, remote port 2 BE, local port 2 BE
    direction: int  # a Direction
    seq: int  # sequence number of the payload's first byte (of the SYN itself where SYN is set)
    ack: int  # acknowledgement number (meaningless without the ACK flag)
    flags: int  # TCP flags
    payload: bytes  # what was copied
    length: int  # payload bytes of this piece on the wire; more than len(payload) means cut
    final: bool  # last piece of its packet; only final pieces are counted in the ledger


def flow_key(remote: str, remote_port: int, local: str, local_port: int) -> bytes:
    """The key of a flow from its addresses in text form. Raises ValueError on a bad address."""
    return (
        _packed(remote)
        + _packed(local)
        + remote_port.to_bytes(2, "big")
        + local_port.to_bytes(2, "big")
    )


def format_endpoint(address: bytes, port: int) -> str:
    """`192.0.2.1:80` or `[2001:db8::1]:80` from a 16-byte address (IPv4 is v4-mapped)."""
    if address[:12] == _V4_MAPPED:
        a, b, c, d = address[12:]
        return f"{a}.{b}.{c}.{d}:{port}"
    return f"[{IPv6Address(address)}]:{port}"


def format_flow(key: bytes) -> str:
    """`remote > local`, as records and logs name a flow."""
    remote = format_endpoint(key[:16], int.from_bytes(key[32:34], "big"))
    local = format_endpoint(key[16:32], int.from_bytes(key[34:36], "big"))
    return f"{remote} > {local}"


def _packed(address: str) -> bytes:
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else _V4_MAPPED + packed
