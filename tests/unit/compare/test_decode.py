"""Content codings, and bodies that are not what their coding says."""

from __future__ import annotations

import contextlib
import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.compare.decode import MAX_MEMBERS, Undecodable, codings, decode

MOST = 1 << 20
TEXT = b'{"a": 1}' * 100


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK = {
    b"gzip": gzip.compress,
    b"x-gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
}


@pytest.mark.parametrize("coding", PACK)
def test_a_coding_is_taken_off(coding: bytes) -> None:
    """What was packed comes out; an empty body has no coding."""
    assert decode([coding], PACK[coding](TEXT), MOST) == TEXT
    assert decode([coding], b"", MOST) == b""


def test_deflate_without_a_frame_is_read_too() -> None:
    """As some servers send it, against RFC 9110."""
    assert decode([b"deflate"], _raw_deflate(TEXT), MOST) == TEXT


def test_several_codings_come_off_in_reverse() -> None:
    """The last one applied comes off first."""
    body = zstandard.compress(brotli.compress(gzip.compress(TEXT)))
    assert decode([b"gzip", b"br", b"zstd"], body, MOST) == TEXT
    with pytest.raises(Undecodable, match="more than 4"):
        decode([b"gzip"] * 5, body, MOST)


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_members_behind_each_other_are_one_text(coding: bytes) -> None:
    """Up to a limit, since each costs a decoder."""
    pack = PACK[coding]
    assert decode([coding], pack(b"a") + pack(b"b"), MOST) == b"ab"
    with pytest.raises(Undecodable, match="too many"):
        decode([coding], pack(b"a") * (MAX_MEMBERS + 1), MOST)


@pytest.mark.parametrize("coding", PACK)
def test_a_bomb_ends_at_the_bound(coding: bytes) -> None:
    """100 MB out of a few KB: neither above the bytes nor above the ratio."""
    bomb = PACK[coding](bytes(100_000_000))
    with pytest.raises(Undecodable, match="too large"):
        decode([coding], bomb, MOST)
    small = PACK[coding](bytes(300_000))
    if len(small) < 300:
        with pytest.raises(Undecodable, match="too large"):
            decode([coding], small, MOST)


@pytest.mark.parametrize("coding", PACK)
def test_a_cut_off_body_is_no_text(coding: bytes) -> None:
    """Half of it is not compared as if it were all."""
    packed = PACK[coding](bytes(range(256)) * 20)
    with pytest.raises(Undecodable):
        decode([coding], packed[:-6], MOST)


def test_an_unknown_coding_is_left_alone() -> None:
    """Said, not guessed."""
    with pytest.raises(Undecodable, match="unknown"):
        decode([b"compress"], b"x", MOST)


def test_codings_are_read_from_the_fields() -> None:
    """Lists, repeated fields and case; identity changes nothing."""
    assert codings([b"GZIP, identity", b" br"]) == [b"gzip", b"br"]


@given(st.sampled_from(sorted(PACK)), st.binary(max_size=300), st.booleans())
def test_any_bytes_are_decoded_or_refused(coding: bytes, data: bytes, whole: bool) -> None:
    """No other exception, and nothing above the bound."""
    body = data if whole else PACK[coding](data)[: len(data)]
    with contextlib.suppress(Undecodable):
        assert len(decode([coding], body, 5000)) <= 5000
