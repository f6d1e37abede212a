"""open_capture."""

import gzip
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.capture.file import NotACapture, open_capture
from tests.unit.capture.files import enhanced, interface, pcap, section

PCAP = pcap([b"frame"])
PCAPNG = section() + interface() + enhanced(b"frame", 1)


@pytest.mark.parametrize("data", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_both_formats_are_read(data: bytes, pack: object) -> None:
    """Plain and gzipped."""
    assert callable(pack)
    capture = open_capture(BytesIO(pack(data)))
    assert [frame.data for frame in capture] == [b"frame"]
    assert capture.damage is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "neither pcap nor pcapng", id="text"),
        pytest.param(PCAP[:20], "ends within its first header", id="short-pcap"),
        pytest.param(PCAPNG[:20], "ends within its first header", id="short-pcapng"),
        pytest.param(b"\xd4", "neither", id="one-byte"),
        pytest.param(gzip.compress(b""), "the file is empty", id="empty-gzip"),
        pytest.param(gzip.compress(PCAP)[:15], "the gzip stream is cut short", id="cut-gzip"),
    ],
)
def test_what_is_none_says_so(data: bytes, message: str) -> None:
    """In one line."""
    with pytest.raises(NotACapture, match=message) as caught:
        open_capture(BytesIO(data))
    assert "\n" not in str(caught.value)


def test_a_file_without_packets_is_a_capture() -> None:
    """Nothing was on the wire."""
    for data in (pcap([]), section()):
        capture = open_capture(BytesIO(data))
        assert list(capture) == []
        assert capture.damage is None


@given(st.sampled_from([PCAP, PCAPNG, b"", gzip.compress(PCAP)]), st.binary(max_size=200))
def test_no_bytes_raise_anything_else(start: bytes, rest: bytes) -> None:
    """A header, then anything."""
    try:
        frames = list(open_capture(BytesIO(start + rest)))
    except NotACapture:
        return
    assert all(frame.length >= len(frame.data) for frame in frames)


@given(
    st.sampled_from([PCAP, PCAPNG * 2]),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=5),
)
def test_no_damage_raises_anything_else(data: bytes, changes: list[tuple[int, int]]) -> None:
    """Bytes of a good file changed."""
    broken = bytearray(data * 2)
    for at, value in changes:
        broken[at % len(broken)] = value
    try:
        list(open_capture(BytesIO(bytes(broken))))
    except NotACapture:
        return
