"""Packets built by hand are what scapy says they are."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from shadow_agent.flow.segment import ACK, FIN, PSH, SYN
from shadow_agent.selftest.packets import Packet, build, checksum, cut, parse

ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


def _packet(family: int, payload: bytes = b"hello", flags: int = ACK | PSH) -> Packet:
    source, destination = (ip_address(one).packed for one in ENDS[family])
    return Packet(
        *(source, destination, 1234, 80, 0xFFFFFFF0, 77, flags, 500, 3, b"\2\4\5\xb4"), payload
    )


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even"])
def test_build_is_scapys(family: int, payload: bytes) -> None:
    """Every byte, checksums included."""
    source, destination = ENDS[family]
    tcp = TCP(
        sport=1234,
        dport=80,
        seq=0xFFFFFFF0,
        ack=77,
        flags="PA",
        window=500,
        urgptr=3,
        options=[("MSS", 1460)],
    )
    ip = (
        IP(src=source, dst=destination, id=0, flags="DF")
        if family == 4
        else IPv6(src=source, dst=destination)
    )
    packet = ip / tcp / Raw(payload) if payload else ip / tcp
    assert build(_packet(family, payload)) == bytes(packet)


@pytest.mark.parametrize("family", [4, 6])
def test_parse_undoes_build(family: int) -> None:
    """Also with padding behind it."""
    packet = _packet(family)
    assert parse(build(packet)) == packet
    assert parse(build(packet) + bytes(6)) == packet


def test_what_is_no_tcp_is_none() -> None:
    """UDP, another version, nothing."""
    raw = build(_packet(4))
    assert parse(raw[:9] + b"\x11" + raw[10:]) is None
    assert parse(b"\x55" + raw[1:]) is None
    assert parse(b"") is None


def test_cut_covers_the_payload() -> None:
    """FIN and PSH stay with the end; sequence numbers wrap."""
    first, second = cut(_packet(4, b"0123456789" * 3, ACK | PSH | FIN), 20, 5)
    assert (first.payload, first.seq, first.flags) == (b"0123456789" * 2, 0xFFFFFFF0, ACK)
    assert (second.payload, second.seq) == (b"567890123456789", 0xFFFFFFFF)
    assert second.flags == ACK | PSH | FIN


def test_space() -> None:
    """SYN and FIN take a number each."""
    assert _packet(4, b"abc", SYN | FIN).space == 5


def test_checksum_of_itself_is_zero() -> None:
    """As a receiver tests it."""
    data = b"\x45\x00\x01"
    assert checksum(data + b"\0" + checksum(data)) == b"\0\0"
