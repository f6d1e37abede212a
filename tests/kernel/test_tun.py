"""A TUN device as the selftest makes it."""

from __future__ import annotations

import os
import socket
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest

from shadow_agent.kernel import netlink, tun
from tests.testbed.ns import Namespace

V4, V6 = IPv4Interface("192.0.2.2/24"), IPv6Interface("2001:db8::2/64")


@pytest.fixture(autouse=True)
def device() -> None:
    """The kernel has them."""
    if not Path(tun.DEVICE).exists():
        pytest.skip(tun.DEVICE)


def test_device_is_up_with_its_addresses(namespace: Namespace) -> None:
    """As netlink sees it; gone with its fd."""
    fd = namespace.call(tun.open_tun, "t0", (V4, V6), 1300)
    found = namespace.call(netlink.interface, "t0")
    assert found is not None
    assert found.up
    assert found.is_l3
    assert {"192.0.2.2", "2001:db8::2"} <= set(found.addresses)
    os.close(fd)
    assert namespace.call(netlink.interface, "t0") is None


def test_packets_of_the_kernel_are_read(namespace: Namespace) -> None:
    """What is sent to the other end comes out of the fd, whole."""
    fd = namespace.call(tun.open_tun, "t0", (V4,))
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"payload", ("192.0.2.1", 9))
    packets: list[bytes] = []
    while not any(packet.endswith(b"payload") for packet in packets):
        packets.append(os.read(fd, 2000))
    os.close(fd)


def test_a_name_that_is_taken(namespace: Namespace) -> None:
    """An OSError, and no fd left."""
    fd = namespace.call(tun.open_tun, "t0", (V4,))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="busy"):
        namespace.call(tun.open_tun, "t0", (V4,))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(fd)
