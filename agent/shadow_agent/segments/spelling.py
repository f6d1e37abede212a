"""The segments of a path, however it is spelt: what names of endpoints are made of."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

# A deeper or longer path is nobody's.
MAX_DEPTH: Final = 24
MAX_PATH: Final = 2048

_is_odd: Final = re.compile(rb"[^!$&-:=@-Z_a-z~]|//|/\.").search
_split_absolute: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*").match
_find_end: Final = re.compile(rb"[?#]").search


def segments_of(path: bytes) -> list[bytes] | None:
    """The decoded segments of a path without its query, normalised; None: too much, or no path."""
    if len(path) > MAX_PATH:
        return None
    if path[:1] == b"/" and not _is_odd(path):
        return path[1:].split(b"/") if path.count(b"/") <= MAX_DEPTH else None
    absolute = _split_absolute(path)
    if absolute is not None:
        path = path[absolute.end() :] or b"/"
    if path[:1] != b"/":
        return None
    end = _find_end(path)
    if end is not None:
        path = path[: end.start()]
    found: list[bytes] = []
    raw = path[1:].split(b"/")
    for written in raw:
        segment = unquote_to_bytes(written.partition(b";")[0])
        if segment == b"..":
            if found:
                found.pop()
        elif segment not in {b"", b"."}:
            found.append(segment)
    if unquote_to_bytes(raw[-1]) in {b"", b".", b".."}:
        found.append(b"")
    return found if len(found) <= MAX_DEPTH else None
