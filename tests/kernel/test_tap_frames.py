"""One frame through every entry: the record it must become, or the counter it must move."""
# ruff: noqa: E501 - a case is a line of the tables

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import pytest
from scapy.layers.inet import GRE, ICMP, IP, UDP, IPOption_RR
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    Jumbo,
    PadN,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from shadow_agent.kernel.layout import Counter
from shadow_agent.kernel.load import load
from shadow_agent.kernel.program import Loader
from tests.kernel import frames
from tests.kernel.conftest import ENTRIES, SERVICE, Captured, Tap
from tests.kernel.frames import ACK, GET, SEQ, WAYS, Ends, Way, frame, ip, tcp

FIN, SYN, RST, PSH, ACKED, URG = 1, 2, 4, 8, 16, 32
# IANA's port, Linux's own from before, and GENEVE's
TUNNEL_PORTS = {"vxlan": 4789, "vxlan-8472": 8472, "geneve": 6081}


@pytest.fixture(scope="module")
def tap(built_object: None) -> Iterator[Tap]:
    """All entries at once: loading is dear, and no case here changes the control page."""
    made = Tap(load(Loader.LIBBPF, ENTRIES), shards=1, ring_size=1 << 16)
    yield made
    made.close()


class Case(NamedTuple):
    """``build`` gives what stands in the frame from the IP header on."""

    name: str
    build: Callable[[Ends], Packet | bytes]
    expect: Counter | bytes = GET  # the counter, or the payload of a record
    flags: int = PSH | ACKED
    families: tuple[int, ...] = (4, 6)
    tags: str = ""
    l3: bool = True  # whether it makes sense without a link header

    def __str__(self) -> str:
        return self.name


def _chain(ends: Ends, *headers: Packet, payload: bytes = GET) -> Packet:
    packet = ip(ends)
    for header in headers:
        packet /= header.copy()
    return packet / tcp(ends, payload)


HOP = IPv6ExtHdrHopByHop()
DEST = IPv6ExtHdrDestOpt()
# type 4 is segment routing; what it holds is nothing to us
ROUTE = IPv6ExtHdrRouting(addresses=["2001:db8::5"])
# scapy fills in the next header of AH for other extension headers, not for TCP
AUTH_TCP = AH(nh=6, spi=1, seq=1, icv=b"\0" * 12, padding=b"", payloadlen=4)
AUTH = AH(spi=1, seq=1, icv=b"\0" * 12, padding=b"", payloadlen=4)


def _patched(ends: Ends, at: int, value: bytes, payload: bytes = GET) -> bytes:
    """A plain packet with some bytes (from the IP header on) replaced."""
    raw = bytearray(bytes(ip(ends) / tcp(ends, payload)))
    raw[at : at + len(value)] = value
    return bytes(raw)


def _cut(ends: Ends, at: int, *headers: Packet) -> bytes:
    return bytes(_chain(ends, *headers))[:at]


def _data_offset(ends: Ends, words: int) -> bytes:
    return _patched(ends, (52 if ":" in ends.source else 32), bytes([words << 4]))


def _total(ends: Ends, change: int) -> bytes:
    """The IP length field off by ``change``."""
    plain = bytes(ip(ends) / tcp(ends, GET))
    at = 4 if ":" in ends.source else 2
    value = int.from_bytes(plain[at : at + 2], "big") + change
    return _patched(ends, at, value.to_bytes(2, "big"))


def _inner(ends: Ends) -> Packet:
    return IP(src="10.1.0.1", dst="10.1.0.2") / tcp(ends, GET)


def _inner6(ends: Ends) -> Packet:
    return IPv6(src="2001:db8::1", dst="2001:db8::2") / tcp(ends, GET)


def _datagram(ends: Ends, end: str, port: int, **fields: object) -> Packet:
    ports = {"sport": 50000, "dport": 50001} | {end: port}
    # 8 bytes of VXLAN's or GENEVE's own header, which nobody looks at
    return ip(ends, **fields) / UDP(**ports) / (bytes(8) + bytes(Ether() / _inner(ends)))


def _padded(ends: Ends, payload: bytes, flags: str = "PA") -> bytes:
    return bytes(ip(ends) / tcp(ends, payload, flags)) + b"\xee" * 30


