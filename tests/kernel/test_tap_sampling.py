"""Which flows are sampled, and onto which ring each goes."""

from __future__ import annotations

import random
import struct
from collections import Counter as Tally
from ipaddress import IPv4Address, ip_address

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import Counter
from shadow_agent.kernel.sampling import sampled
from tests.kernel import frames
from tests.kernel.conftest import (
    PAGE,
    SHADOW_ENTRIES,
    MakeTap,
    Tap,
)
from tests.kernel.frames import GET, WAYS, Ends, frame, ip, tcp

FLOWS = 20_000

families = pytest.mark.parametrize("family", [4, 6])


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


@pytest.mark.parametrize("flows", [_random_flows, _hosts_in_order])
def test_python_knows_who_is_sampled(make_tap: MakeTap, flows: object) -> None:
    """The worker's hash chooses the flows that the tap chooses."""
    assert callable(flows)
    tap = make_tap("tap_ingress")
    tap.control.set_sample(0.3)
    state = tap.control.state()
    for flow, (asked, _) in zip(chosen := flows(500), _quick_frames(chosen), strict=True):
        key = flow_key(flow.source, flow.sport, flow.destination, flow.dport)
        expected = _sampled(tap, "tap_ingress", asked)
        assert sampled(key, state.salt, state.sample_below) == expected


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
