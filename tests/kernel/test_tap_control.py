"""What user space switches in the program: service, own traffic, sample, off, lease, guard."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from scapy.layers.inet import TCP

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import Counter, Role
from tests.kernel import frames
from tests.kernel.conftest import (
    PAGE,
    SERVICE,
    TAP_ENTRIES,
    MakeTap,
    Tap,
)
from tests.kernel.frames import GET, WAYS, Way, frame, ip, tcp

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


def test_off_switch_copies_not_one_more(make_tap: MakeTap) -> None:
    """No packet that comes after the switch was set, on any processor, while traffic runs on."""
    tap = make_tap("tap_ingress", ring_size=256 * PAGE)
    sent = a_request(WAYS[0])
    off, runs_after = threading.Event(), 300

    def traffic() -> None:
        left = runs_after
        while left:
            left -= off.is_set()
            bpf.test_run(tap.programs["tap_ingress"], sent)

    before = tap.counts()[Counter.COPIED]
    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(traffic) for _ in range(4)]
        while tap.counters.read()[Role.PRODUCTION][Counter.COPIED] < before + 50:
            pass
        tap.control.set_paused(True)
        off.set()
        for one in running:
            one.result()
    counts = tap.counts()
    assert counts[Counter.PAUSED] >= 4 * runs_after
    copied = counts[Counter.COPIED]
    assert tap.run("tap_ingress", sent).counted == {Counter.PAUSED: 1}
    assert tap.counts()[Counter.COPIED] == copied
