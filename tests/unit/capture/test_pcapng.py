"""pcapng files."""

from io import BytesIO
from struct import pack

import pytest

from shadow_agent.capture.file import open_capture
from shadow_agent.capture.frame import NO_LINK, Frame
from shadow_agent.capture.pcapng import PcapngFile, recognise
from tests.unit.capture.files import SECTION, block, enhanced, interface, option, section

MICRO = 1_700_000_000_000_005


def opened(data: bytes) -> PcapngFile:
    """A file of these bytes."""
    capture = open_capture(BytesIO(data))
    assert isinstance(capture, PcapngFile)
    return capture


@pytest.mark.parametrize("order", ["<", ">"])
def test_packets_of_every_kind_of_block(order: str) -> None:
    """Enhanced, the old one, and the simple one, which has the time of the one before."""
    old = pack(order + "HHIIII", 0, 3, MICRO >> 32, MICRO & 0xFFFFFFFF, 3, 9) + b"old"
    data = section(order) + interface(1, order) + enhanced(b"new", MICRO, order=order)
    data += block(2, old, order) + block(3, pack(order + "I", 6) + b"simple", order)
    capture = opened(data)
    ts = MICRO * 1000
    assert list(capture) == [
        Frame(ts, 1, b"new", 3),
        Frame(ts, 1, b"old", 9),
        Frame(ts, 1, b"simple", 6),
    ]
    assert capture.damage is None


def test_sections_have_their_own_order_and_interfaces() -> None:
    """A number means something else in the next section."""
    data = section() + interface(1) + interface(113) + enhanced(b"a", 1, 1)
    data += section(">") + interface(101, ">") + enhanced(b"b", 2, 0, ">")
    assert [(frame.link, frame.data) for frame in opened(data)] == [(113, b"a"), (101, b"b")]


@pytest.mark.parametrize(
    ("options", "ts"),
    [
        pytest.param(b"", 3_000_000_000_000, id="microseconds"),
        pytest.param(option(9, b"\x09"), 3_000_000_000, id="nanoseconds"),
        pytest.param(option(9, b"\x00"), 3_000_000_000 * 10**9, id="seconds"),
        pytest.param(option(9, b"\x8a"), 3_000_000_000 * 10**9 // 1024, id="binary"),
        pytest.param(option(9, b"\xff"), 0, id="absurd"),
        pytest.param(
            option(2, b"eth0") + option(9, b"\x09") + option(14, pack("<q", -1)) + option(0, b""),
            2_000_000_000,
            id="offset",
        ),
        pytest.param(option(0, b"") + option(9, b"\x09"), 3_000_000_000_000, id="after-the-end"),
        pytest.param(option(9, b"\x09\x09"), 3_000_000_000_000, id="of-another-length"),
        pytest.param(pack("<HH", 9, 4000), 3_000_000_000_000, id="longer-than-the-block"),
    ],
)
def test_time_is_what_the_interface_says(options: bytes, ts: int) -> None:
    """Resolution by tens or twos, and an offset in seconds."""
    data = section() + interface(options=options) + enhanced(b"x", 3_000_000_000)
    assert [frame.ts for frame in opened(data)] == [ts]


def test_unknown_blocks_are_skipped() -> None:
    """Statistics, names, secrets, and what is yet to come."""
    data = section() + block(0x0BAD, bytes(100)) + interface() + block(4, b"names")
    data += enhanced(b"x", 1) + block(5, bytes(12)) + block(10, bytes(5000)) + enhanced(b"y", 2)
    assert [frame.data for frame in opened(data)] == [b"x", b"y"]


def test_packets_of_unknown_interfaces_have_no_link() -> None:
    """They are seen, and do not end the file."""
    data = section() + block(3, pack("<I", 1) + b"s") + interface() + enhanced(b"x", 1, 7)
    capture = opened(data + enhanced(b"y", 2))
    assert [frame.link for frame in capture] == [NO_LINK, NO_LINK, 1]
    assert capture.damage is None


def test_a_simple_packet_is_cut_to_the_snaplen() -> None:
    """Its block says the length on the wire only."""
    data = section() + interface(snaplen=4) + block(3, pack("<I", 1500) + b"data")
    (frame,) = opened(data)
    assert (frame.data, frame.length) == (b"data", 1500)


@pytest.mark.parametrize("cut", range(1, 36))
def test_a_cut_file_gives_what_came_before(cut: int) -> None:
    """And says at which byte the whole ends."""
    data = section() + interface() + enhanced(b"one", 1)
    last = enhanced(b"two", 2)
    capture = opened((data + last)[:-cut])
    assert [frame.data for frame in capture] == [b"one"]
    assert capture.damage is not None
    assert capture.damage.endswith(f"(at byte {len(data)})")


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(pack("<II", 6, 8), id="too-short-for-a-block"),
        pytest.param(pack("<II", 6, 1 << 31), id="too-long"),
        pytest.param(block(6, bytes(8)), id="too-short-for-its-kind"),
        pytest.param(block(1, bytes(4)), id="interface-too-short"),
        pytest.param(pack("<II", SECTION, 28) + bytes(20), id="unknown-order"),
    ],
)
def test_a_broken_block_is_damage(broken: bytes) -> None:
    """Nothing after it can be trusted."""
    data = section() + interface() + enhanced(b"one", 1)
    capture = opened(data + broken + bytes(40))
    assert [frame.data for frame in capture] == [b"one"]
    assert capture.damage is not None
    assert capture.damage.endswith(f"(at byte {len(data)})")


def test_interfaces_are_bounded() -> None:
    """More than any host has; beyond that packets have no link type."""
    capture = opened(section() + interface() * 65_540 + enhanced(b"x", 1, 65_538))
    assert [frame.link for frame in capture] == [NO_LINK]


def test_the_first_block_is_recognised() -> None:
    """By its type and byte order."""
    assert recognise(section())
    assert recognise(section(">"))
    assert not recognise(b"\n\r\r\n" + bytes(20))
