"""What user space switches in the running program: service, own traffic, sample, off, lease, guard."""

from __future__ import annotations

import random
import struct
import time
from collections import Counter as Tally
from ipaddress import IPv4Address, ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import ControlField, Counter, Role
from tests.kernel import frames
from tests.kernel.conftest import (
    ENTRIES,
    PAGE,
    SERVICE,
    SHADOW_ENTRIES,
    TAP_ENTRIES,
    MakeTap,
    Tap,
)
from tests.kernel.frames import GET, WAYS, Ends, Way, frame, ip, tcp

FLOWS = 20_000

ways = pytest.mark.parametrize("way", WAYS, ids=str)
families = pytest.mark.parametrize("family", [4, 6])


def tap_for(make_tap: MakeTap, way: Way, family: int = 4, **options: int) -> Tap:
    """One entry, with the shadow of this family."""
    tap = make_tap(way.entry, **options)
    tap.configure(shadow=frames.shadow_of(family))
    return tap


def a_request(way: Way, family: int = 4, payload: bytes = GET) -> bytes:
    """A frame with payload that goes this way."""
    ends = frames.ends_of(way, family)
    return frame(ip(ends) / tcp(ends, payload), l3=way.l3)


@ways
def test_stale_lease_copies_nothing(make_tap: MakeTap, way: Way) -> None:
    """The agent is dead or hangs: nobody's packets are copied until it renews."""
    tap = tap_for(make_tap, way)
    tap.control.renew_lease(time.monotonic_ns() - 2_500_000_000)
    assert tap.run(way.entry, a_request(way)) == ([], {Counter.PAUSED: 1})
    tap.control.renew_lease(0)
    assert tap.run(way.entry, a_request(way)) == ([], {Counter.PAUSED: 1})
    tap.control.renew_lease(time.monotonic_ns())
    assert tap.run(way.entry, a_request(way)).counted == {Counter.COPIED: 1}
    # a heartbeat that another CPU wrote since the program read its clock
    tap.control.renew_lease(time.monotonic_ns() + 500_000_000)
    assert tap.run(way.entry, a_request(way)).counted == {Counter.COPIED: 1}


def test_nothing_is_copied_before_the_first_lease(make_tap: MakeTap) -> None:
    """A page that nobody configured copies nothing, whatever comes."""
    tap = make_tap("tap_ingress")
    tap.control.renew_lease(0)
    tap.configure(lease_max_ns=0)
    assert tap.run("tap_ingress", a_request(WAYS[0])) == ([], {Counter.PAUSED: 1})


@ways
def test_off_switch_stops_production_only(make_tap: MakeTap, way: Way) -> None:
    """Answers of requests under way still count; new ones are not copied."""
    tap = tap_for(make_tap, way)
    tap.control.set_paused(True)
    expected = Counter.COPIED if way.shadow else Counter.PAUSED
    assert tap.run(way.entry, a_request(way)).counted == {expected: 1}
    tap.control.set_paused(False)
    assert tap.run(way.entry, a_request(way)).counted == {Counter.COPIED: 1}


def test_a_paused_packet_that_is_no_copy_keeps_its_reason(make_tap: MakeTap) -> None:
    """Paused counts what would have been copied, not all that passes."""
    tap = tap_for(make_tap, WAYS[0])
    tap.control.set_paused(True)
    ends = frames.request_ends(4)
    ack = frame(ip(ends) / tcp(ends, flags="A"))
    other = frame(ip(ends) / TCP(sport=1, dport=SERVICE + 1) / GET)
    assert tap.run("tap_ingress", ack).counted == {Counter.NO_PAYLOAD: 1}
    assert tap.run("tap_ingress", other).counted == {Counter.NOT_SERVICE: 1}


@families
@pytest.mark.parametrize("entry", TAP_ENTRIES)
def test_own_traffic_is_never_copied(make_tap: MakeTap, entry: str, family: int) -> None:
    """Between us and the shadow, both directions, also when a port of it is the service's."""
    tap = make_tap(entry)
    tap.configure(ports=(SERVICE, frames.SHADOW_PORT), shadow=frames.shadow_of(family))
    l3 = "_l3_" in entry
    for ours in (SERVICE, frames.SHADOW_PORT, 45000):
        to_shadow = frames.request_ends(family, shadow=True, port=ours)
        for ends in (to_shadow, to_shadow.reversed()):
            sent = frame(ip(ends) / tcp(ends, GET), l3=l3)
            assert tap.run(entry, sent) == ([], {Counter.OWN: 1})