def _other_port(ends: Ends) -> Packet:
    ours = {SERVICE, frames.SHADOW_PORT}
    moved = Ends(
        ends.source,
        ends.sport + 1 if ends.sport in ours else ends.sport,
        ends.destination,
        ends.dport + 1 if ends.dport in ours else ends.dport,
    )
    return ip(moved) / tcp(moved, GET)


def plain(ends: Ends, payload: bytes = GET, flags: str = "PA", **fields: object) -> Packet:
    """What most traffic looks like."""
    return ip(ends) / tcp(ends, payload, flags, **fields)


def flagged(name: str, payload: bytes, expected: int) -> Case:
    """A segment with these flags, with or without payload."""
    return Case(
        f"{name}{'+data' if payload else ''}",
        partial(plain, payload=payload, flags=name),
        payload,
        expected,
    )


COPIED = [
    Case("plain", plain),
    Case("one-byte", partial(plain, payload=b"x"), b"x"),
    Case("tcp-options", partial(plain, options=[("Timestamp", (1, 2)), ("NOP", None)])),
    Case("tcp-options-all", partial(plain, dataofs=15, options=[("NOP", None)] * 40)),
    flagged("S", b"", SYN),
    flagged("SA", b"", SYN | ACKED),
    flagged("S", GET, SYN),
    flagged("FA", b"", FIN | ACKED),
    flagged("FPA", GET, FIN | PSH | ACKED),
    flagged("R", b"", RST),
    flagged("RA", b"", RST | ACKED),
    flagged("PAEC", GET, PSH | ACKED | 0x40 | 0x80),
    Case("urgent-pointer-without-flag", partial(plain, urgptr=5)),
    # Linux looks for no urgent byte in a SYN's data
    Case("urgent-syn", partial(plain, flags="SU", urgptr=5), GET, SYN | URG),
    Case("urgent-beyond-the-packet", partial(plain, flags="PAU", urgptr=len(GET) + 1), GET, PSH | ACKED | URG),
    # what the card will compute is not there yet
    Case("bad-checksum", partial(plain, chksum=0xBAD)),
    Case("no-flags", partial(plain, flags=""), GET, 0),
    Case("ipv4-options", lambda e: ip(e, options=[IPOption_RR(length=15, routers=["1.2.3.4"] * 3)]) / tcp(e, GET), families=(4,)),
    Case("ipv4-dont-fragment", lambda e: ip(e, flags="DF") / tcp(e, GET), families=(4,)),
    Case("ipv4-evil-bit", lambda e: ip(e, flags="evil") / tcp(e, GET), families=(4,)),
    Case("ipv6-hop-by-hop", lambda e: _chain(e, HOP), families=(6,)),
    Case("ipv6-routing", lambda e: _chain(e, ROUTE), families=(6,)),
    Case("ipv6-destination", lambda e: _chain(e, DEST), families=(6,)),
    Case("ipv6-ah", lambda e: _chain(e, AUTH_TCP), families=(6,)),
    Case("ipv6-long-option", lambda e: _chain(e, IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(250))])), families=(6,)),
    Case("ipv6-chain-of-5", lambda e: _chain(e, HOP, DEST, ROUTE, AUTH, DEST), families=(6,)),
    Case("ipv6-chain-of-6", lambda e: _chain(e, HOP, DEST, ROUTE, AUTH, DEST, DEST), families=(6,)),
    Case("vlan", plain, tags="q", l3=False),
    Case("vlan-1ad", plain, tags="a", l3=False),
    Case("qinq", plain, tags="aq", l3=False),
    Case("qinq-of-802.1q", plain, tags="qq", l3=False),
    Case("vlan-9100", plain, tags="o", l3=False),
    Case("qinq-9100", plain, tags="oq", l3=False),
    Case("padded", lambda e: _padded(e, b"ab"), b"ab"),
    Case("vlan-padded", lambda e: _padded(e, b"ab"), b"ab", tags="q", l3=False),
    Case("fin-padded", lambda e: _padded(e, b"", "FA"), b"", FIN | ACKED),
    # BIG TCP has no room for its length in the header: it is the frame's
    Case("ipv4-length-0", lambda e: _patched(e, 2, b"\0\0"), families=(4,)),
    Case("ipv6-jumbo", lambda e: ip(e, plen=0) / IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=len(GET) + 28)]) / tcp(e, GET), families=(6,)),
    Case("ipv6-length-0", lambda e: _patched(e, 4, b"\0\0"), families=(6,)),
]  # fmt: skip

