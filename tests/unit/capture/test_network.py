"""IPv4 and IPv6, their options, extension headers and fragments."""

import pytest
from scapy.layers.inet import fragment
from scapy.layers.inet6 import IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet

from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.samples import (
    NETWORK,
    REQUEST,
    V4,
    V6,
    Sample,
    balance,
    carries_the_request,
    decoder,
    frame,
    ip4,
    ip6,
    tcp,
    udp,
)

LONG = REQUEST + bytes(3000)


@pytest.mark.parametrize("sample", NETWORK.values(), ids=NETWORK)
def test_the_request_is_found(sample: Sample) -> None:
    """Whatever lies between the network header and TCP."""
    assert carries_the_request(sample)


@pytest.mark.parametrize(
    "packet",
    [ip4(tcp(chksum=0xBAD), chksum=0xBAD), ip6(tcp(chksum=0xBAD))],
    ids=["ipv4", "ipv6"],
)
def test_checksums_are_not_judged(packet: Packet) -> None:
    """Where they are left to the card, a capture has them unfinished."""
    assert carries_the_request((101, bytes(packet)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"\x44" + V4[1:], Unsupported.MALFORMED, id="header-of-16-bytes"),
        pytest.param(V4[:2] + b"\0\x10" + V4[4:], Unsupported.MALFORMED, id="length-below-header"),
        pytest.param(V4[:9] + b"\x32" + V4[10:], Unsupported.ENCRYPTED, id="esp"),
        pytest.param(
            V6[:6] + b"\0" + V6[7:40] + b"\0\0" + bytes(6), Unsupported.TRUNCATED, id="cut"
        ),
        pytest.param(
            V6[:6] + b"\0" + V6[7:40] + bytes(8 * 40), Unsupported.IPV6_EXTENSION, id="endless"
        ),
        pytest.param(
            V4[:9] + b"\4" + V4[10:20] + b"\x42" + V4[1:], Unsupported.MALFORMED, id="inner"
        ),
    ],
)
def test_what_cannot_be_read_has_a_name(data: bytes, reason: Unsupported) -> None:
    """Each is counted as unsupported."""
    reader = decoder()
    assert reader.decode(frame((101, data))) == []
    assert reader.counts.unsupported == {reason: 1}


def test_nesting_is_bounded() -> None:
    """Nine IP headers are one too many."""
    wrapper = V4[:9] + b"\4" + V4[10:20]
    reader = decoder()
    assert len(reader.decode(frame((101, wrapper * 7 + V4)))) == 1
    assert reader.decode(frame((101, wrapper * 8 + V4))) == []
    assert reader.counts.unsupported == {Unsupported.TUNNEL: 1}


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("backwards", [False, True])
def test_fragments_give_one_segment(version: int, backwards: bool) -> None:
    """In any order; the others' bytes come with the last one."""
    if version == 4:
        pieces = [bytes(piece) for piece in fragment(ip4(tcp(LONG), id=7), fragsize=1000)]
    else:
        whole = ip6(IPv6ExtHdrFragment(id=7) / tcp(LONG))
        pieces = [bytes(piece) for piece in fragment6(whole, 1000)]
    reader = decoder()
    segments = [
        segment
        for piece in (reversed(pieces) if backwards else pieces)
        for segment in reader.decode(frame((101, piece)))
    ]
    assert [segment.payload for segment in segments] == [LONG]
    assert len(pieces) > 2
    assert (reader.counts.copied, reader.counts.no_payload) == (1, len(pieces) - 1)
    assert reader.counts.as_dict()["unsupported"] == {}


def test_a_fragmented_tunnel_is_put_together() -> None:
    """VXLAN whose outer datagram is in pieces."""
    inner = b"\x08" + bytes(7) + bytes(12) + b"\x08\0" + bytes(ip4(tcp(LONG)))
    data = udp(4789, inner)[14:]
    reader = decoder()
    segments = []
    for start in range(0, len(data) - 20, 1400):
        piece = data[20 + start : 1420 + start]
        more = 0x2000 if 1420 + start < len(data) else 0
        head = (
            data[:2] + (20 + len(piece)).to_bytes(2) + b"\0\x07" + (more | start // 8).to_bytes(2)
        )
        segments += reader.decode(frame((101, head + data[8:20] + piece)))
    assert [segment.payload for segment in segments] == [LONG]
    assert balance(reader.counts)


def test_a_cut_fragment_is_truncated() -> None:
    """Its bytes are not all there, so the datagram's are not."""
    piece = bytes(fragment(ip4(tcp(LONG)), fragsize=1000)[0])
    reader = decoder()
    assert reader.decode(frame((101, piece[:100]), wire=len(piece))) == []
    assert reader.counts.unsupported == {Unsupported.TRUNCATED: 1}