@families
def test_shadow_on_loopback_at_the_services_port(make_tap: MakeTap, family: int) -> None:
    """127.0.0.2:8080 beside 127.0.0.1:8080: our requests to it must not be mirrored again."""
    tap = make_tap("tap_loopback")
    tap.configure(shadow=(frames.shadow_of(family)[0], SERVICE))
    ends = frames.request_ends(family, shadow=True)._replace(dport=SERVICE)
    for one in (ends, ends.reversed()):
        assert tap.run("tap_loopback", frame(ip(one) / tcp(one, GET))) == ([], {Counter.OWN: 1})
    # the same host at another port is a client like any other
    client = frames.request_ends(family)._replace(source=frames.SHADOW_HOST[family])
    assert tap.run("tap_loopback", frame(ip(client) / tcp(client, GET))).counted == {
        Counter.COPIED: 1
    }


def test_every_port_of_the_bitmap(make_tap: MakeTap) -> None:
    """First and last port of a word, of the table; their neighbours are not the service."""
    tap = make_tap("tap_ingress")
    ports = (1, 63, 64, 80, 443, 8080, 32768, 65535)
    tap.configure(ports=ports)
    for port in sorted({p + d for p in ports for d in (-1, 0, 1)} & set(range(65536))):
        ends = frames.request_ends(4)._replace(dport=port)
        counted = tap.run("tap_ingress", frame(ip(ends) / tcp(ends, GET))).counted
        assert counted == {Counter.COPIED if port in ports else Counter.NOT_SERVICE: 1}, port


def _random_flows(count: int) -> list[Ends]:
    rng = random.Random(1)
    return [
        frames.request_ends(4, port=rng.randrange(1024, 65536))._replace(
            source=str(IPv4Address(rng.randrange(1 << 24, 223 << 24)))
        )
        for _ in range(count)
    ]


def _ordered_flows(count: int) -> list[Ends]:
    """One load balancer and its ports in order: what a poor hash spreads poorly."""
    return [
        frames.request_ends(4, port=10_000 + 2 * (i % 20_000))._replace(
            source=f"8.0.0.{i // 20_000}"
        )
        for i in range(count)
    ]


def _hosts_in_order(count: int) -> list[Ends]:
    return [
        frames.request_ends(6)._replace(source=f"2001:db8:86dd:{i >> 8:x}:{i & 255:x}::1")
        for i in range(count)
    ]


def _quick_frames(flows: list[Ends]) -> list[tuple[bytes, bytes]]:
    """A request and a response of each flow; by template, scapy takes 1 ms for each."""
    family = 6 if ":" in flows[0].source else 4
    size, at, ports = (4, 26, 34) if family == 4 else (16, 22, 54)
    ends = frames.request_ends(family)
    asked, answered = (bytearray(frame(ip(e) / tcp(e, GET))) for e in (ends, ends.reversed()))
    built = []
    for flow in flows:
        address, port = ip_address(flow.source).packed, struct.pack("!H", flow.sport)
        asked[at : at + size] = answered[at + size : at + 2 * size] = address
        asked[ports : ports + 2] = answered[ports + 2 : ports + 4] = port
        built.append((bytes(asked), bytes(answered)))
    return built


def _sampled(tap: Tap, entry: str, sent: bytes) -> bool:
    """Quicker than Tap.run: whether a record came, and none is left."""
    reader = tap.readers[0]
    before = reader.produced
    assert bpf.test_run(tap.programs[entry], sent) == (-1, sent)
    reader.skip_to(reader.produced)
    return reader.produced > before


