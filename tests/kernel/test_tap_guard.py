"""A packet of the shadow's towards clients: seen whatever it is; and every run is counted."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import Counter, Role
from tests.kernel import frames
from tests.kernel.conftest import (
    ENTRIES,
    PAGE,
    SERVICE,
    SHADOW_ENTRIES,
    TAP_ENTRIES,
    MakeTap,
)
from tests.kernel.frames import GET, WAYS, Ends, Way, frame, ip, tcp

families = pytest.mark.parametrize("family", [4, 6])


def a_request(way: Way, family: int = 4, payload: bytes = GET) -> bytes:
    """A frame with payload that goes this way."""
    ends = frames.ends_of(way, family)
    return frame(ip(ends) / tcp(ends, payload), l3=way.l3)


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