COUNTED = [
    Case("pure-ack", partial(plain, payload=b"", flags="A"), Counter.NO_PAYLOAD),
    Case("pure-ack-padded", lambda e: _padded(e, b"", "A"), Counter.NO_PAYLOAD),
    Case("pure-ack-vlan", partial(plain, payload=b"", flags="A"), Counter.NO_PAYLOAD, tags="q", l3=False),
    Case("push-without-payload", partial(plain, payload=b""), Counter.NO_PAYLOAD),
    Case("other-port", _other_port, Counter.NOT_SERVICE),
    Case("udp", lambda e: ip(e) / UDP(sport=e.sport, dport=e.dport) / GET, Counter.NOT_SERVICE),
    Case("icmp", lambda e: ip(e) / ICMP() / GET, Counter.NOT_SERVICE, families=(4,)),
    Case("ipv6-esp", lambda e: ip(e) / ESP(spi=1, seq=1, data=GET), Counter.NOT_SERVICE, families=(6,)),
    Case("ipv6-no-next-header", lambda e: ip(e, nh=59) / GET, Counter.NOT_SERVICE, families=(6,)),
    Case("three-tags", plain, Counter.NOT_SERVICE, tags="aqq", l3=False),
    Case("first-fragment", lambda e: ip(e, flags="MF") / tcp(e, GET), Counter.FRAGMENT, families=(4,)),
    Case("middle-fragment", lambda e: ip(e, flags="MF", frag=100, proto=6) / GET, Counter.FRAGMENT, families=(4,)),
    Case("last-fragment", lambda e: ip(e, frag=100, proto=6) / GET, Counter.FRAGMENT, families=(4,)),
    Case("udp-fragment", lambda e: ip(e, frag=100, proto=17) / GET, Counter.NOT_SERVICE, families=(4,)),
    Case("ipv6-fragment", lambda e: _chain(e, IPv6ExtHdrFragment(m=1)), Counter.FRAGMENT, families=(6,)),
    Case("ipv6-fragment-after-hop-by-hop", lambda e: _chain(e, HOP, IPv6ExtHdrFragment(offset=9)), Counter.FRAGMENT, families=(6,)),
    Case("ipv6-chain-of-7", lambda e: _chain(e, HOP, *[DEST] * 6), Counter.IPV6_EXTENSION, families=(6,)),
    Case("ip-in-ip", lambda e: ip(e) / _inner(e), Counter.TUNNEL),
    Case("ipv6-in-ip", lambda e: ip(e) / _inner6(e), Counter.TUNNEL),
    Case("gre", lambda e: ip(e) / GRE() / _inner(e), Counter.TUNNEL),
    *[Case(f"{name}-{end}", partial(_datagram, end=end, port=port), Counter.TUNNEL) for name, port in TUNNEL_PORTS.items() for end in ("sport", "dport")],
    Case("vxlan-first-fragment", lambda e: _datagram(e, "dport", 4789, flags="MF"), Counter.TUNNEL, families=(4,)),
    Case("vxlan-last-fragment", lambda e: _datagram(e, "dport", 4789, frag=100), Counter.NOT_SERVICE, families=(4,)),
    Case("vxlan-behind-ipv4-options", lambda e: _datagram(e, "dport", 4789, options=[IPOption_RR(length=15, routers=["1.2.3.4"] * 3)]), Counter.TUNNEL, families=(4,)),
    Case("vxlan-behind-hop-by-hop", lambda e: ip(e) / HOP / UDP(sport=50000, dport=4789) / GET, Counter.TUNNEL, families=(6,)),
    Case("udp-header-cut", lambda e: bytes(_datagram(e, "dport", 4789))[: (42 if ":" in e.source else 22)], Counter.NOT_SERVICE, l3=False),
    Case("udp-near-a-tunnels-port", partial(_datagram, end="dport", port=4788), Counter.NOT_SERVICE),
    Case("ip-in-ipv6-after-destination", lambda e: ip(e) / DEST / _inner(e), Counter.TUNNEL, families=(6,)),
    Case("length-beyond-the-frame", partial(_total, change=1), Counter.TRUNCATED),
    Case("length-within-tcp-header", partial(_total, change=-len(GET) - 1), Counter.TRUNCATED),
    Case("length-within-ip-header", lambda e: _patched(e, 2, b"\0\x10"), Counter.TRUNCATED, families=(4,)),
    Case("data-offset-0", partial(_data_offset, words=0), Counter.TRUNCATED),
    Case("data-offset-4", partial(_data_offset, words=4), Counter.TRUNCATED),
    Case("data-offset-beyond-the-end", lambda e: bytes(plain(e, b"ab", dataofs=6)), Counter.TRUNCATED),
    Case("ihl-4", lambda e: _patched(e, 0, b"\x44"), Counter.TRUNCATED, families=(4,)),
    Case("ihl-0", lambda e: _patched(e, 0, b"\x41"), Counter.TRUNCATED, families=(4,)),
    Case("ihl-beyond-the-end", lambda e: _patched(e, 0, b"\x4f", b""), Counter.TRUNCATED, families=(4,)),
    Case("tcp-header-cut-after-ports", lambda e: _cut(e, 20 + 8), Counter.TRUNCATED, families=(4,), l3=False),
    Case("tcp-header-cut-in-ports", lambda e: _cut(e, 20 + 2), Counter.TRUNCATED, families=(4,), l3=False),
    Case("tcp-header-cut", lambda e: _cut(e, 40 + 19), Counter.TRUNCATED, families=(6,)),
    Case("ip-header-cut", lambda e: _cut(e, 12), Counter.TRUNCATED, tags="q", l3=False),
    Case("ipv6-extension-cut", lambda e: _cut(e, 41, HOP), Counter.TRUNCATED, families=(6,), l3=False),
    Case("ipv6-extension-beyond-the-end", lambda e: _patched(e, 6, b"\x3c", b"\xff" * 60)[:40] + b"\x06\xff" + bytes(30), Counter.TRUNCATED, families=(6,)),
    Case("ethertype-ipv4-version-6", lambda e: b"\x65" + bytes(plain(e))[1:], Counter.TRUNCATED, families=(4,), l3=True),
]  # fmt: skip


