"""Which session a request belongs to: its connection, a header's value or a cookie's."""

from __future__ import annotations

from shadow_agent.http.head import RequestHead

_VALUE_MAX = 256  # what is kept of a value that names a session


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
            return found[:_VALUE_MAX]
    return None


def _cookie(text: str, name: str) -> str | None:
    # Not http.cookies: it gives up at the first cookie with an odd name, and unquotes in
    # quadratic time what a hostile client sent.
    for part in text.split(";"):
        found, equals, value = part.partition("=")
        if equals and found.strip() == name:
            return value.strip().strip('"')
    return None
