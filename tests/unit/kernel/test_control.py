"""The control page, mapped as the tap's map is; ``tests/kernel`` shows that programs obey it."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from shadow_agent.kernel.control import MAX_BYTES_PER_S, ControlPage, address_bytes
from shadow_agent.kernel.layout import CONTROL_SIZE, COST_SHIFT, ControlField


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


def test_byte_budget(page_fd: int) -> None:
    """In ns a byte; a new rate forgets debts; without one flows stay decided by request."""

    def found() -> tuple[int, int, int, int]:
        raw = os.pread(page_fd, CONTROL_SIZE, 0)
        words = (ControlField.BUDGET_COST, ControlField.BUDGET_BURST_NS)
        cost, burst = (struct.unpack_from("=Q", raw, at)[0] for at in words)
        until = struct.unpack_from("=Q", raw, ControlField.BUDGET_UNTIL_NS)[0]
        return raw[ControlField.BY_REQUEST], cost >> COST_SHIFT, burst, until

    writer = ControlPage(page_fd, writable=True)
    writer.set_byte_budget(None)
    assert found()[0] == 0
    writer.set_byte_budget(1_000_000, 500_000)
    assert found() == (1, 1000, 500_000_000, 0)
    os.pwrite(page_fd, b"\xff", ControlField.BUDGET_UNTIL_NS)
    writer.set_byte_budget(1, MAX_BYTES_PER_S)
    assert found() == (1, 1_000_000_000, (1 << 64) - 1, 0)
    writer.set_byte_budget(MAX_BYTES_PER_S, 1)
    assert found() == (1, 0, 1, 0)
    writer.set_byte_budget(None)
    assert found() == (1, 0, (1 << 64) - 1, 0)
    writer.close()


def test_addresses() -> None:
    """As in a flow key."""
    assert address_bytes(ip_address("192.0.2.1")) == bytes(10) + b"\xff\xff\xc0\0\2\1"
    assert address_bytes(ip_address("::1")) == bytes(15) + b"\1"
