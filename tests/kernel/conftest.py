"""A loaded tap, small rings and a control page, all freed after each test.

``Tap.run`` is one packet through one entry program by BPF_PROG_TEST_RUN, with what every packet
owes checked on the way: verdict "next", packet untouched, counters that balance, records that
``RingReader`` and a raw reading of the ring agree on.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

import pytest

from shadow_agent.flow.segment import Segment, split_urgent
from shadow_agent.kernel import bpf
from shadow_agent.kernel.control import ControlPage
from shadow_agent.kernel.counters import KernelCounters
from shadow_agent.kernel.layout import RECORD, Counter, Role
from shadow_agent.kernel.load import load
from shadow_agent.kernel.program import LoadedTap, Loader
from shadow_agent.kernel.ring import RingReader
from tests.testbed.names import RunName
from tests.testbed.ns import Namespace

HERE = Path(__file__).parent

TAP_ENTRIES = ("tap_ingress", "tap_egress", "tap_loopback", "tap_l3_ingress", "tap_l3_egress")
SHADOW_ENTRIES = (
    "shadow_ingress",
    "shadow_egress",
    "shadow_loopback",
    "shadow_l3_ingress",
    "shadow_l3_egress",
)
ENTRIES = TAP_ENTRIES + SHADOW_ENTRIES

NEXT = -1
SERVICE = 8080
SHADOW = (ip_address("10.0.9.9"), 9090)
LEASE_MAX_NS = 2_000_000_000
PAGE = 4096

# Counters that say what became of a packet; the others say something more about some of them.
FATES = tuple(c for c in Counter if Counter.SEEN < c <= Counter.COPIED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here loads BPF programs."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kernel)


class Captured(NamedTuple):
    """One record as it lies on the ring."""

    ts: int
    key: bytes
    seq: int
    ack: int
    length: int
    copied: int
    ifindex: int
    number: int
    family: int
    flags: int
    direction: int
    role: int
    final: int
    urgent: int
    payload: bytes
    taken: int  # bytes on the ring, without its 8-byte header

    def segments(self) -> list[Segment]:
        """What the reader makes of it: an urgent byte stands apart."""
        whole = Segment(
            *(self.ts, self.key, self.direction, self.seq, self.ack, self.flags),
            *(self.payload, self.length, bool(self.final)),
        )
        return split_urgent(whole, self.urgent) if self.urgent else [whole]

    @property
    def endpoints(self) -> tuple[str, int, str, int]:
        """Remote address and port, local address and port, readable."""
        remote, local = (_address(self.key[at : at + 16]) for at in (0, 16))
        return (
            remote,
            *struct.unpack_from("!H", self.key, 32),
            local,
            *struct.unpack_from("!H", self.key, 34),
        )


def _address(raw: bytes) -> str:
    address = IPv6Address(raw)
    return str(address.ipv4_mapped or address)


class Outcome(NamedTuple):
    """What one packet left behind: records, and the counters that moved."""

    records: list[Captured]
    counted: dict[Counter, int]


class Tap:
    """A loaded tap with its rings, as a test drives it."""

    def __init__(self, loaded: LoadedTap, *, shards: int, ring_size: int) -> None:
        self.loaded = loaded
        self.programs = loaded.programs
        self.counters = KernelCounters(loaded.maps["counters"])
        self.control = ControlPage(loaded.maps["control"], writable=True)
        self.ring_size = ring_size
        self.rings = [bpf.create_ring(ring_size, f"test_{shard}") for shard in range(shards)]
        self.readers = [RingReader(fd, ring_size) for fd in self.rings]
        for shard, fd in enumerate(self.rings):
            bpf.update(loaded.maps["rings"], shard, struct.pack("=I", fd))
        self.configure()
        self.control.set_sample(1.0)
        self.control.renew_lease(time.monotonic_ns())

    def configure(
        self,
        *,
        ports: tuple[int, ...] = (SERVICE,),
        shadow: tuple[IPv4Address | IPv6Address, int] = SHADOW,
        guard: bool = False,
        salt: int = 0x5EED,
        wake_bytes: int = PAGE,
        lease_max_ns: int = LEASE_MAX_NS,
    ) -> None:
        """The control page, with what most tests want as defaults."""
        self.control.configure(
            ports=ports,
            shadow=shadow,
            guard=guard,
            shards=len(self.rings),
            salt=salt,
            wake_bytes=wake_bytes,
            lease_max_ns=lease_max_ns,
        )

    def counts(self, role: Role = Role.PRODUCTION) -> dict[Counter, int]:
        """Totals of one role's counters, checked for balance."""
        counts = self.counters.read()[role]
        assert counts[Counter.SEEN] == sum(counts[fate] for fate in FATES), "SEEN is not balanced"
        return counts | dict.fromkeys((Counter.TIMED, Counter.TIMED_NS), 0)  # test_tap_time.py's

    def records(self, shard: int = 0) -> list[Captured]:
        """Everything on one ring, consumed; RingReader has to agree with the raw bytes."""
        reader = self.readers[shard]
        raw = list(_raw_records(reader))
        packets = sum(r.final for r in raw if r.role == Role.PRODUCTION)
        assert reader.count(reader.consumed, reader.produced)[0] == packets
        production: list[Segment] = []
        shadow: list[Segment] = []
        before = reader.packets
        while reader.consumed < reader.produced:
            reader.drain(_ignore, _ignore, production.append, shadow.append, self.ring_size)
        assert reader.packets - before == packets
        for role, segments in ((Role.PRODUCTION, production), (Role.SHADOW, shadow)):
            assert segments == [part for r in raw if r.role == role for part in r.segments()]
        return raw

    def all_records(self) -> list[list[Captured]]:
        """``records`` of every shard."""
        return [self.records(shard) for shard in range(len(self.rings))]

    def run(self, entry: str, frame: bytes, context: bytes = b"") -> Outcome:
        """One frame through one entry; what it owes whatever it is, is checked here."""
        before = self.counters.read()
        verdict, after = bpf.test_run(self.programs[entry], frame, context)
        assert verdict == NEXT, f"verdict {verdict}"
        assert after == frame, "the packet was changed"
        moved = {role: Tally(self.counts(role)) - Tally(before[role]) for role in Role}
        role = Role.SHADOW if entry.startswith("shadow_") else Role.PRODUCTION
        assert moved[role][Counter.SEEN] == 1
        assert not moved[Role(1 - role)], "the other role's counters moved"
        del moved[role][Counter.SEEN]
        return Outcome([r for ring in self.all_records() for r in ring], dict(moved[role]))

    def close(self) -> None:
        """Unmap and close everything."""
        for reader in self.readers:
            reader.close()
        for fd in self.rings:
            os.close(fd)
        self.control.close()
        self.loaded.close()


