"""Which session a request belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.session import cookie_set, session_of


def head(*fields: bytes) -> RequestHead:
    """A head with these fields."""
    lines = b"".join(field + b"\r\n" for field in fields)
    made = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert isinstance(made, RequestHead)
    return made


def test_by_connection() -> None:
    """The connection is named elsewhere."""
    assert session_of(head(b"Cookie: sid=1"), "connection", "") is None


def test_by_header() -> None:
    """Its name in any case, its first value; long ones that begin alike are told apart."""
    request = head(b"x-user: ann", b"X-User: bob")
    assert session_of(request, "header", "X-User") == "ann"
    assert session_of(request, "header", "X-Other") is None
    long = [
        session_of(head(b"X-User: " + b"a" * 300 + end), "header", "x-user") for end in (b"1", b"2")
    ]
    assert long[0] != long[1]
    assert {len(one or "") for one in long} == {64}


@pytest.mark.parametrize(
    ("field", "session"),
    [
        (b"Cookie: sid=abc", "abc"),
        (b"cookie: a=1; sid=abc; b=2", "abc"),
        (b'Cookie: sid="a b"', "a b"),
        (b"Cookie: sid=", ""),
        (b"Cookie: sid=a=b", "a=b"),
        (b"Cookie: xsid=1; sid =abc", "abc"),
        (b"Cookie: odd[name]=1; sid=abc", "abc"),
        (b"Cookie: \xe9=\xff; sid=\xe9", "\xe9"),
        (b"Cookie: sid=first; sid=second", "first"),
        (b"Cookie: xsid=1", None),
        (b"Cookie: sid", None),
        (b"Cookie: SID=1", None),
        (b"Cookie:", None),
    ],
)
def test_by_cookie(field: bytes, session: str | None) -> None:
    """As servers read it: an odd cookie beside it does not hide it."""
    assert session_of(head(field), "cookie", "sid") == session


def test_cookies_in_several_fields() -> None:
    """HTTP/2 front ends split them."""
    assert session_of(head(b"Cookie: a=1", b"Cookie: sid=2"), "cookie", "sid") == "2"


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        (b"Set-Cookie: a=1\r\nset-cookie: sid=new; Path=/\r\n", "new"),
        (b"Set-Cookie: a=sid=new\r\n", None),
        (b"Set-Cookie: a=1; sid=new\r\n", None),
        (b"", None),
    ],
)
def test_an_answer_begins_a_session(fields: bytes, session: str | None) -> None:
    """By setting the cookie that names it."""
    made = parse_response(b"HTTP/1.1 200 OK\r\n" + fields + b"Content-Length: 0\r\n\r\n")
    assert isinstance(made, ResponseHead)
    assert cookie_set(made, "sid") == session


@given(st.binary(max_size=200))
def test_no_cookie_raises(value: bytes) -> None:
    """They come from hostile clients."""
    request = head()
    request.headers.append((b"Cookie", value))
    found = session_of(request, "cookie", "sid")
    assert found is None or len(found) <= 256
