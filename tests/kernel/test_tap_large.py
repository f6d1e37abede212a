"""What BPF_PROG_TEST_RUN cannot make: large, non-linear, real."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from shadow_agent.flow.segment import FIN, PSH, SYN
from shadow_agent.kernel import bpf
from shadow_agent.kernel.bpf import AttachType
from shadow_agent.kernel.layout import PIECE_MAX, Counter
from tests.kernel import frames
from tests.kernel.conftest import PAGE, SERVICE, Captured, MakeTap, Tap
from tests.kernel.devices import MAC, attached, raw_socket, set_gso_max, tun, virtio_header
from tests.kernel.frames import GET, SEQ, frame, ip, tcp
from tests.testbed import links
from tests.testbed.names import RunName
from tests.testbed.ns import Namespace

LARGE_RING = 1 << 20
EDGES = (
    1, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097,
    16383, 16384, 16385, 20480, 20481, 32767, 32768, 32769, 49152, 65475,
)  # fmt: skip

families = pytest.mark.parametrize("family", [4, 6])


def _payload(length: int) -> bytes:
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def _pieces(length: int) -> list[int]:
    whole = max(0, length - 1) // PIECE_MAX
    return [PIECE_MAX] * whole + [length - whole * PIECE_MAX]


def _check(records: list[Captured], payload: bytes, flags: int) -> None:
    """Pieces in order, each with its sequence number, size class and share of the flags."""
    assert [r.length for r in records] == _pieces(len(payload))
    assert b"".join(r.payload for r in records) == payload
    assert [r.final for r in records] == [0] * (len(records) - 1) + [1]
    assert [r.taken for r in records] == [80 + frames.size_class(r.length) for r in records]
    at = SEQ
    for i, record in enumerate(records):
        assert record.seq == at & 0xFFFFFFFF
        last = i == len(records) - 1
        expected = flags if last else flags & ~(FIN | PSH)
        assert record.flags == (expected if i == 0 else expected & ~SYN)
        at += record.length + (1 if i == 0 and flags & SYN else 0)
    assert len({r.ts for r in records}) == 1


def _receive(tap: Tap, fd: int, packet: bytes, link: int) -> list[Captured]:
    os.write(fd, virtio_header(packet, link=link) + packet)
    return tap.records()


@families
@pytest.mark.parametrize("l3", [False, True], ids=["tap", "tun"])
def test_received_sizes(make_tap: MakeTap, namespace: Namespace, family: int, l3: bool) -> None:
    """GSO frames up to 64 KiB from a TAP and a TUN device: every class and piece boundary."""
    entry = "tap_l3_ingress" if l3 else "tap_ingress"
    tap = make_tap(entry, ring_size=LARGE_RING)
    ends = frames.request_ends(family)
    with (
        tun(namespace, "t0", l3=l3) as fd,
        attached(namespace, "t0", (tap.programs[entry], AttachType.TCX_INGRESS)),
    ):
        for length in EDGES:
            payload = _payload(length)
            packet = frame(ip(ends) / tcp(ends, payload, "FPA"), l3=l3, mac=MAC)
            records = _receive(tap, fd, packet, 0 if l3 else 14)
            _check(records, payload, FIN | PSH | 16)
        syn = frame(ip(ends) / tcp(ends, _payload(40000), "SP"), l3=l3, mac=MAC)
        _check(_receive(tap, fd, syn, 0 if l3 else 14), _payload(40000), SYN | PSH)
    assert tap.counts()[Counter.COPIED] == len(EDGES) + 1 == tap.counts()[Counter.SEEN]


@families
@pytest.mark.parametrize("l3", [False, True], ids=["tap", "tun"])
def test_sent_sizes(make_tap: MakeTap, namespace: Namespace, family: int, l3: bool) -> None:
    """The same on egress, where a packet is not linear."""
    entry = "tap_l3_egress" if l3 else "tap_egress"
    tap = make_tap(entry, ring_size=LARGE_RING)
    ends = frames.request_ends(family).reversed()
    with (
        tun(namespace, "t0", l3=l3),
        raw_socket(namespace, "t0", virtio=True) as sock,
        attached(namespace, "t0", (tap.programs[entry], AttachType.TCX_EGRESS)),
    ):
        protocol = 0x86DD if family == 6 else 0x0800
        for length in EDGES:
            payload = _payload(length)
            packet = frame(ip(ends) / tcp(ends, payload), l3=l3, mac=MAC)
            header = virtio_header(packet, link=0 if l3 else 14)
            sock.sendto(header + packet, ("t0", protocol))
            records = tap.records()
            _check(records, payload, PSH | 16)
            assert {r.direction for r in records} == {1}
    assert tap.counts()[Counter.COPIED] == len(EDGES) == tap.counts()[Counter.SEEN]


@pytest.mark.parametrize("at", [1, 16384, 16385, 32768, 39999, 40000, 40001, 0])
def test_urgent_byte_of_a_large_packet(make_tap: MakeTap, namespace: Namespace, at: int) -> None:
    """The pointer counts from the packet's first byte, each record's from its own."""
    tap = make_tap("tap_ingress", ring_size=LARGE_RING)
    ends = frames.request_ends(4)
    payload = _payload(40_000)
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        packet = frame(ip(ends) / tcp(ends, payload, "PAU", urgptr=at), mac=MAC)
        records = _receive(tap, fd, packet, 14)
    assert [r.length for r in records] == _pieces(len(payload))
    wanted = max(at, 1) - 1
    expected = [
        wanted - start + 1 if start <= wanted < start + r.length else 0
        for start, r in zip(range(0, len(payload), PIECE_MAX), records, strict=True)
    ]
    assert [r.urgent for r in records] == expected
    parts = [part for r in records for part in r.segments()]
    assert sum(part.final for part in parts) == 1
    assert parts[-1].final


def test_packet_that_fits_in_part(make_tap: MakeTap, namespace: Namespace) -> None:
    """RING_FULL once, the pieces that made it are whole, none of them is the final one."""
    tap = make_tap("tap_ingress", ring_size=8 * PAGE)
    ends = frames.request_ends(4)
    payload = GET + _payload(50_000)
    packet = frame(ip(ends) / tcp(ends, payload), mac=MAC)
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        (record,) = _receive(tap, fd, packet, 14)
    assert (record.length, record.final, record.payload) == (PIECE_MAX, 0, payload[:PIECE_MAX])
    counts = tap.counts()
    assert counts[Counter.RING_FULL] == counts[Counter.RING_FULL_REQUESTS] == 1
    assert counts[Counter.COPIED] == 0


def test_truncated_headers_of_a_real_device(make_tap: MakeTap, namespace: Namespace) -> None:
    """Frames that PROG_TEST_RUN refuses: cut within the IP header."""
    tap = make_tap("tap_ingress")
    cut = [frame(ip(e) / tcp(e, GET), mac=MAC) for e in map(frames.request_ends, (4, 6))]
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        for packet in cut:
            for end in (15, 20, 33):
                assert _receive(tap, fd, packet[:end], 14) == []
    assert tap.counts()[Counter.TRUNCATED] == 6


@families
@pytest.mark.parametrize("linear", [14, 20, 34, 40, 54])
def test_headers_that_are_not_linear(
    make_tap: MakeTap, namespace: Namespace, family: int, linear: int
) -> None:
    """A card may leave any part of the headers outside the linear area."""
    tap = make_tap("tap_ingress")
    ends = frames.request_ends(family)
    payload = _payload(5000)
    packet = frame(ip(ends) / tcp(ends, payload), mac=MAC)
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["tap_ingress"], AttachType.TCX_INGRESS)),
    ):
        # a virtio header without GSO: only the length of the linear part
        os.write(fd, struct.pack("=HHHHH", 0, linear, 0, 0, 0) + packet)
    _check(tap.records(), payload, PSH | 16)


@families
def test_shadow_records_of_large_packets(
    make_tap: MakeTap, namespace: Namespace, family: int
) -> None:
    """Headers only, whatever the size: one record with the whole length."""
    tap = make_tap("shadow_ingress")
    tap.configure(shadow=frames.shadow_of(family))
    ends = frames.request_ends(family, shadow=True).reversed()
    packet = frame(ip(ends) / tcp(ends, _payload(60_000)), mac=MAC)
    with (
        tun(namespace, "t0") as fd,
        attached(namespace, "t0", (tap.programs["shadow_ingress"], AttachType.TCX_INGRESS)),
    ):
        (record,) = _receive(tap, fd, packet, 14)
    assert (record.length, record.copied, record.final) == (60_000, 0, 1)


def _exchange(server: socket.socket, client: socket.socket, up: bytes, down: bytes) -> None:
    """``up`` to the server and ``down`` back, whole, on one connection."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            left = len(up)
            while left:
                left -= len(connection.recv(1 << 20))
            connection.sendall(down)

    thread = threading.Thread(target=serve)
    thread.start()
    with client:
        client.settimeout(10)
        client.connect(server.getsockname()[:2])
        client.sendall(up)
        left = len(down)
        while left:
            left -= len(client.recv(1 << 20))
    thread.join()


