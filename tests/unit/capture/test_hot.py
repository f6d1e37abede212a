"""The flat loops make of a file exactly what the layers make of it."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.capture import hot
from shadow_agent.capture.decoder import Decoder
from shadow_agent.capture.file import open_capture
from shadow_agent.capture.pcap import PcapFile
from shadow_agent.flow.segment import Segment
from tests.unit.capture.files import pcap
from tests.unit.capture.samples import (
    ETHERNET,
    REQUEST,
    SAMPLES,
    V4,
    balance,
    decoder,
    ip4,
    tcp,
)

OPENING = [bytes(14)[:12] + b"\x08\0" + bytes(ip4(tcp(b"", flags))) for flags in ("S", "A", "FA")]
FRAMES = [data for link, data in SAMPLES.values() if link == 1] + OPENING


def both(data: bytes, *ports: int) -> list[tuple[list[Segment], Decoder]]:
    """Segments and decoder of the flat loop, and of the layers."""
    flat, layered = decoder(*ports), decoder(*ports)
    capture = open_capture(BytesIO(data))
    assert isinstance(capture, PcapFile)
    assert hot.fits(capture)
    walked = [segment for frame in open_capture(BytesIO(data)) for segment in layered.decode(frame)]
    frames = decoder(*ports)
    from_frames = list(hot.of_frames(frames, list(open_capture(BytesIO(data)))))
    assert frames.counts.as_dict() == layered.counts.as_dict()
    assert (from_frames, frames.now) == (walked, layered.now)
    return [(list(flat.segments(capture)), flat), (walked, layered)]


def assert_same(data: bytes, *ports: int) -> list[Segment]:
    """Both ways agree in every segment and every count."""
    (flat, first), (walked, second) = both(data, *ports)
    assert flat == walked
    assert all(type(segment) is Segment for segment in flat)
    assert first.counts.as_dict() == second.counts.as_dict()
    assert balance(first.counts)
    return flat


@pytest.mark.parametrize("ports", [(), (80,), (81,)], ids=str)
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_ways_agree(order: str, ports: tuple[int, ...]) -> None:
    """On every kind of frame, in both byte orders, whichever ports are the service's."""
    segments = assert_same(pcap(FRAMES * 2, order=order), *ports)
    assert bool(segments) == (81 not in ports)


def test_cooked_files_are_flat_too() -> None:
    """A file of `tcpdump -i any`."""
    (segment,) = assert_same(pcap([bytes(14) + b"\x08\0" + V4], link=113))
    assert segment.payload == REQUEST


def test_other_files_are_not() -> None:
    """Another link type, or lengths the other way round."""
    for data in (pcap([], link=101), pcap([], version=(2, 1))):
        capture = open_capture(BytesIO(data))
        assert isinstance(capture, PcapFile)
        assert not hot.fits(capture)


def test_files_longer_than_a_chunk() -> None:
    """Short frames fall on the borders of chunks too."""
    frames = [ETHERNET, ETHERNET[:30], b"", ETHERNET[:54]] * 9000
    assert len(assert_same(pcap(frames))) == 18_000


@given(st.data())
def test_both_ways_agree_on_broken_frames(data: st.DataObject) -> None:
    """Cut and changed anywhere."""
    frames = []
    for _ in range(data.draw(st.integers(1, 6))):
        frame = bytearray(data.draw(st.sampled_from([ETHERNET, *OPENING])))
        for at in data.draw(st.lists(st.integers(12, 53), max_size=3)):
            frame[at] = data.draw(st.integers(0, 255))
        frames.append(bytes(frame[: data.draw(st.integers(0, len(frame)))]) + b"pad")
    assert_same(pcap(frames))


def test_damage_ends_the_segments() -> None:
    """What came before is there, and counted."""
    data = pcap([ETHERNET, ETHERNET])[:-1]
    capture = open_capture(BytesIO(data))
    reader = decoder()
    assert len(list(reader.segments(capture))) == 1
    assert reader.counts.seen == 1
    assert capture.damage is not None


def test_counts_are_complete_when_the_reader_stops_early() -> None:
    """Closing the iterator adds up what was read so far."""
    reader = decoder()
    segments = reader.segments(open_capture(BytesIO(pcap([ETHERNET] * 10))))
    next(iter(segments))
    del segments
    assert (reader.counts.seen, reader.counts.copied) == (1, 1)
