"""Records that only a key opens, appended to a file one by one.

A record is ``MAGIC``, its length, who wrote it, its number, a nonce, and what AES-256-GCM made of
it. The run and that head are authenticated with it, so that a record cannot be altered, nor moved
to another run, writer or number. Each run has a key of its own, derived from the evidence key, and
each record a random nonce. A record is written in one go: a crash tears the last one at most, and
what does not authenticate is never shown. Records missing between two that are there show by their
numbers; records missing at the end do not.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"\xf5SHADOW\x01"
# writer (random, one per process), number from 1, length of what follows, nonce
_HEAD: Final = struct.Struct("!8sQI12s")
_TAG: Final = 16
# Bytes of a record's text. Over it: not written.
MAX_RECORD: Final = 512 * 1024
_CHUNK: Final = 1 << 20
_TORN: Final = "torn, or no record"
_SEALED: Final = "altered, or of another run or key"


class Record(NamedTuple):
    """One that authenticated."""

    writer: str
    number: int
    text: bytes


class Damage(NamedTuple):
    """A stretch of a file that holds no record."""

    offset: int
    size: int
    reason: str


class VaultWriter:
    """Appends records to a file that somebody else opened. Not for several threads."""

    def __init__(self, fd: int, key: bytes, run_id: str) -> None:
        """``fd``: O_WRONLY and O_APPEND; ``key``: 32 bytes."""
        self._fd = fd
        self._cipher = AESGCM(_run_key(key, run_id))
        self._run = run_id.encode()
        self._writer = os.urandom(8)
        self.number = 0  # of the last record

    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def append(self, text: bytes) -> None:
        """Write one. Raises OSError: then it is not there, or torn. ValueError: too large."""
        if len(text) > MAX_RECORD:
            raise ValueError(f"a record of {len(text)} bytes; at most {MAX_RECORD}")
        head = _HEAD.pack(self._writer, self.number + 1, len(text) + _TAG, os.urandom(12))
        sealed = self._cipher.encrypt(head[-12:], text, _associated(self._run, head))
        data = MAGIC + head + sealed
        if os.write(self._fd, data) != len(data):
            raise OSError(28, "no space left for a whole record")
        self.number += 1


def read_vault(source: BinaryIO, key: bytes, run_id: str) -> Iterator[Record | Damage]:
    """Every record in order, and what is none. Holds one record at a time."""
    cipher, run = AESGCM(_run_key(key, run_id)), run_id.encode()
    seen: dict[bytes, int] = {}
    offset = 0
    size = source.seek(0, os.SEEK_END)
    while offset < size:
        source.seek(offset)
        magic, head = source.read(len(MAGIC)), source.read(_HEAD.size)
        record, reason = None, _TORN
        writer, number, length, nonce = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        if magic == MAGIC and _TAG <= length <= MAX_RECORD + _TAG:
            sealed = source.read(length)
            with contextlib.suppress(InvalidTag, ValueError):
                text = cipher.decrypt(nonce, sealed, _associated(run, head))
                record = Record(writer.hex(), number, text)
            reason = _SEALED if len(sealed) == length else _TORN
        if record is None:
            following = _next(source, offset + 1, size)
            yield Damage(offset, following - offset, reason)
            offset = following
            continue
        before = seen.get(writer, 0)
        if number != before + 1:
            yield Damage(offset, 0, f"record {number} follows {before}: removed, added or moved")
        seen[writer] = number
        yield record
        offset += len(MAGIC) + _HEAD.size + length


def opens(source: BinaryIO, key: bytes, run_id: str) -> bool:
    """Whether the key opens a record of it; also when there is none that is whole."""
    sealed = False
    for one in read_vault(source, key, run_id):
        if isinstance(one, Record):
            return True
        sealed |= one.reason is _SEALED
    return not sealed


def _next(source: BinaryIO, offset: int, size: int) -> int:
    """Where the next record may begin."""
    while offset < size:
        source.seek(offset)
        chunk = source.read(_CHUNK)
        found = chunk.find(MAGIC)
        if found >= 0:
            return offset + found
        offset += max(len(chunk) - len(MAGIC) + 1, 1)
    return size


def _associated(run: bytes, head: bytes) -> bytes:
    return run + b"\0" + head


def _run_key(key: bytes, run_id: str) -> bytes:
    return hmac.digest(key, b"shadow-agent evidence\0" + run_id.encode(), "sha256")