def _rebuild(records: list[Captured], direction: int, length: int) -> bytes:
    """The stream of one direction by sequence number from its SYN."""
    ours = [r for r in records if r.direction == direction]
    (base,) = {r.seq + 1 for r in ours if r.flags & SYN}
    stream = bytearray(length)
    for r in ours:
        if r.payload:
            at = (r.seq - base) & 0xFFFFFFFF
            stream[at : at + len(r.payload)] = r.payload
    return bytes(stream)


@pytest.fixture
def pair(namespace: Namespace) -> Iterator[tuple[Namespace, Namespace]]:
    """A production host and a client, joined by a veth."""
    client = Namespace(RunName.new().of("client"))
    client.create()
    try:
        links.veth(namespace, "v0", client, "v1")
        links.up(namespace, "v0", "10.7.0.1/24", "fd07::1/64")
        links.up(client, "v1", "10.7.0.2/24", "fd07::2/64")
        yield namespace, client
    finally:
        client.remove()


@families
@pytest.mark.parametrize("gso_max", [0, 200_000], ids=["gso", "big-tcp"])
def test_real_connection_over_veth(
    make_tap: MakeTap,
    pair: tuple[Namespace, Namespace],
    run_statistics: None,
    family: int,
    gso_max: int,
) -> None:
    """Both directions arrive byte for byte; the kernel's run count is SEEN."""
    production, client = pair
    if gso_max:
        try:
            for host, name in ((production, "v0"), (client, "v1")):
                set_gso_max(host, name, gso_max)
        except OSError:
            pytest.skip("BIG TCP on veth")
    tap = make_tap("tap_ingress", "tap_egress", ring_size=16 << 20)
    kind, address = (socket.AF_INET6, "fd07::1") if family == 6 else (socket.AF_INET, "10.7.0.1")
    up, down = _payload(700_000), _payload(900_001)[::-1]
    with (
        production.socket(kind) as server,
        attached(
            production,
            "v0",
            (tap.programs["tap_ingress"], AttachType.TCX_INGRESS),
            (tap.programs["tap_egress"], AttachType.TCX_EGRESS),
        ),
    ):
        server.bind((address, SERVICE))
        server.listen()
        _exchange(server, client.socket(kind), up, down)
    runs = sum(bpf.program_info(fd).run_count for fd in tap.programs.values())
    counts = tap.counts()
    assert counts[Counter.SEEN] == runs
    assert counts[Counter.RING_FULL] == counts[Counter.TRUNCATED] == 0
    records = tap.records()
    assert counts[Counter.COPIED] == sum(r.final for r in records)
    assert _rebuild(records, 0, len(up)) == up
    assert _rebuild(records, 1, len(down)) == down
    if gso_max:
        # pieces of one packet share its time: some packet was more than 64 KiB
        sizes: dict[int, int] = {}
        for r in records:
            sizes[r.ts] = sizes.get(r.ts, 0) + r.length
        assert max(sizes.values()) > 65536
    assert {r.endpoints[2] for r in records} == {str(ip_address(address))}


@families
def test_real_connection_over_loopback(
    make_tap: MakeTap, namespace: Namespace, run_statistics: None, family: int
) -> None:
    """Every packet once, although lo passes it twice; direction by port."""
    tap = make_tap("tap_loopback", ring_size=16 << 20)
    kind, address = (socket.AF_INET6, "::1") if family == 6 else (socket.AF_INET, "127.0.0.1")
    up, down = _payload(200_000), _payload(300_000)[::-1]
    with (
        namespace.socket(kind) as server,
        attached(namespace, "lo", (tap.programs["tap_loopback"], AttachType.TCX_INGRESS)),
    ):
        server.bind((address, SERVICE))
        server.listen()
        _exchange(server, namespace.socket(kind), up, down)
    records = tap.records()
    assert tap.counts()[Counter.SEEN] == bpf.program_info(tap.programs["tap_loopback"]).run_count
    assert sum(r.length for r in records if r.direction == 0) == len(up)
    assert _rebuild(records, 0, len(up)) == up
    assert _rebuild(records, 1, len(down)) == down
