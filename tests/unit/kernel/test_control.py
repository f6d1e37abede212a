"""The control page, mapped as the tap's map is; ``tests/kernel`` shows that programs obey it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from shadow_agent.kernel.control import ControlPage, address_bytes
from shadow_agent.kernel.layout import CONTROL_SIZE, ControlField


@pytest.fixture
def page_fd() -> Iterator[int]:
    """Memory that can be mapped twice."""
    fd = os.memfd_create("control")
    os.ftruncate(fd, -(-CONTROL_SIZE // mmap.PAGESIZE) * mmap.PAGESIZE)
    yield fd
    os.close(fd)


def test_readers_follow_the_writer(page_fd: int) -> None:
    """Each change of a switch is a change that they notice; a heartbeat is none."""
    writer, reader = ControlPage(page_fd, writable=True), ControlPage(page_fd, writable=False)
    writer.set_sample(0.5)
    before = reader.changes()
    writer.renew_lease(123)
    assert reader.lease_ns() == 123
    assert reader.changes() == before
    writer.set_paused(True)
    assert reader.changes() != before
    state = reader.state()
    assert (state.paused, state.tripped, state.sample) == (True, False, 0.5)
    writer.set_paused(False)
    assert not reader.state().paused
    writer.close()
    reader.close()


def test_a_worker_cannot_write(page_fd: int) -> None:
    """Its mapping is read-only."""
    reader = ControlPage(page_fd, writable=False)
    with pytest.raises(TypeError):
        reader.set_paused(True)
    reader.close()


def test_what_is_set_once(page_fd: int) -> None:
    """Ports as a bitmap, the shadow's address as 16 bytes, in network order."""
    writer = ControlPage(page_fd, writable=True)
    writer.configure(
        ports=(1, 65535),
        shadow=(ip_address("192.0.2.1"), 8080),
        guard=True,
        shards=3,
        salt=7,
        wake_bytes=4096,
        lease_max_ns=9,
    )
    raw = os.pread(page_fd, CONTROL_SIZE, 0)
    assert raw[ControlField.PORTS] == 0b10
    assert raw[ControlField.PORTS + 65535 // 8] == 0b1000_0000
    assert sum(byte.bit_count() for byte in raw[ControlField.PORTS :]) == 2
    at = ControlField.SHADOW_ADDR
    assert raw[at : at + 16] == address_bytes(ip_address("::ffff:192.0.2.1"))
    assert raw[ControlField.SHADOW_PORT : ControlField.SHADOW_PORT + 2] == b"\x1f\x90"
    assert raw[ControlField.GUARD] == 1
    writer.close()


def test_addresses() -> None:
    """As in a flow key."""
    assert address_bytes(ip_address("192.0.2.1")) == bytes(10) + b"\xff\xff\xc0\0\2\1"
    assert address_bytes(ip_address("::1")) == bytes(15) + b"\1"
