"""Inputs that the fuzzer begins with: valid ones of each shape, for it to spoil."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import GRE, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop
from scapy.layers.l2 import LLC, SNAP, CookedLinux, Dot1AD, Dot1Q, Dot3, Ether, Loopback
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from tests.fuzz.source import PHRASES
from tests.fuzz.targets import LINKS

_RAW: Final = 2 * len(PHRASES)  # what Source.some reads as: bytes follow, as they are
_MACS: Final = {"dst": "02:00:00:00:00:02", "src": "02:00:00:00:00:01"}
_ETHER: Final = Ether(**_MACS)
_DOT3: Final = Dot3(**_MACS)


def seeds(target: str) -> Iterator[bytes]:
    """Inputs for the target of this name."""
    if target == "files":
        yield from _files()
    elif target == "frames":
        for link, frame in _frames():
            data = bytes(frame)[:255]
            yield bytes((_RAW, len(data))) + data + bytes((LINKS.index(link), 0)) * 2
    else:
        for number in range(2 * len(PHRASES)):  # one phrase each, whole and cut
            yield bytes((1, number, 0, 255, 16, number))


def _frames() -> Iterator[tuple[int, Packet]]:
    inner = IP(src="192.0.2.1", dst="198.51.100.7") / TCP(sport=4000, dport=80, flags="PA", seq=1)
    inner = inner / Raw(PHRASES[0])
    six = TCP(sport=4000, dport=80, flags="PA", seq=1) / Raw(PHRASES[2])
    outer = _ETHER / IP(src="10.0.0.1", dst="10.0.0.2")
    yield 1, _ETHER / inner
    yield 1, _ETHER / Dot1AD() / Dot1Q() / inner
    yield 1, _ETHER / IPv6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / six
    yield 1, _ETHER / IPv6() / IPv6ExtHdrFragment(m=1, id=7) / six
    yield 1, outer / GRE() / inner
    yield 1, outer / inner
    yield 1, outer / UDP(dport=4789) / VXLAN(vni=1) / _ETHER / inner
    yield 1, outer / UDP(dport=6081) / GENEVE(vni=1, proto=0x6558) / _ETHER / inner
    yield 1, _DOT3 / LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(code=0x800) / inner
    for piece in fragment(inner, 24):
        yield 1, _ETHER / piece
    yield 0, Loopback(type=2) / inner
    yield 101, inner
    yield 113, CookedLinux(proto=0x800) / inner
    for link in LINKS:
        yield link, Raw(bytes(inner))


def _files() -> Iterator[bytes]:
    frames = [bytes(frame) for link, frame in _frames() if link == 1]
    for magic in ("<I", ">I"):
        for number in (0xA1B2_C3D4, 0xA1B2_3C4D):
            order = magic[0]
            records = [struct.pack(f"{order}IIII", 1, 2, len(f), len(f)) + f for f in frames]
            head = struct.pack(f"{order}IHHiIII", number, 2, 4, 0, 0, 65_535, 1)
            yield head + b"".join(records)
    section = _block(0x0A0D_0D0A, struct.pack("<IHHq", 0x1A2B_3C4D, 1, 0, -1))
    interface = _block(1, struct.pack("<HHI", 1, 0, 65_535) + struct.pack("<HHB3xI", 9, 1, 9, 0))
    enhanced = [_block(6, struct.pack("<IIIII", 0, 0, 1_500, len(f), len(f)) + f) for f in frames]
    simple = [_block(3, struct.pack("<I", len(f)) + f) for f in frames]
    whole = section + interface + b"".join(enhanced + simple)
    yield whole
    yield whole + section + interface + interface + b"".join(simple)


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = 12 + len(body)
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)
