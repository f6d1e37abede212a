"""Which session a request belongs to: its connection, a header's value or a cookie's."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie

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
        if kind == "header":
            return text[:_VALUE_MAX]
        try:
            morsel = SimpleCookie(text).get(name)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value[:_VALUE_MAX]
    return None
