"""Sockets to the shadow: by which way they leave, what a failure to connect means, their RTT."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final, NamedTuple

from shadow_agent.telemetry.reasons import Failed, Outcome

_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EPERM})
_OURS: Final = frozenset(
    {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
)
_BIND: Final = frozenset({errno.ENODEV, errno.EPERM, errno.EADDRINUSE})
# Tries to find a local port that names our shard; the first one is nearly always free.
_PORT_TRIES: Final = 256
# on, 0 seconds: close by RST, so that neither TIME_WAIT nor conntrack entries pile up here
_LINGER: Final = struct.pack("=ii", 1, 0)
# struct tcp_info, include/uapi/linux/tcp.h
_TCP_INFO_SIZE: Final = 256
_MIN_RTT_AT: Final = 148
_UNKNOWN_RTT: Final = 0xFFFFFFFF


class Endpoint(NamedTuple):
    """Where the shadow is and by which way."""

    family: int  # socket.AF_INET or AF_INET6
    address: tuple[str | int, ...]  # as connect(2) takes it
    key: bytes  # its address, 16 bytes, as in a flow key
    port: int
    interface: str | None  # sockets are bound to this device, so that no route leads elsewhere


def begin_connect(endpoint: Endpoint, shard: tuple[int, int]) -> socket.socket | Outcome | Failed:
    """A socket whose handshake is on its way; else whose fault it is that there is none.

    ``shard`` is (ours, how many): the tap sends records of our connections to the ring that the
    local port names.
    """
    try:
        sock = _open(endpoint, shard)
    except OSError as exc:
        return Failed.BIND if exc.errno in _BIND else Failed.NO_SOCKET
    code = sock.connect_ex(endpoint.address)
    if code in (0, errno.EINPROGRESS):
        return sock
    sock.close()
    if code == errno.ECONNREFUSED:  # by a shadow on this host; others cannot have answered yet
        return outcome_of(code)
    return Failed.NO_SOCKET if code in _OURS else Failed.NO_ROUTE


def outcome_of(code: int) -> Outcome:
    """What the errno of a connection that was on its way says of the shadow."""
    if code == errno.ECONNREFUSED:
        return Outcome.REFUSED
    if code == errno.ETIMEDOUT:
        return Outcome.TIMEOUT_CONNECT
    if code in _UNREACHABLE:
        return Outcome.UNREACHABLE
    return Outcome.RESET


def key_of(endpoint: Endpoint, sock: socket.socket) -> bytes:
    """The flow key under which the shadow-side tap reports a connected socket."""
    host, port = sock.getsockname()[:2]
    if endpoint.family == socket.AF_INET:
        local = bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, host)
    else:
        local = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return endpoint.key + local + endpoint.port.to_bytes(2, "big") + int(port).to_bytes(2, "big")


def smallest_rtt_us(sock: socket.socket) -> int | None:
    """The kernel's smallest round-trip time of a connection, µs (TCP_INFO tcpi_min_rtt)."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if len(info) < _MIN_RTT_AT + 4:
        return None
    (smallest,) = struct.unpack_from("=I", info, _MIN_RTT_AT)
    return int(smallest) if smallest != _UNKNOWN_RTT else None


def _open(endpoint: Endpoint, shard: tuple[int, int]) -> socket.socket:
    """A socket that can only leave by the shadow interface, with a local port of our shard."""
    ours, shards = shard
    if shards == 1:
        return _leaving(endpoint)
    for _ in range(_PORT_TRIES):
        with _leaving(endpoint) as probe:
            probe.bind(("", 0))
            port = int(probe.getsockname()[1])
        sock = _leaving(endpoint)
        try:
            # bind(2) gives out ports of one parity only: waiting for one of ours may be in vain
            sock.bind(("", port - (port - ours) % shards))
        except OSError as exc:
            sock.close()
            if exc.errno != errno.EADDRINUSE:
                raise
        else:
            return sock
    raise OSError(errno.EADDRINUSE, "no local port of our shard")


def _leaving(endpoint: Endpoint) -> socket.socket:
    """A socket that can only leave by the shadow interface."""
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if endpoint.interface is not None:
            # allowed to an unprivileged process, once per socket, since Linux 5.7
            device = os.fsencode(endpoint.interface) + b"\0"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    except OSError:
        sock.close()
        raise
    return sock
