"""Content codings taken off, with a bound on what comes out.

The bound on bytes, in and out, is the bound on time too: each decoder is linear in both.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import brotli
import zstandard

# Codings on top of each other, and gzip members and zstd frames behind each other.
MAX_CODINGS: Final = 4
MAX_MEMBERS: Final = 64
# How many times as long the plain text may be, above what is small anyway: deflate's most is 1032.
MAX_RATIO: Final = 400
_SMALL: Final = 64 * 1024
# What RFC 9659 lets a sender ask of us.
_ZSTD_WINDOW: Final = 8 << 20
_GZIP: Final = 31
_ZLIB: Final = 15
_RAW: Final = -15


class Undecodable(ValueError):
    """Why a body is compared as it came."""


def decode(codings: Sequence[bytes], body: bytes, most: int) -> bytes:
    """What is in ``body``. ``codings`` in the order applied. Raises Undecodable."""
    if len(codings) > MAX_CODINGS:
        raise Undecodable(f"more than {MAX_CODINGS} content codings")
    for coding in reversed(codings):
        decoder = _DECODERS.get(coding)
        if decoder is None:
            raise Undecodable("unknown content coding")
        bound = min(most, max(_SMALL, len(body) * MAX_RATIO))
        try:
            # an empty body has no coding, whatever its head says: an answer to HEAD
            body = decoder(body, bound) if body else body
        except (zlib.error, brotli.error, zstandard.ZstdError, MemoryError) as error:
            raise Undecodable("broken content coding") from error
        if len(body) > bound:
            raise Undecodable("too large when unpacked")
    return body


def codings(values: Sequence[bytes]) -> list[bytes]:
    """Of the values of Content-Encoding, lower case, without what changes nothing."""
    found = [one.strip().lower() for value in values for one in value.split(b",")]
    return [one for one in found if one not in (b"", b"identity")]


def _inflate(body: bytes, bound: int, window: int) -> bytes:
    pieces = []
    size = 0
    for _ in range(MAX_MEMBERS):
        decoder = zlib.decompressobj(window)
        piece = decoder.decompress(body, bound + 1 - size)
        pieces.append(piece)
        size += len(piece)
        if size > bound:
            break
        if not decoder.eof:
            raise Undecodable("cut-off content coding")
        body = decoder.unused_data
        if not body:
            break
        if window != _GZIP:
            raise Undecodable("bytes behind the content coding")
    else:
        raise Undecodable("too many gzip members")
    return b"".join(pieces)


def _gunzip(body: bytes, bound: int) -> bytes:
    return _inflate(body, bound, _GZIP)


def _deflate(body: bytes, bound: int) -> bytes:
    """With zlib's frame as RFC 9110 says, or without as some servers do."""
    try:
        return _inflate(body, bound, _ZLIB)
    except zlib.error:
        return _inflate(body, bound, _RAW)


def _unbrotli(body: bytes, bound: int) -> bytes:
    decoder = brotli.Decompressor()
    pieces = [decoder.process(body, output_buffer_limit=bound + 1)]
    size = len(pieces[0])
    while size <= bound and not decoder.is_finished():
        piece = decoder.process(b"", output_buffer_limit=bound + 1 - size)
        if not piece:
            raise Undecodable("cut-off content coding")
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _unzstd(body: bytes, bound: int) -> bytes:
    # the window is what it may allocate before it has said a byte
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    pieces = []
    size = 0
    with decoder.stream_reader(body, read_across_frames=True) as reader:
        while size <= bound:
            piece = reader.read(bound + 1 - size)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    if size <= bound:
        _check_frames(decoder, body)  # what bounds the output knows nothing of a missing end
    return b"".join(pieces)


def _check_frames(decoder: zstandard.ZstdDecompressor, body: bytes) -> None:
    for _ in range(MAX_MEMBERS):
        frame = decoder.decompressobj()
        frame.decompress(body)
        if not frame.eof:
            raise Undecodable("cut-off content coding")
        body = frame.unused_data
        if not body:
            return
    raise Undecodable("too many zstd frames")


_DECODERS: Final[Mapping[bytes, Callable[[bytes, int], bytes]]] = MappingProxyType({
    b"gzip": _gunzip,
    b"x-gzip": _gunzip,
    b"deflate": _deflate,
    b"br": _unbrotli,
    b"zstd": _unzstd,
})  # fmt: skip
