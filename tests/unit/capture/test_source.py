"""Bytes of files and pipes."""

import gzip
import os
from io import BytesIO, RawIOBase

import pytest

from shadow_agent.capture.source import CHUNK, Source

DATA = os.urandom(1 << 12) * 700  # more than two chunks


class Slow(RawIOBase):
    """A pipe that gives a few bytes at a time, and then fails if told so."""

    def __init__(self, data: bytes, step: int, error: OSError | None = None) -> None:
        self.left, self.step, self.error = data, step, error

    def read(self, _: int = -1) -> bytes:
        """At most ``step`` bytes."""
        if not self.left and self.error:
            raise self.error
        piece, self.left = self.left[: self.step], self.left[self.step :]
        return piece


def read_all(source: Source, step: int) -> bytes:
    """Everything, a step at a time."""
    parts, data = [], b""
    while len(data := source.fill(data, 0, step)) >= step:
        parts.append(data[:step])
        data = data[step:]
    return b"".join(parts) + data


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("step", [1 << 16, CHUNK, CHUNK * 2 + 1])
def test_every_byte_comes_once(packed: bool, step: int) -> None:
    """Plain or gzipped, in steps smaller and larger than a chunk."""
    source = Source(BytesIO(gzip.compress(DATA, 1) if packed else DATA))
    assert read_all(source, step) == DATA
    assert (source.offset, source.damage) == (len(DATA), None)


@pytest.mark.parametrize("packed", [False, True])
def test_a_pipe_may_give_single_bytes(packed: bool) -> None:
    """Also those of the magic number."""
    data = DATA[:5000]
    source = Source(Slow(gzip.compress(data) if packed else data, 1))  # type: ignore[arg-type]
    assert read_all(source, 512) == data


def test_gzip_members_in_a_row_are_one_file() -> None:
    """As gzip itself reads them; zeros after the last are padding."""
    source = Source(BytesIO(gzip.compress(b"one") + gzip.compress(b"two") + bytes(100)))
    assert source.fill(b"", 0, 100) == b"onetwo"
    assert source.damage is None


def test_a_bomb_unpacks_in_pieces() -> None:
    """What is asked for is unpacked, not all there is."""
    source = Source(BytesIO(gzip.compress(bytes(100 << 20), 9)))
    assert len(source.fill(b"", 0, 1)) <= CHUNK


@pytest.mark.parametrize("cut", [1, 8, 9, 1000])
def test_a_cut_gzip_stream_is_damage(cut: int) -> None:
    """What was there before comes first."""
    source = Source(BytesIO(gzip.compress(DATA)[:-cut]))
    assert DATA.startswith(read_all(source, 4096))
    assert source.damage == "the gzip stream is cut short"


def test_garbage_in_a_gzip_stream_is_damage() -> None:
    """In one line."""
    packed = bytearray(gzip.compress(DATA))
    half = len(packed) // 2
    packed[half : half + 100] = b"\xff" * 100
    source = Source(BytesIO(bytes(packed)))
    read_all(source, 4096)
    assert source.damage is not None
    assert "\n" not in source.damage


def test_an_error_of_the_device_is_damage() -> None:
    """Not an exception."""
    source = Source(Slow(DATA[:10], 10, OSError("disk is gone")))  # type: ignore[arg-type]
    assert source.fill(b"", 0, 20) == DATA[:10]
    assert source.damage == "cannot read on: disk is gone"
