"""Multipart bodies by their parts: boundaries differ in each, and say nothing."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from shadow_agent.compare.forms import TooManyFields
from shadow_agent.compare.text import plain

MAX_PARTS: Final = 200
# RFC 2046 ends it at 70 characters.
_boundary: Final = re.compile(rb'(?i)boundary=(?:"([^"\r\n]{1,70})"|([^\s;,"]{1,70}))').search
_name: Final = re.compile(rb'(?i)[;\s]name=(?:"([^"\r\n]{0,256})"|([^\s;"]{1,256}))').search
_MAX_HEAD: Final = 4096
# Of a part that may be shown; of larger ones and files, length and hash are compared.
_MAX_VALUE: Final = 4096


class NotMultipart(ValueError):
    """It is compared as bytes."""


def parts(content_type: bytes, body: bytes) -> dict[str, list[str]]:
    """Values by name of the part, or by ``part`` where they have none.

    Raises NotMultipart and TooManyFields.
    """
    match = _boundary(content_type)
    if match is None:
        raise NotMultipart("no boundary")
    mark = b"\r\n--" + (match[1] or match[2])
    preamble, *pieces = (b"\r\n" + body).split(mark, MAX_PARTS + 1)
    if len(pieces) > MAX_PARTS:
        raise TooManyFields("too many parts")
    if not pieces or preamble.strip() or not pieces[-1].startswith(b"--"):
        raise NotMultipart("not as its boundary says")
    found: dict[str, list[str]] = {}
    for piece in pieces[:-1]:
        head, blank, value = piece.partition(b"\r\n\r\n")
        if not blank or len(head) > _MAX_HEAD:
            raise NotMultipart("a part without a head")
        name = _name(head)
        label = "part" if name is None else plain(name[1] or name[2] or b"")
        found.setdefault(label, []).append(_value(head, value))
    return found


def _value(head: bytes, value: bytes) -> str:
    kind = next(
        (
            line.partition(b":")[2].strip().lower()
            for line in head.split(b"\r\n")
            if line[:13].lower() == b"content-type:"
        ),
        b"text/plain",
    )
    text = plain(value)
    if b"filename" not in head.lower() and len(value) <= _MAX_VALUE and kind[:5] == b"text/":
        return text
    digest = hashlib.sha256(value).hexdigest()[:16]
    return f"{plain(kind)}, {len(value)} bytes, sha256 {digest}"
