"""Call: one attempt of a build to tell somebody else something."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LONGEST: Final = 512  # characters kept of a method, host or path

_HASH_BYTES: Final = 16
_KEY_BYTES: Final = 64  # the most that BLAKE2b takes
# Segments that name one of many: numbers, UUIDs, other hex of 8 and more with a digit in it, and
# long mixtures as tokens are.
_NUMBER: Final = re.compile(r"\d+")
_HEX: Final = re.compile(r"(?=.*\d)[0-9a-fA-F-]{8,}")
_TOKEN: Final = re.compile(r"(?=.*\d)[\w.~=-]{20,}|[a-z]{1,8}_(?=.*\d)\w{8,}")


class Protocol(StrEnum):
    """What the first bytes were."""

    HTTP = "http"
    SMTP = "smtp"
    TLS = "tls"  # closed to us: only where to
    OTHER = "tcp"


@dataclass(frozen=True, slots=True)
class Call:
    """What was said on a connection, as far as it can be told without keeping it.

    ``host`` is the caller's own word (Host, SNI), empty where it gave none; ``path`` has no query.
    """

    protocol: Protocol
    method: str = ""  # of HTTP; MAIL of SMTP
    host: str = ""
    path: str = ""
    query: bool = False  # there was one
    size: int = 0  # bytes of the body, or of the message, or all that was sent
    body_hash: str | None = None  # keyed; None: no body, or not all of it was seen
    recipients: int = 0  # of SMTP
    complete: bool = True  # False: the caller went away, or was cut off, in the middle

    def as_dict(self) -> dict[str, object]:
        """For orjson, by field."""
        return {name: getattr(self, name) for name in self.__slots__}


class Body:
    """Size and keyed hash of bytes that are not kept."""

    __slots__ = ("_hash", "size")

    def __init__(self, key: bytes) -> None:
        """The same ``key`` on both sides makes hashes comparable."""
        self._hash = hashlib.blake2b(key=key[:_KEY_BYTES], digest_size=_HASH_BYTES)
        self.size = 0

    def add(self, data: bytes) -> None:
        """The next bytes."""
        self._hash.update(data)
        self.size += len(data)

    def digest(self) -> str | None:
        """Hex; None of an empty body."""
        return self._hash.hexdigest() if self.size else None


def template(path: str) -> str:
    """The path with what names one of many replaced: ``/v1/charges/{id}``."""
    return "/".join("{id}" if _names_one(part) else part for part in path.split("/"))


def _names_one(segment: str) -> bool:
    return any(one.fullmatch(segment) for one in (_NUMBER, _HEX, _TOKEN))


def clean(raw: bytes) -> str:
    """Bytes from the wire as printable ASCII of bounded length."""
    cut = raw[:LONGEST]
    return "".join(chr(one) if 0x20 <= one < 0x7F else f"\\x{one:02x}" for one in cut)[:LONGEST]