@pytest.mark.parametrize("fraction", [0.05, 0.5])
@pytest.mark.parametrize("flows", [_random_flows, _ordered_flows, _hosts_in_order])
def test_share_of_sampled_flows(make_tap: MakeTap, flows: object, fraction: float) -> None:
    """About the asked share, and both directions of a flow or none."""
    assert callable(flows)
    tap = make_tap("tap_loopback")
    tap.configure(lease_max_ns=60_000_000_000)
    tap.control.set_sample(fraction)
    chosen = 0
    for asked, answered in _quick_frames(flows(FLOWS)):
        request = _sampled(tap, "tap_loopback", asked)
        assert _sampled(tap, "tap_loopback", answered) == request
        chosen += request
    # five standard deviations
    deviation = (FLOWS * fraction * (1 - fraction)) ** 0.5
    assert abs(chosen - FLOWS * fraction) < 5 * deviation
    counts = tap.counts()
    assert counts[Counter.COPIED] == 2 * chosen
    assert counts[Counter.SAMPLED_OUT] == 2 * (FLOWS - chosen)


def test_sample_of_none_and_all(make_tap: MakeTap) -> None:
    """0 copies nothing and 1 everything."""
    tap = make_tap("tap_ingress")
    sent = [asked for asked, _ in _quick_frames(_random_flows(500))]
    tap.control.set_sample(0.0)
    assert not any(_sampled(tap, "tap_ingress", one) for one in sent)
    tap.control.set_sample(1.0)
    assert all(_sampled(tap, "tap_ingress", one) for one in sent)


def test_salt_decides_who_is_sampled(make_tap: MakeTap) -> None:
    """Another salt, another sample: half of the flows change sides at a half."""
    tap = make_tap("tap_ingress")
    sent = [asked for asked, _ in _quick_frames(_random_flows(2000))]
    tap.control.set_sample(0.5)
    picked = []
    for salt in (1, 2):
        tap.configure(salt=salt, lease_max_ns=60_000_000_000)
        picked.append([_sampled(tap, "tap_ingress", one) for one in sent])
    changed = sum(a != b for a, b in zip(*picked, strict=True))
    assert 850 < changed < 1150


@pytest.mark.parametrize("shards", [2, 3, 16])
def test_flow_stays_on_one_ring(make_tap: MakeTap, shards: int) -> None:
    """Both directions of a flow come out of the same ring, and rings share the flows evenly."""
    tap = make_tap("tap_loopback", shards=shards, ring_size=4 * PAGE)
    tap.configure(lease_max_ns=60_000_000_000)
    used: Tally[int] = Tally()
    for pair in _quick_frames(_random_flows(1600)):
        for sent in pair:
            assert bpf.test_run(tap.programs["tap_loopback"], sent) == (-1, sent)
        filled = {i for i, r in enumerate(tap.readers) if r.produced > r.consumed}
        assert len(filled) == 1
        used.update(filled)
        for reader in tap.readers:
            reader.skip_to(reader.produced)
    assert len(used) == shards
    assert min(used.values()) > 1600 / shards * 0.6
    assert tap.counts()[Counter.COPIED] == 3200


@pytest.mark.parametrize("fraction", [0.25])
def test_sample_and_shard_are_independent(make_tap: MakeTap, fraction: float) -> None:
    """What is sampled still spreads over all rings."""
    tap = make_tap("tap_ingress", shards=4, ring_size=64 * PAGE)
    tap.configure(lease_max_ns=60_000_000_000)
    tap.control.set_sample(fraction)
    for sent, _ in _quick_frames(_random_flows(2000)):
        bpf.test_run(tap.programs["tap_ingress"], sent)
    sizes = [len(records) for records in tap.all_records()]
    assert sum(sizes) == tap.counts()[Counter.COPIED]
    assert min(sizes) > 2000 * fraction / 4 * 0.6


@families
@pytest.mark.parametrize("entry", SHADOW_ENTRIES)
def test_shadow_records_go_by_local_port(make_tap: MakeTap, entry: str, family: int) -> None:
    """A worker chooses its local ports so that they name its ring."""
    tap = make_tap(entry, shards=3)
    tap.configure(shadow=frames.shadow_of(family))
    way = next(w for w in WAYS if w.entry == entry)
    for port in range(41000, 41009):
        ends = frames.request_ends(family, shadow=True, port=port)
        ends = ends if way.request else ends.reversed()
        bpf.test_run(tap.programs[entry], frame(ip(ends) / tcp(ends, GET), l3=way.l3))
    for shard, records in enumerate(tap.all_records()):
        assert len(records) == 3
        assert {r.endpoints[3] % 3 for r in records} == {shard}