def _table(cases: list[Case]) -> list[object]:
    return [
        pytest.param(case, way, family, id=f"{case}-v{family}-{way}")
        for case in cases
        for family in case.families
        for way in WAYS
        if case.l3 or not way.l3
    ]


def _run(tap: Tap, case: Case, way: Way, family: int) -> tuple[list[Captured], dict[Counter, int]]:
    tap.configure(shadow=frames.shadow_of(family))
    tap.control.renew_lease(time.monotonic_ns())
    built = case.build(frames.ends_of(way, family))
    if isinstance(built, bytes) and not way.l3:
        # the ethertype is of the case's family, whatever the header says
        built = _framed(built, family, case.tags)
        return tap.run(way.entry, built)
    return tap.run(way.entry, frame(built, l3=way.l3, tags=case.tags))


def _framed(packet: bytes, family: int, tags: str) -> bytes:
    header = frame((b"\x60" if family == 6 else b"\x45"), tags=tags)[:-1]
    return header + packet


@pytest.mark.parametrize(("case", "way", "family"), _table(COPIED))
def test_becomes_a_record(tap: Tap, case: Case, way: Way, family: int) -> None:
    """Every field of the record, with the payload for production and without for the shadow."""
    assert isinstance(case.expect, bytes)
    before = time.monotonic_ns()
    (record,), counted = _run(tap, case, way, family)
    assert counted == {Counter.COPIED: 1}
    ends = frames.request_ends(family, shadow=way.shadow)
    # remote is the client of the service, but the server when we are the client
    remote_first = ends.reversed() if way.shadow else ends
    assert before <= record.ts <= time.monotonic_ns()
    assert record.endpoints == tuple(remote_first)
    assert (record.seq, record.ack, record.flags) == (SEQ, ACK, case.flags)
    assert record.length == len(case.expect)
    assert record.payload == (b"" if way.shadow else case.expect)
    assert record.copied == len(record.payload)
    assert record.direction == (0 if way.request else 1)
    assert record.role == (1 if way.shadow else 0)
    assert (record.family, record.final, record.number) == (family, 1, 0)
    assert record.urgent == 0
    assert record.ifindex == 1  # loopback, where test runs take place
    assert record.taken == 80 + frames.size_class(record.copied)


