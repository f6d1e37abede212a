"""Sockets that leave by one way only, and what it means when they cannot."""

from __future__ import annotations

import errno
import resource
import socket
import struct

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.replay.sockets import (
    Endpoint,
    begin_connect,
    key_of,
    outcome_of,
    smallest_rtt_us,
)
from shadow_agent.telemetry.reasons import Failed, Outcome
from tests.unit.replay.bed import at


def listen(address: str = "127.0.0.1") -> socket.socket:
    """A listener on a free port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.bind((address, 0))
    listener.listen()
    return listener


def connected(endpoint: Endpoint, shard: tuple[int, int] = (0, 1)) -> socket.socket:
    """A socket that could be made."""
    made = begin_connect(endpoint, shard)
    assert isinstance(made, socket.socket)
    return made


def test_a_socket_closes_by_reset() -> None:
    """SO_LINGER of 0 seconds: the peer reads ECONNRESET, and nothing waits here."""
    with listen() as listener:
        with connected(at(listener.getsockname()[1])) as sock:
            linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            assert struct.unpack("=ii", linger) == (1, 0)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()
            peer, _ = listener.accept()
        with peer, pytest.raises(ConnectionResetError):
            peer.recv(1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_key_is_the_tap_s(address: str) -> None:
    """The shadow's end first, both as 16 bytes, as the tap reports the connection."""
    with listen(address) as listener:
        remote = listener.getsockname()
        family = listener.family
        packed = socket.inet_pton(family, address)
        key = packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed
        endpoint = Endpoint(family, remote, key, remote[1], None)
        with connected(endpoint) as sock:
            port = sock.getsockname()[1]
            assert key_of(endpoint, sock) == flow_key(address, remote[1], address, port)


@pytest.mark.parametrize("shard", [(0, 2), (1, 2), (15, 16)])
def test_the_local_port_names_the_shard(shard: tuple[int, int]) -> None:
    """So that the tap sends its records to our ring."""
    with listen() as listener, connected(at(listener.getsockname()[1]), shard) as sock:
        assert sock.getsockname()[1] % shard[1] == shard[0]


def test_a_socket_is_bound_to_the_device() -> None:
    """No route leads it elsewhere."""
    with listen() as listener, connected(at(listener.getsockname()[1], "lo")) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).startswith(b"lo\0")


def test_no_such_device() -> None:
    """Our own fault, by the name of the bind."""
    assert begin_connect(at(9, "nope0"), (0, 1)) is Failed.BIND


def test_out_of_descriptors() -> None:
    """Our own fault, and not that of the bind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert begin_connect(at(9), (0, 1)) is Failed.NO_SOCKET
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_kernel_has_no_way() -> None:
    """Our own fault: nobody was asked. A broadcast address is one that TCP never reaches."""
    endpoint = at(9)._replace(address=("127.255.255.255", 9))
    assert begin_connect(endpoint, (0, 1)) is Failed.NO_ROUTE


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (errno.ECONNREFUSED, Outcome.REFUSED),
        (errno.ETIMEDOUT, Outcome.TIMEOUT_CONNECT),
        (errno.EHOSTUNREACH, Outcome.UNREACHABLE),
        (errno.EPERM, Outcome.UNREACHABLE),
        (errno.ECONNRESET, Outcome.RESET),
    ],
)
def test_what_an_errno_says_of_the_shadow(code: int, outcome: Outcome) -> None:
    """A firewall of ours that rejects looks like one on the way."""
    assert outcome_of(code) is outcome


def test_round_trip() -> None:
    """Known after the handshake, unknown before it and of other sockets."""
    with socket.socket() as unconnected, socket.socket(socket.AF_UNIX) as other:
        assert smallest_rtt_us(unconnected) is None
        assert smallest_rtt_us(other) is None
    with listen() as listener, socket.create_connection(listener.getsockname()) as sock:
        rtt = smallest_rtt_us(sock)
        assert rtt is not None
        assert 0 <= rtt < 1_000_000
