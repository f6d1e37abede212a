"""Blocks that other readers take."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.records import pcapng


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each block."""
    found = []
    while data:
        kind, size = struct.unpack_from("<II", data)
        assert size % 4 == 0
        assert struct.unpack_from("<I", data, size - 4) == (size,)
        found.append((kind, data[8 : size - 4]))
        data = data[size:]
    return found


@given(st.lists(st.binary(max_size=70), max_size=5), st.text(max_size=9))
def test_a_file(frames: list[bytes], text: str) -> None:
    """Section, interface, packets, statistics: each block closes where it says."""
    data = pcapng.start("app", text, "eth0")
    data += b"".join(pcapng.packet(1 << 60 | n, frame) for n, frame in enumerate(frames))
    data += pcapng.statistics(1 << 60, text, (10, 3))
    found = blocks(data)
    assert [kind for kind, _ in found] == [0x0A0D0D0A, 1, *([6] * len(frames)), 5]
    for number, (_, body) in enumerate(found[2:-1]):
        interface, high, low, length, original = struct.unpack_from("<IIIII", body)
        assert interface == 0
        assert high << 32 | low == 1 << 60 | number
        assert length == original == len(frames[number])
        assert body[20 : 20 + length] == frames[number]
    assert struct.pack("<HHQ", 4, 8, 10) in found[-1][1]
    assert struct.pack("<HHQ", 5, 8, 3) in found[-1][1]
    assert len(pcapng.statistics(0, "")) == len(pcapng.statistics(1, text * 99, (1, 2)))
    assert all(body.endswith(bytes(4)) for kind, body in found if kind != 6)  # opt_endofopt
