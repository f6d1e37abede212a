"""A table of nftables that keeps connections to the shadow out of conntrack, by raw netlink.

The table is owned by the socket that made it (Linux 5.12): it goes when that is closed, also by a
kill. Before, it stays until the next start of the same target, or ``detach``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_PREFIX: Final = "shadow-agent-"
# linux/netlink.h, nfnetlink.h
_NETLINK_NETFILTER: Final = 12
_REQUEST, _ACK, _DUMP, _CREATE, _EXCL = 0x1, 0x4, 0x300, 0x400, 0x200
_ERROR, _DONE = 2, 3
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM: Final = 10
_NESTED: Final = 0x8000
_TIMEOUT_S: Final = 2.0
# linux/netfilter/nf_tables.h
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 1, 2, 3, 6
_OWNER: Final = 2
_OIFNAME, _IIFNAME, _L4PROTO = 7, 6, 16
_NETWORK, _TRANSPORT = 1, 2
_REGISTER: Final = 1
# NF_INET_* and NF_IP_PRI_RAW, which is before conntrack looks at a packet
_PREROUTING, _LOCAL_OUT, _RAW = 0, 3, -300
_IFNAMSIZ: Final = 16


@dataclass(frozen=True, slots=True)
class Untracked:
    """Connections to this address and port that leave by this interface."""

    address: IPv4Address | IPv6Address
    port: int
    interface: str
    local: bool  # the shadow is on this host: both ends pass both hooks

    @property
    def family(self) -> int:
        """NFPROTO_IPV4 or NFPROTO_IPV6, which are the address families' numbers."""
        return int(socket.AF_INET if self.address.version == 4 else socket.AF_INET6)