@pytest.mark.parametrize("entry", ["tap_ingress", "shadow_egress"])
def test_missing_ring_is_a_full_ring(make_tap: MakeTap, entry: str) -> None:
    """A shard without a ring loses its records under a name."""
    tap = make_tap(entry, shards=1)
    way = next(w for w in WAYS if w.entry == entry)
    tap.configure(shadow=frames.shadow_of(4))
    struct.pack_into("=I", tap.control._page, ControlField.SHARDS, 2)
    sent = [
        frame(ip(e) / tcp(e, GET))
        for port in range(40000, 40020)
        for e in [frames.request_ends(4, shadow=way.shadow, port=port)]
    ]
    for one in sent:
        bpf.test_run(tap.programs[entry], one)
    counts = tap.counts(Role.SHADOW if way.shadow else Role.PRODUCTION)
    assert counts[Counter.RING_FULL] + counts[Counter.COPIED] == 20
    assert 0 < counts[Counter.RING_FULL] < 20


def test_smallest_ring_full(make_tap: MakeTap) -> None:
    """What does not fit is counted, requests apart; what fitted is whole; room is used again."""
    tap = make_tap("tap_loopback", ring_size=PAGE)
    ends = frames.request_ends(4)
    asked = frame(ip(ends) / tcp(ends, GET))
    answered = frame(ip(ends.reversed()) / tcp(ends.reversed(), GET))
    rest = frame(ip(ends) / tcp(ends, b"not the start of a request"))
    sent = [asked] * 15 + [answered] * 3 + [rest] * 2
    for one in sent:
        assert bpf.test_run(tap.programs["tap_loopback"], one) == (-1, one)
    # a record of the smallest class takes 8 + 80 + 256 bytes: 11 in a page
    assert [r.payload for r in tap.records()] == [GET] * 11
    counts = tap.counts()
    assert (counts[Counter.COPIED], counts[Counter.RING_FULL]) == (11, 9)
    assert counts[Counter.RING_FULL_REQUESTS] == 4
    assert tap.run("tap_loopback", asked).counted == {Counter.COPIED: 1}


@pytest.mark.parametrize(
    ("payload", "is_request"),
    [
        (GET, True),
        (b"POST /x HTTP/1.1\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\n", True),
        (b"PROPFIND / HTTP/1.1\r\n", True),
        (b"MKCALENDAR / HTTP/1.1\r\n", True),
        (b"get / http/1.1\r\n\r\n....", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"GE / HTTP/1.1\r\n\r\n", False),
        (b"\x16\x03\x01 a TLS hello....", False),
        (b"GET / HTTP/1.1", False),  # shorter than any request
    ],
)
def test_requests_lost_to_a_full_ring(make_tap: MakeTap, payload: bytes, is_request: bool) -> None:
    """Only segments that begin with a method token count as requests, and only requests do."""
    tap = make_tap("tap_loopback", ring_size=PAGE)
    filler = a_request(WAYS[0], payload=b"x" * 3000)
    assert tap.run("tap_loopback", filler).counted == {Counter.RING_FULL: 1}
    for _ in range(11):
        bpf.test_run(tap.programs["tap_loopback"], a_request(WAYS[0], payload=b"x" * 200))
    before = tap.counts()
    way = Way("tap_loopback", True)
    bpf.test_run(tap.programs["tap_loopback"], a_request(way, payload=payload))
    bpf.test_run(
        tap.programs["tap_loopback"], a_request(way._replace(request=False), payload=payload)
    )
    after = tap.counts()
    assert after[Counter.RING_FULL] - before[Counter.RING_FULL] == 2
    assert after[Counter.RING_FULL_REQUESTS] == int(is_request)


def _leaks(family: int) -> dict[str, bytes]:
    """Frames from the shadow's address, of all kinds."""
    shadow, client = frames.SHADOW_HOST[family], frames.CLIENT[family]
    ends = Ends(shadow, frames.SHADOW_PORT, client, 40000)
    base = ip(ends)
    return {
        "own port": frame(base / tcp(ends, GET)),
        "another port": frame(base / TCP(sport=1, dport=2)),
        "pure ack": frame(base / tcp(ends, flags="A")),
        "udp": frame(base / UDP(sport=1, dport=2) / b"x"),
        "icmp": frame(base / ICMP()),
        "tunnel": frame(base / IP() / TCP()),
        "tunnel6": frame(base / IPv6() / TCP()),
        "vlan": frame(base / tcp(ends, GET), tags="q"),
        "qinq": frame(base / tcp(ends, GET), tags="aq"),
        "padded": frame(bytes(base / tcp(ends)) + bytes(20)),
    } | ({"fragment": frame(ip(ends, frag=9, proto=6) / b"abc")} if family == 4 else {})


