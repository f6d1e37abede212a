r"""What a request's path may mean: servers decode, normalise and cut it in different ways.

``/%61dmin``, ``/x/../admin``, ``//admin``, ``/admin;a=b`` and ``http://host/admin`` reach the same
handler somewhere. So a target has readings: all that these steps lead to, in any order, each taken
or not: decode percent signs, take ``\`` for ``/``, cut parameters (``;…``), resolve dot segments,
merge slashes, end at ``?``, ``#`` or NUL; and in the end each segment is decoded by itself. Nearly
every target has one reading.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

# Over it a target is ambiguous: no honest client comes near, and a hostile one shall not cost us
# more than some hundred microseconds.
MAX_READINGS: Final = 32
MAX_ODD_BYTES: Final = 2048

# Anything but characters that are themselves everywhere, and what a normalising server changes.
_find_odd: Final = re.compile(rb"[^!$&-:=@-Z_a-z~]|//|/\.").search
# The same in what was decoded, where characters beyond ASCII and spaces stand for themselves.
_find_odd_decoded: Final = re.compile(rb"[\x00-\x1f%\\;?#\x7f]|//|/\.").search
_split_absolute: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#\\]*)").match
_cut_parameters: Final = re.compile(rb";[^/]*").sub
_merge_slashes: Final = re.compile(rb"/{2,}").sub
_find_end: Final = re.compile(rb"[?#\x00]").search
# Stands for a / that was decoded inside a segment. No template has one.
INNER_SLASH: Final = b"\x00"


class Target(NamedTuple):
    """``paths`` begin with /; empty: too many readings, or none (``*``, an authority)."""

    paths: tuple[bytes, ...]
    authority: bytes | None = None  # of an absolute target: it wins over Host (RFC 9112 3.2.2)
    ambiguous: bool = False  # it has readings that were not made


def read_target(target: bytes) -> Target:
    """The readings of a request target; the first is the plainest."""
    path = target.partition(b"?")[0]
    if path[:1] == b"/" and not _find_odd(path):
        return Target((path,))
    absolute = _split_absolute(target)
    authority = None
    if absolute is not None:
        authority = absolute[1].rpartition(b"@")[2]
        path = path[absolute.end() :] or b"/"
    if path[:1] != b"/":
        # llhttp lets nothing through here but OPTIONS's * and what \ may begin
        return Target((), authority, path != b"*")
    if absolute is not None and not _find_odd(path):
        return Target((path,), authority)
    if len(path) > MAX_ODD_BYTES:
        return Target((), authority, True)
    decoded = unquote_to_bytes(path)
    if not _find_odd_decoded(decoded) and decoded.count(b"/") == path.count(b"/"):
        return Target((decoded,), authority)
    found = _closure(path)
    return Target(found, authority) if found else Target((), authority, True)


def fold(path: bytes) -> bytes:
    """As servers see it that ignore case, compatibility forms, a slash or space at the end."""
    if not path.isascii():
        text = unicodedata.normalize("NFKC", path.decode("utf-8", "replace"))
        path = text.casefold().encode("utf-8", "replace")
    return path.lower().rstrip(b"/ \t\r\n\v\f")


def _closure(path: bytes) -> tuple[bytes, ...]:
    """All readings, or none when they are too many."""
    known = {path: None}
    waiting = [path]
    while waiting:
        one = waiting.pop()
        for made in _steps(one):
            if made not in known:
                if len(known) >= MAX_READINGS:
                    return ()
                known[made] = None
                waiting.append(made)
    return tuple(dict.fromkeys(map(_decode_segments, known)))


def _steps(path: bytes) -> list[bytes]:
    found = []
    if b"%" in path:
        found.append(unquote_to_bytes(path))
    if b"\\" in path:
        found.append(path.replace(b"\\", b"/"))
    if b";" in path:
        found.append(_cut_parameters(b"", path))
    if b"/." in path:
        found.append(_resolve_dots(path))
    if b"//" in path:
        found.append(_merge_slashes(b"/", path))
        if path[:2] == b"//":  # urlsplit() and its kin take what follows for a host
            found.append(b"/" + path[2:].partition(b"/")[2])
    end = _find_end(path)
    if end is not None:
        found.append(path[: end.start()] or b"/")
    return found


def _resolve_dots(path: bytes) -> bytes:
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    for segment in segments:
        if segment == b"..":
            if kept:
                kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in {b".", b".."}:
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _decode_segments(path: bytes) -> bytes:
    if b"%" not in path:
        return path
    return b"/".join(unquote_to_bytes(one).replace(b"/", INNER_SLASH) for one in path.split(b"/"))