class NotrackTable:
    """In force from construction to ``close``, or to the death of its socket's last holder."""

    def __init__(self, target: str, what: Untracked, *, owned: bool = True) -> None:
        """Raises OSError: no nftables, or no right to it."""
        self._name = _PREFIX + target
        self._family = what.family
        self._socket = _open()
        self.owned = owned
        try:
            try:
                self._make(what, _OWNER if owned else 0)
            except OSError as exc:
                if not owned or exc.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
                    raise
                self.owned = False  # Linux before 5.12
                self._make(what, 0)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Connections to the shadow are tracked again, if anything is."""
        if not self.owned:
            with contextlib.suppress(OSError):
                _delete(self._socket, self._family, self._name)
        self._socket.close()

    def _make(self, what: Untracked, flags: int) -> None:
        name = _text(1, self._name)
        messages = [(_NEW_TABLE, name + _number(2, flags))]
        for chain, hook in (("output", _LOCAL_OUT), ("prerouting", _PREROUTING)):
            place = _nest(4, _number(1, hook) + _number(2, _RAW))
            kind = _text(3, chain) + place + _number(5, 1) + _text(7, "filter")
            messages.append((_NEW_CHAIN, name + kind))
            asking = hook == _LOCAL_OUT
            for there in (True, False) if what.local else (asking,):
                rule = _nest(4, _rule(what, out=asking, there=there))
                messages.append((_NEW_RULE, name + _text(2, chain) + rule))
        _batch(self._socket, self._family, messages, _CREATE)


def remove_stale(target: str | None = None) -> list[str]:
    """Remove tables without a living owner, of one target or of all; says which.

    Raises PermissionError.
    """
    removed = []
    try:
        with contextlib.closing(_open()) as sock:
            wanted = None if target is None else _PREFIX + target
            for family, name, owned in list(_tables(sock)):
                if owned or not name.startswith(_PREFIX) or wanted not in {None, name}:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    _delete(sock, family, name)
                    removed.append(f"{name.removeprefix(_PREFIX)}: nftables table {name}")
    except PermissionError:
        raise
    except OSError:
        return removed  # a kernel without nftables has none of ours
    return removed


def _rule(what: Untracked, *, out: bool, there: bool) -> bytes:
    """``there``: packets to the shadow; else from it. ``out``: on their way out; else in."""
    interface = what.interface.encode().ljust(_IFNAMSIZ, b"\0")
    address = what.address.packed
    # IPv4: source at 12, destination at 16; IPv6: 8 and 24
    at = (16 if there else 12) if what.address.version == 4 else (24 if there else 8)
    return b"".join(
        (
            _meta(_OIFNAME if out else _IIFNAME),
            _equal(interface),
            _meta(_L4PROTO),
            _equal(bytes([socket.IPPROTO_TCP])),
            _payload(_NETWORK, at, len(address)),
            _equal(address),
            _payload(_TRANSPORT, 2 if there else 0, 2),
            _equal(what.port.to_bytes(2, "big")),
            _expression("notrack", b""),
        )
    )


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, _REGISTER) + _number(2, key))


def _payload(base: int, offset: int, length: int) -> bytes:
    where = _number(2, base) + _number(3, offset) + _number(4, length)
    return _expression("payload", _number(1, _REGISTER) + where)


def _equal(value: bytes) -> bytes:
    operand = _nest(3, _attribute(1, value))
    return _expression("cmp", _number(1, _REGISTER) + _number(2, 0) + operand)


def _expression(name: str, data: bytes) -> bytes:
    return _nest(1, _text(1, name) + (_nest(2, data) if data else b""))


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode() + b"\0")


def _number(kind: int, number: int) -> bytes:
    return _attribute(kind, struct.pack(">I", number & 0xFFFFFFFF))


def _nest(kind: int, data: bytes) -> bytes:
    return _attribute(kind | _NESTED, data)


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    try:
        sock.settimeout(_TIMEOUT_S)
        sock.bind((0, 0))
    except OSError:
        sock.close()
        raise
    return sock


def _message(kind: int, flags: int, family: int, body: bytes, sequence: int) -> bytes:
    resource = _SUBSYSTEM if kind in {_BATCH_BEGIN, _BATCH_END} else 0
    data = struct.pack("=BB", family, 0) + struct.pack(">H", resource) + body
    return struct.pack("=IHHII", 16 + len(data), kind, _REQUEST | flags, sequence, 0) + data


def _batch(sock: socket.socket, family: int, messages: list[tuple[int, bytes]], flags: int) -> None:
    """All or nothing. Raises OSError."""
    last = len(messages)
    sent = [_message(_BATCH_BEGIN, 0, 0, b"", 0)]
    for sequence, (kind, body) in enumerate(messages, start=1):
        # an error is always answered; success only where it is asked for
        acknowledge = _ACK if sequence == last else 0
        exclusive = _EXCL if kind == _NEW_TABLE and flags else 0
        number = _SUBSYSTEM << 8 | kind
        sent.append(_message(number, flags | exclusive | acknowledge, family, body, sequence))
    sent.append(_message(_BATCH_END, 0, 0, b"", last + 1))
    sock.send(b"".join(sent))
    for kind, sequence, body in _replies(sock):
        if kind == _ERROR:
            code = -struct.unpack_from("=i", body)[0]
            if code:
                raise OSError(code, f"nftables: {os.strerror(code)}")
            if sequence == last:
                return


def _delete(sock: socket.socket, family: int, name: str) -> None:
    _batch(sock, family, [(_DELETE_TABLE, _text(1, name))], 0)


def _tables(sock: socket.socket) -> Iterator[tuple[int, str, bool]]:
    """Family, name and whether it has an owner, of each table of this namespace."""
    sock.send(_message(_SUBSYSTEM << 8 | _GET_TABLE, _DUMP, 0, b"", 1))
    for kind, _, body in _replies(sock):
        if kind == _ERROR:
            code = -struct.unpack_from("=i", body)[0]
            raise OSError(code, f"nftables: {os.strerror(code)}")
        if kind == _DONE:
            return
        found = dict(_attributes(body[4:]))
        name = found.get(1, b"").rstrip(b"\0").decode(errors="replace")
        (flags,) = struct.unpack(">I", found.get(2, bytes(4)))
        yield body[0], name, bool(flags & _OWNER)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & ~_NESTED, data[at + 4 : at + length]
        at += length + -length % 4


def _replies(sock: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Kind, sequence number and body of each message of the kernel's. Raises OSError."""
    while True:
        data = sock.recv(1 << 16)
        at = 0
        while at + 16 <= len(data):
            length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data, at)
            yield kind, sequence, data[at + 16 : at + length]
            at += length + -length % 4