def _ignore(_position: int) -> None:
    """Nobody else reads this ring."""


def _raw_records(reader: RingReader) -> Iterator[Captured]:
    for at in reader._records(reader.consumed, reader.produced):
        fields = RECORD.unpack_from(reader._data, at)
        payload = at + RECORD.size
        (word,) = struct.unpack_from("=I", reader._data, at - 8)
        copied = fields[5]
        yield Captured._make((*fields, reader._data[payload : payload + copied], word))


MakeTap = Callable[..., Tap]


@pytest.fixture(scope="session")
def built_object() -> None:
    """The object that ``make bpf`` builds; a test host without it has a broken set-up."""
    from shadow_agent.kernel.program import OBJECT  # noqa: PLC0415 - only where it is asked for

    assert OBJECT.exists(), f"no BPF object at {OBJECT}; run `make bpf`"


@pytest.fixture
def make_tap(built_object: None) -> Iterator[MakeTap]:
    """Load entries (libbpf unless told otherwise) with ``shards`` rings of ``ring_size`` bytes."""
    if os.geteuid() != 0:
        pytest.skip("root")
    with contextlib.ExitStack() as stack:

        def make(
            *entries: str,
            shards: int = 1,
            ring_size: int = 16 * PAGE,
            loader: Loader = Loader.LIBBPF,
        ) -> Tap:
            made = Tap(load(loader, entries), shards=shards, ring_size=ring_size)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def run_statistics() -> Iterator[None]:
    """The kernel counts runs of every program while this is on."""
    fd = bpf.enable_run_time_stats()
    yield
    os.close(fd)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace of our own with loopback up."""
    if os.geteuid() != 0:
        pytest.skip("root")
    made = Namespace(RunName.new().of("kernel"))
    made.create()
    try:
        subprocess.run(made.command("ip", "link", "set", "lo", "up"), check=True)
        yield made
    finally:
        made.remove()