@families
def test_leak_guard_trips(make_tap: MakeTap, family: int) -> None:
    """A packet of the shadow's leaves towards clients: counted, never dropped, mirroring ends."""
    for name, sent in _leaks(family).items():
        tap = make_tap("tap_egress", "tap_ingress")
        tap.configure(shadow=frames.shadow_of(family), guard=True)
        assert not tap.control.state().tripped
        _, counted = tap.run("tap_egress", sent)
        assert counted.pop(Counter.LEAKED) == 1, name
        assert len(counted) == 1, name
        assert tap.control.state().tripped, name
        assert tap.run("tap_ingress", a_request(WAYS[0], family)).counted == {Counter.PAUSED: 1}


@families
def test_leak_guard_on_an_l3_device(make_tap: MakeTap, family: int) -> None:
    """The same where frames have no link header."""
    tap = make_tap("tap_l3_egress")
    tap.configure(shadow=frames.shadow_of(family), guard=True)
    ends = Ends(frames.SHADOW_HOST[family], 53, frames.CLIENT[family], 40000)
    sent = frame(ip(ends) / UDP(sport=1, dport=2) / GET, l3=True)
    assert tap.run("tap_l3_egress", sent).counted == {Counter.LEAKED: 1, Counter.NOT_SERVICE: 1}
    assert tap.control.state().tripped


@families
def test_leak_guard_stays_calm(make_tap: MakeTap, family: int) -> None:
    """Not on ingress, on loopback, when off, on the shadow side, nor for other sources."""
    tap = make_tap(*ENTRIES)
    tap.configure(shadow=frames.shadow_of(family), guard=True)
    leak = _leaks(family)["own port"]
    for entry in ENTRIES:
        if entry == "tap_egress" or "_l3_" in entry:
            continue
        assert Counter.LEAKED not in tap.run(entry, leak).counted, entry
    ends = frames.request_ends(family).reversed()
    other = frame(ip(ends) / tcp(ends, GET))
    assert tap.run("tap_egress", other).counted == {Counter.COPIED: 1}
    arp = bytes(Ether(dst=frames.OUR_MAC) / ARP(psrc="8.0.9.9"))
    assert tap.run("tap_egress", arp).counted == {Counter.NOT_SERVICE: 1}
    tap.configure(shadow=frames.shadow_of(family), guard=False)
    assert Counter.LEAKED not in tap.run("tap_egress", leak).counted
    assert not tap.control.state().tripped


def test_seen_is_the_kernels_run_count(make_tap: MakeTap, run_statistics: None) -> None:
    """For every entry and every fate, the kernel's own count of runs agrees with SEEN."""
    tap = make_tap(*ENTRIES, ring_size=PAGE)
    tap.configure(shadow=frames.shadow_of(4), guard=True)
    start = {e: bpf.program_info(tap.programs[e]).run_count for e in ENTRIES}
    ends = frames.request_ends(4)
    sent = [
        a_request(WAYS[0]),
        frame(ip(ends) / tcp(ends, flags="A")),
        frame(ip(ends) / UDP(dport=SERVICE) / GET),
        *_leaks(4).values(),
    ]
    for entry in ENTRIES:
        for one in sent * 3:
            if "_l3_" not in entry:
                bpf.test_run(tap.programs[entry], one)
            else:
                bpf.test_run(tap.programs[entry], one[:12] + b"\x08\x06" + one[14:])
    runs = {e: bpf.program_info(tap.programs[e]).run_count - start[e] for e in ENTRIES}
    for role, entries in ((Role.PRODUCTION, TAP_ENTRIES), (Role.SHADOW, SHADOW_ENTRIES)):
        assert tap.counts(role)[Counter.SEEN] == sum(runs[e] for e in entries)
        assert tap.counts(role)[Counter.SEEN] == 3 * len(sent) * len(entries)
