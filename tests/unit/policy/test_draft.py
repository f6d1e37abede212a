"""A request being changed: what nobody changes stays as captured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.draft import Draft, Field, Unfit, check_name, check_value

RAW = b"GET /a?b=c HTTP/1.1\r\nHost:  x \r\nX-Odd:\tspaced\t\r\nx-odd:again\r\n\r\n"
MOST = 1 << 16


def draft(raw: bytes = RAW, body: bytes | None = None) -> Draft:
    """Of a head that llhttp takes."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    return Draft(raw, head.target, body)


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: bare\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: folded\r\n  on\r\n\r\n",
        b"GET http://h/p HTTP/1.1\r\nHost: h\r\nEmpty:\r\n\r\n",
    ],
)
def test_untouched(raw: bytes) -> None:
    """Byte for byte, white space and folding included."""
    assert Draft(raw, raw.split(b" ")[1]).head(MOST) == raw


def test_one_value_changes_and_nothing_else() -> None:
    """Its name, its white space and all other lines stay."""
    one = draft()
    one.fields[1].set(b"new")
    assert one.head(MOST) == RAW.replace(b"\tspaced\t", b"\tnew")
    one.set_target(b"/z")
    assert one.head(MOST).startswith(b"GET /z HTTP/1.1\r\nHost:  x \r\n")


def test_a_folded_value() -> None:
    """Is read as one line, and written as one."""
    field = Field(b"X: folded\r\n  on\r\n")
    assert field.value == b"folded on"
    field.set(b"flat")
    assert field.raw == b"X: flat\r\n"


def test_put_leaves_one() -> None:
    """The first of that name is changed, others go; or it is added last."""
    one = draft()
    one.put(b"X-ODD", b"v")
    one.put(b"X-New", b"w")
    assert one.head(MOST) == b"GET /a?b=c HTTP/1.1\r\nHost:  x \r\nX-Odd:\tv\r\nX-New: w\r\n\r\n"
    assert one.value(b"x-odd") == b"v"
    one.drop(b"x-odd")
    assert one.value(b"x-odd") is None


def test_a_changed_body_has_its_length() -> None:
    """Chunks and their trailers are gone with it."""
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
    one = draft(raw, b"old")
    one.set_body(b"old")
    assert not one.body_changed
    assert one.head(MOST) == raw
    one.set_body(b"newer")
    assert one.body == b"newer"
    assert one.head(MOST) == b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize("value", [b"a\r\nX: 1", b"a\n", b"\r", b"\0", b"\x7f", b"a\x0bb"])
def test_nothing_breaks_out_of_a_field(value: bytes) -> None:
    """Line ends, NUL and other controls are refused wherever they would be put."""
    one = draft()
    with pytest.raises(Unfit):
        one.put(b"X-New", value)
    with pytest.raises(Unfit):
        one.fields[0].set(value)
    with pytest.raises(Unfit):
        check_value(value)
    with pytest.raises(Unfit):
        check_name(b"X" + value)
    with pytest.raises(Unfit):
        one.set_target(b"/" + value)
    assert one.head(MOST) == RAW


@pytest.mark.parametrize("target", [b"", b"/a b", b"/\xa0\x7f"])
def test_no_target(target: bytes) -> None:
    """Nothing, or something with a space in it."""
    with pytest.raises(Unfit):
        draft().set_target(target)


def test_too_long() -> None:
    """No head above what is taken from production."""
    with pytest.raises(Unfit, match="too long"):
        draft().head(20)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_whatever_is_put_is_one_field(name: bytes, value: bytes) -> None:
    """llhttp reads exactly what was put, or it was refused."""
    one = draft()
    try:
        one.put(name, value)
    except Unfit:
        return
    head = parse_request(one.head(MOST))
    if isinstance(head, RequestHead):  # not where the name is a framing one and says nonsense
        assert (name, value.strip(b" \t")) in head.headers or name.lower() in {b"host", b"x-odd"}
        assert len(head.headers) <= 4
    else:
        assert name.lower() in {b"content-length", b"transfer-encoding"}