@pytest.mark.parametrize("pointer", [0, 1, 2, 7, len(GET) - 1, len(GET)])
@pytest.mark.parametrize("way", [way for way in WAYS if not way.shadow], ids=str)
def test_urgent_byte_stands_apart(tap: Tap, way: Way, pointer: int) -> None:
    """The byte before the pointer (the first for 0, as Linux does) is a piece without payload."""
    case = Case("urgent", partial(plain, flags="PAU", urgptr=pointer))
    for family in (4, 6):
        (record,), counted = _run(tap, case, way, family)
        assert counted == {Counter.COPIED: 1}
        assert (record.urgent, record.payload) == (max(pointer, 1), GET)
        at = record.urgent - 1
        parts = record.segments()  # that the reader makes the same ones is checked by the tap
        assert b"".join(part.payload for part in parts) == GET[:at] + GET[at + 1 :]
        assert [part.length for part in parts if not part.payload] == [1]


@pytest.mark.parametrize(("case", "way", "family"), _table(COUNTED))
def test_is_counted_by_reason(tap: Tap, case: Case, way: Way, family: int) -> None:
    """No record, one counter."""
    records, counted = _run(tap, case, way, family)
    assert counted == {case.expect: 1}
    assert records == []


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "_l3_" not in e])
def test_what_is_not_ip_is_not_service(tap: Tap, entry: str) -> None:
    """ARP, an unknown ethertype, and the shortest frame there is."""
    for raw in (
        bytes(Ether(dst=frames.OUR_MAC, src=frames.PEER_MAC) / ARP(pdst="8.0.0.2")),
        bytes(12) + b"\x88\xcc" + bytes(46),
        bytes(12) + b"\x12\x34",
    ):
        assert tap.run(entry, raw) == ([], {Counter.NOT_SERVICE: 1})


@pytest.mark.parametrize("entry", [e for e in ENTRIES if "_l3_" not in e])
def test_tag_without_a_frame_is_not_service(tap: Tap, entry: str) -> None:
    """A frame that ends in its VLAN tag."""
    assert tap.run(entry, bytes(12) + b"\x81\x00\x00\x2a") == ([], {Counter.NOT_SERVICE: 1})


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", [w for w in WAYS if "loopback" not in w.entry], ids=str)
def test_wrong_direction_is_not_service(tap: Tap, way: Way, family: int) -> None:
    """Ingress with the service as source, egress with it as destination: somebody else's."""
    tap.configure(shadow=frames.shadow_of(family))
    ends = frames.ends_of(way, family).reversed()
    records, counted = tap.run(way.entry, frame(plain(ends), l3=way.l3))
    assert (records, counted) == ([], {Counter.NOT_SERVICE: 1})


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("way", [w for w in WAYS if not w.l3], ids=str)
def test_frame_for_another_host(tap: Tap, way: Way, family: int) -> None:
    """Seen by a bridge or a macvlan parent; only what would be the service's is counted so.

    On the way out nothing is another's: on a bridge's port the service's frames look like that.
    """
    tap.configure(shadow=frames.shadow_of(family))
    tap.control.renew_lease(time.monotonic_ns())
    ends = frames.ends_of(way, family)
    other = partial(frame, mac=frames.OTHER_MAC)
    disposition = Counter.COPIED if way.entry.endswith("egress") else Counter.OTHER_HOST
    assert tap.run(way.entry, other(plain(ends))).counted == {disposition: 1}
    assert tap.run(way.entry, other(_other_port(ends))) == ([], {Counter.NOT_SERVICE: 1})


@pytest.mark.parametrize("length", [1, 255, 256, 257, 1023, 1024, 1025, 3400])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_size_class_boundaries(tap: Tap, way: Way, length: int) -> None:
    """The payload arrives whole on both sides of each boundary; larger ones in test_tap_large."""
    payload = (bytes(range(251)) * (length // 251 + 1))[:length]
    for family in (4, 6):
        case = Case("sized", partial(plain, payload=payload))
        (record,), counted = _run(tap, case, way, family)
        assert counted == {Counter.COPIED: 1}
        assert record.length == length
        assert record.payload == (b"" if way.shadow else payload)
        assert record.taken == 80 + (0 if way.shadow else frames.size_class(length))
