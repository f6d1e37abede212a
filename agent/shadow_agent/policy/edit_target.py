"""What stands in a request's target and in cookies: read and replaced piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from shadow_agent.policy.draft import Unfit

_split: Final = re.compile(
    rb"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)?(/[^?#]*)?(?:\?([^#]*))?(#.*)?", re.DOTALL
).fullmatch
# RFC 3986: what a segment and a query value may hold without a percent sign, less what separates.
_SEGMENT_SAFE: Final = "!$&'()*+,=:@-._~"
_QUERY_SAFE: Final = "!$'()*,/:?@-._~"
# What ends a cookie, or its field (RFC 6265 4.1.1, as lenient as servers are).
_find_no_cookie: Final = re.compile(rb"[\x00-\x20;,\x7f]").search

# The raw name and value of a pair to its new raw value: the same object to leave it alone, None to
# remove it.
Change = Callable[[bytes, bytes], bytes | None]


class Parts(NamedTuple):
    """A target: what precedes the path, path segments without their slashes, query, fragment."""

    before: bytes
    segments: tuple[bytes, ...]  # raw; of ``/a/b`` two, of ``/`` one that is empty
    query: bytes | None
    after: bytes

    def join(self) -> bytes:
        """The target again."""
        path = b"".join(b"/" + one for one in self.segments)
        query = b"" if self.query is None else b"?" + self.query
        return b"".join((self.before, path, query, self.after))


def split(target: bytes) -> Parts | None:
    """The parts of a target that has a path; None for ``*``, an authority, or nothing we know."""
    found = _split(target)
    if found is None:
        return None
    before, path, query, after = found.groups()
    if path is None:
        return None
    return Parts(before or b"", tuple(path[1:].split(b"/")), query, after or b"")


def decoded_segment(raw: bytes) -> bytes:
    """Without percent signs."""
    return unquote_to_bytes(raw) if b"%" in raw else raw


def encoded_segment(value: bytes) -> bytes:
    """As one segment. Raises Unfit for what would be another path: empty, ``.``, ``..``."""
    if value in {b"", b".", b".."}:
        raise Unfit("path segment")
    return quote_from_bytes(value, safe=_SEGMENT_SAFE).encode()


def decoded_value(raw: bytes) -> bytes:
    """Of a query or a form: plus is a space."""
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    return unquote_to_bytes(raw) if b"%" in raw else raw


def encoded_value(value: bytes) -> bytes:
    """For a query or a form."""
    return quote_from_bytes(value, safe=_QUERY_SAFE).encode()


def check_cookie(value: bytes) -> bytes:
    """The value, unless it would be more than one cookie's: raises Unfit."""
    if _find_no_cookie(value):
        raise Unfit("cookie")
    return value


def change_pairs(text: bytes, separator: bytes, change: Change) -> bytes:
    """``name=value`` pairs with some values changed or removed; everything else as it was."""
    kept = []
    changed = False
    for pair in text.split(separator):
        name, equals, value = pair.partition(b"=")
        made = change(name, value) if equals else value
        if made is value:
            kept.append(pair)
            continue
        changed = True
        if made is not None:
            kept.append(name + b"=" + made)
    return separator.join(kept) if changed else text
