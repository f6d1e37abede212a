"""Classic pcap files."""

from io import BytesIO

import pytest

from shadow_agent.capture.file import CaptureFile, open_capture
from shadow_agent.capture.frame import MAX_FRAME, Frame
from shadow_agent.capture.pcap import could_begin, recognise
from shadow_agent.capture.source import CHUNK
from tests.unit.capture.files import DAY, pcap

FRAMES = [b"first", b"", b"third" * 100]


def opened(data: bytes) -> CaptureFile:
    """A file of these bytes."""
    return open_capture(BytesIO(data))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "scale", "extra", "gap"),
    [
        pytest.param(0xA1B2C3D4, 1000, b"", b"", id="microseconds"),
        pytest.param(0xA1B23C4D, 1, b"", b"", id="nanoseconds"),
        pytest.param(0xA1B2CD34, 1000, b"interfac", b"", id="modified"),
        pytest.param(0x1C0001AC, 1, b"", b"size", id="ixia-hardware"),
        pytest.param(0x1C0001AB, 1000, b"", b"size", id="ixia-software"),
    ],
)
def test_every_variant_is_read(
    order: str, magic: int, scale: int, extra: bytes, gap: bytes
) -> None:
    """In both byte orders."""
    capture = opened(pcap(FRAMES, order=order, magic=magic, extra=extra, gap=gap, link=113))
    assert list(capture) == [
        Frame((DAY + second) * 1_000_000_000 + 5 * scale, 113, data, len(data))
        for second, data in enumerate(FRAMES)
    ]
    assert capture.damage is None


def test_the_wire_length_is_kept() -> None:
    """A snaplen cut the frame."""
    data = bytearray(pcap([b"cut"]))
    data[36:40] = (1500).to_bytes(4, "little")
    (frame,) = opened(bytes(data))
    assert (frame.data, frame.length) == (b"cut", 1500)


def test_old_versions_swap_the_lengths() -> None:
    """Before 2.3 the one on the wire came first."""
    data = bytearray(pcap([b"cut"], version=(2, 2)))
    data[32:36] = (1500).to_bytes(4, "little")
    (frame,) = opened(bytes(data))
    assert (frame.data, frame.length) == (b"cut", 1500)


def test_checksum_bits_are_not_the_link_type() -> None:
    """The upper bits say whether frames end with a checksum."""
    (frame,) = opened(pcap([b"x"], link=0x2400_0001))
    assert frame.link == 1


@pytest.mark.parametrize("cut", range(1, 21))
def test_a_cut_file_gives_what_came_before(cut: int) -> None:
    """And says at which byte the whole ends."""
    data = pcap([b"first", b"last"])
    capture = opened(data[:-cut])
    assert [frame.data for frame in capture] == [b"first"]
    offset = len(data) - 20
    if cut == 20:
        assert capture.damage is None
    else:
        assert capture.damage is not None
        assert capture.damage.endswith(f"(at byte {offset})")


def test_an_absurd_length_is_damage() -> None:
    """A record longer than any device makes."""
    good, bad = pcap([b"first"]), bytearray(pcap([b"x"])[24:])
    bad[8:12] = (MAX_FRAME + 1).to_bytes(4, "little")
    capture = opened(good + bytes(bad) + bytes(100))
    assert len(list(capture)) == 1
    assert capture.damage == (
        f"damaged or cut short: a packet claims {MAX_FRAME + 1} bytes (at byte {len(good)})"
    )


def test_frames_cross_chunks() -> None:
    """Also one that is longer than a chunk."""
    frames = [bytes([n % 256]) * 1000 for n in range(3000)] + [b"x" * (CHUNK * 2), b"end"]
    assert [frame.data for frame in opened(pcap(frames))] == frames


def test_magic_numbers_are_recognised() -> None:
    """In both orders; others are not pcap."""
    assert recognise(b"\xd4\xc3\xb2\xa1") == ("<", (1000, 16, 0))
    assert recognise(b"\xa1\xb2\x3c\x4d") == (">", (1, 16, 0))
    assert recognise(b"GET ") is None
    assert could_begin(b"\xd4\xc3\xb2\xa1")
    assert not could_begin(b"\xd4\xc3")
