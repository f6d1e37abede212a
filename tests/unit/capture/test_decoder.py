"""Frames → segments."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.capture.decoder import DecoderLimits
from shadow_agent.capture.file import open_capture
from shadow_agent.capture.frame import Frame
from shadow_agent.capture.layers import LINKS
from shadow_agent.telemetry.reasons import Unsupported
from tests.unit.capture.files import enhanced, interface, section
from tests.unit.capture.samples import (
    KEY4,
    REQUEST,
    SAMPLES,
    V4,
    Sample,
    balance,
    decoder,
    frame,
    ip4,
    tcp,
)

RAW = 101


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_every_cut_is_survived(sample: Sample) -> None:
    """A snaplen of any number of bytes: a segment of the true length, or a name."""
    link, data = sample
    for captured in range(len(data)):
        reader = decoder(80)
        segments = reader.decode(Frame(1, link, data[:captured], len(data)))
        assert balance(reader.counts)
        for segment in segments:
            assert segment.length == len(REQUEST) or segment.length == 0
            assert REQUEST.startswith(segment.payload)


@given(st.sampled_from(sorted(LINKS)), st.binary(max_size=300))
def test_no_bytes_raise(link: int, data: bytes) -> None:
    """Anything at all on any link."""
    reader = decoder()
    for segment in reader.decode(frame((link, data))):
        assert len(segment.payload) <= segment.length
    assert balance(reader.counts)


@given(
    st.sampled_from(sorted(SAMPLES)),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_no_changed_bytes_raise(name: str, changes: list[tuple[int, int]]) -> None:
    """Any sample with some bytes changed."""
    link, data = SAMPLES[name]
    changed = bytearray(data)
    for at, value in changes:
        changed[at % len(changed)] = value
    reader = decoder(80)
    for segment in reader.decode(frame((link, bytes(changed)))):
        assert len(segment.payload) <= segment.length
    assert balance(reader.counts)


def test_a_snaplen_leaves_the_length() -> None:
    """The payload is what was captured; reassembly sees how much is missing."""
    data = bytes(ip4(tcp(REQUEST + bytes(1000))))
    (segment,) = decoder().decode(Frame(7, RAW, data[:60], len(data)))
    assert (segment.payload, segment.length) == (REQUEST[:20], len(REQUEST) + 1000)
    assert segment.ts == 7


@pytest.mark.parametrize("flags", ["S", "SA", "FA", "R", "RA"])
def test_what_opens_and_closes_gives_a_segment(flags: str) -> None:
    """Without payload too."""
    (segment,) = decoder(80).decode(frame((RAW, bytes(ip4(tcp(b"", flags))))))
    assert (segment.key, segment.length, segment.final) == (KEY4, 0, True)


def test_a_pure_ack_gives_none() -> None:
    """As in the tap."""
    reader = decoder(80)
    assert reader.decode(frame((RAW, bytes(ip4(tcp(b"", "A")))))) == []
    assert reader.counts.no_payload == 1


def test_urgent_data_splits_the_packet() -> None:
    """Nobody outside knows whether the application reads that byte in the stream."""
    reader = decoder(80)
    data = bytes(ip4(tcp(b"abcdef", "PAU", urgptr=3)))
    pieces = reader.decode(frame((RAW, data)))
    assert [(piece.seq, piece.payload, piece.length, piece.final) for piece in pieces] == [
        (1000, b"ab", 2, False),
        (1002, b"", 1, False),
        (1003, b"def", 3, True),
    ]
    assert (reader.counts.seen, reader.counts.copied) == (1, 1)


def test_an_urgent_pointer_of_zero_is_the_first_byte() -> None:
    """As Linux reads it."""
    data = bytes(ip4(tcp(b"abc", "PAU", urgptr=0)))
    pieces = decoder(80).decode(frame((RAW, data)))
    assert [(piece.payload, piece.length) for piece in pieces] == [(b"", 1), (b"bc", 2)]


@pytest.mark.parametrize("pointer", [7, 65_535])
def test_an_urgent_pointer_outside_is_ignored(pointer: int) -> None:
    """It points at a byte of another packet, or at none."""
    data = bytes(ip4(tcp(b"abcdef", "PAU", urgptr=pointer)))
    (segment,) = decoder(80).decode(frame((RAW, data)))
    assert segment.payload == b"abcdef"


@pytest.mark.parametrize(
    ("at", "value"),
    [pytest.param(32, 0x40, id="header-of-16-bytes"), pytest.param(3, 30, id="no-room-for-tcp")],
)
def test_tcp_that_contradicts_itself_is_malformed(at: int, value: int) -> None:
    """The header is shorter than TCP's, or longer than the packet."""
    data = V4[:at] + bytes([value]) + V4[at + 1 :]
    reader = decoder(80)
    assert reader.decode(frame((RAW, data))) == []
    assert reader.counts.unsupported == {Unsupported.MALFORMED: 1}


def test_other_ports_are_not_the_service() -> None:
    """Nor is what says nothing about which end is which."""
    reader = decoder(8080)
    reader.decode(frame((RAW, V4)))
    open_reader = decoder()
    open_reader.decode(frame((RAW, bytes(ip4(tcp(b"middle of something"))))))
    assert (reader.counts.not_service, open_reader.counts.not_service) == (1, 1)


def test_now_is_the_latest_time() -> None:
    """Frames may come out of order."""
    reader = decoder()
    for ts in (5, 9, 3):
        reader.decode(frame((RAW, V4), ts))
    assert reader.now == 9


def test_segments_of_a_pcapng_file() -> None:
    """Every interface with its own link type."""
    data = section() + interface(RAW) + interface(1) + enhanced(V4, 1) + enhanced(b"", 2, 1)
    reader = decoder(limits=DecoderLimits(max_connections=1))
    (segment,) = reader.segments(open_capture(BytesIO(data)))
    assert segment.payload == REQUEST
    assert reader.counts.as_dict()["unsupported"] == {"truncated": 1}
