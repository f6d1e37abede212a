"""Which session a request belongs to: its connection, a header's value or a cookie's."""

from __future__ import annotations

from hashlib import sha256

from shadow_agent.http.head import RequestHead, ResponseHead

_VALUE_MAX = 256  # a longer value that names a session is known by its hash


def session_of(head: RequestHead, kind: str, name: str) -> str | None:
    """The session's name, or None for "by connection" and where the request does not say.

    ``kind`` is "connection", "header" or "cookie".
    """
    if kind == "connection":
        return None
    wanted = name.lower().encode("latin-1", "replace") if kind == "header" else b"cookie"
    for field, value in head.headers:
        if field.lower() != wanted:
            continue
        text = value.decode("latin-1")
        found = text if kind == "header" else _cookie(text, name)
        if found is not None:
            return _short(found)
    return None


def cookie_set(head: ResponseHead, name: str) -> str | None:
    """The session that an answer begins by setting the cookie that names it, or None."""
    if b"\nset-cookie:" not in head.raw.lower():
        return None
    for field, value in head.headers:
        if field.lower() == b"set-cookie":
            found = _cookie(value.partition(b";")[0].decode("latin-1"), name)
            if found is not None:
                return _short(found)
    return None


def _short(value: str) -> str:
    # not cut: tokens of different users may begin alike
    return value if len(value) <= _VALUE_MAX else sha256(value.encode("latin-1")).hexdigest()


def _cookie(text: str, name: str) -> str | None:
    # Not http.cookies: it gives up at the first cookie with an odd name, and unquotes in
    # quadratic time what a hostile client sent.
    for part in text.split(";"):
        found, equals, value = part.partition("=")
        if equals and found.strip() == name:
            return value.strip().strip('"')
    return None
