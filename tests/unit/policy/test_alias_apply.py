"""Requests with the shadow's values in place of production's."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.alias import Aliases, AliasLimits, Pair, SessionAliases, Where
from shadow_agent.policy.alias_apply import Pending, Substitution
from shadow_agent.policy.draft import Draft, Unfit
from shadow_agent.policy.edit_body import Uneditable, kind_of
from shadow_agent.policy.rule import Part, Place

TOKEN, OTHER = b"t0ken=1", b"0ther&2"
ANYWHERE = Substitution([])


def session(*pairs: tuple[Where, bytes, bytes]) -> SessionAliases:
    """That knows these."""
    aliases = Aliases(AliasLimits())
    for where, ours, theirs in pairs:
        aliases.learn("s", Pair(where, ours, theirs), 0)
    found = aliases.of("s", 0)
    assert found is not None
    return found


def substituted(
    raw: bytes, known: SessionAliases, body: bytes | None = None, by: Substitution = ANYWHERE
) -> tuple[Draft, int]:
    """The request, and how many values were put in."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    draft = Draft(raw, head.target, body)
    return draft, by.run(draft, known, kind_of(head), 1 << 16, 2)


def test_anywhere() -> None:
    """Whole values in path, query, cookies and headers; parts of values never."""
    known = session((None, TOKEN, OTHER))
    raw = (
        b"GET /a/t0ken=1/xt0ken=1?q=t0ken%3D1&r=t0ken%3D12 HTTP/1.1\r\nHost: t0ken=1\r\n"
        b"Cookie: a=x; b=t0ken=1x; c=x\r\nX-CSRF: t0ken=1\r\nX-Other: t0ken=1 x\r\n"
        b"Authorization: Bearer t0ken=1\r\n\r\n"
    )
    draft, count = substituted(raw, known)
    assert draft.head(1 << 16) == (
        b"GET /a/0ther&2/xt0ken=1?q=0ther%262&r=t0ken%3D12 HTTP/1.1\r\nHost: t0ken=1\r\n"
        b"Cookie: a=x; b=t0ken=1x; c=x\r\nX-CSRF: 0ther&2\r\nX-Other: t0ken=1 x\r\n"
        b"Authorization: Bearer 0ther&2\r\n\r\n"
    )
    assert count == 4


def test_cookies() -> None:
    """By name whatever their length, quotes kept."""
    known = session(((Part.COOKIE, b"sid"), b"1", b"2"))
    raw = b'GET /1 HTTP/1.1\r\nHost: a\r\nCookie: sid="1"; x=1;sid=1\r\n\r\n'
    draft, _ = substituted(raw, known)
    assert draft.head(1 << 16) == raw.replace(b'"1"', b'"2"').replace(b";sid=1", b";sid=2")


def test_declared_segments() -> None:
    """1 is an order's number only where orders are."""
    by = Substitution([Place(Part.SEGMENT, "/orders/{id}/**")])
    known = session(((Part.SEGMENT, b"/orders/{id}/**"), b"1", b"11"))
    draft, _ = substituted(b"GET /orders/1/lines/1 HTTP/1.1\r\nHost: a\r\n\r\n", known, by=by)
    assert draft.target == b"/orders/11/lines/1"
    draft, count = substituted(b"GET /users/1/1 HTTP/1.1\r\nHost: a\r\n\r\n", known, by=by)
    assert (draft.target, count) == (b"/users/1/1", 0)
    with pytest.raises(ValueError, match="must have one"):
        Substitution([Place(Part.SEGMENT, "/orders")])


def test_segments_behind_a_location_s() -> None:
    """What a Location taught holds behind the same segment."""
    known = session(((Part.SEGMENT, b"orders"), b"1", b"7"))
    draft, _ = substituted(b"GET /v2/orders/1?n=1 HTTP/1.1\r\nHost: a\r\n\r\n", known)
    assert draft.target == b"/v2/orders/7?n=1"


POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 1\r\n\r\n"
AS_JSON, AS_FORM = POST % b"application/json", POST % b"application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "made"),
    [
        (b'{"csrf": "t0ken=1", "n": 1.0}', b'{"csrf": "0ther&2", "n": 1.0}'),
        (b'{"csrf": "\\u00740ken=1"}', b'{"csrf": "0ther&2"}'),
        (b'{"csrf": "t0ken=12"}', b'{"csrf": "t0ken=12"}'),
        (b'{"t0ken=1": 1}', b'{"t0ken=1": 1}'),
        (b'{"a":1,"a":2}', b'{"a":1,"a":2}'),
    ],
)
def test_json(body: bytes, made: bytes) -> None:
    """Strings, however they are written; everything else as it was."""
    draft, _ = substituted(AS_JSON, session((None, TOKEN, OTHER)), body)
    assert draft.body == made
    assert draft.body_changed is (body != made)


def test_numbers_at_declared_places() -> None:
    """A number stays one where the shadow's value is one."""
    by = Substitution([Place(Part.JSON, "$.id")])
    known = session(((Part.JSON, b"$.id"), b"11", b"12"), ((Part.JSON, b"$.id"), b"13", b"x"))
    assert substituted(AS_JSON, known, b'{"id":11,"n":11}', by)[0].body == b'{"id":12,"n":11}'
    assert substituted(AS_JSON, known, b'{"id":13}', by)[0].body == b'{"id":"x"}'


def test_forms() -> None:
    """Coded as forms are; also when they come packed."""
    known = session((None, TOKEN, OTHER))
    form = b"a=1&csrf=t0ken%3D1&b=+"
    made = b"a=1&csrf=0ther%262&b=+"
    assert substituted(AS_FORM, known, form)[0].body == made
    packed = AS_FORM.replace(b"Host", b"Content-Encoding: gzip\r\nHost")
    body = substituted(packed, known, gzip.compress(form))[0].body
    assert body is not None
    assert gzip.decompress(body) == made


def test_what_cannot_be_done() -> None:
    """A cookie that would be two, a value that is to come, one that cannot be sent, no JSON."""
    raw = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: c=aaaa\r\n\r\n"
    with pytest.raises(Unfit):
        substituted(raw, session((None, b"aaaa", b"b; d=1")))
    with pytest.raises(Unfit):
        substituted(raw, session((None, b"aaaa", b"b\r\nX: 1")))
    aliases = Aliases(AliasLimits())
    aliases.expect("s", None, b"aaaa", 1, 0)
    pending = aliases.of("s", 0)
    assert pending is not None
    with pytest.raises(Pending):
        substituted(raw, pending)
    with pytest.raises(Uneditable):
        substituted(AS_JSON, session((None, TOKEN, OTHER)), b'{"a": "t0ken=1"')


@given(st.binary(max_size=12), st.binary(max_size=12))
def test_one_request_comes_out(ours: bytes, theirs: bytes) -> None:
    """Whatever was learned: llhttp reads one request with the same fields, or it was refused."""
    aliases = Aliases(AliasLimits())
    for where in (None, (Part.COOKIE, b"c"), (Part.HEADER, b"x"), (Part.SEGMENT, b"o")):
        aliases.learn("s", Pair(where, ours, theirs), 0)
    known = aliases.of("s", 0)
    if known is None:
        return
    draft = Draft(
        b"GET /o/ID?q=ID HTTP/1.1\r\nHost: a\r\nCookie: c=ID; d=2\r\nX: ID\r\n\r\n", b"/o/ID?q=ID"
    )
    ours = (
        ours
        if ours and not any(byte < 0x21 or byte in b'"%&+;/?#=\x7f' for byte in ours)
        else b"v1"
    )
    draft.set_target(draft.target.replace(b"ID", ours))
    for field in draft.fields:
        field.set(field.value.replace(b"ID", ours))
    try:
        ANYWHERE.run(draft, known, kind_of(_parsed(draft)), 1 << 16, 2)
    except Unfit:
        return
    after = _parsed(draft)
    assert [name for name, _ in after.headers] == [b"Host", b"Cookie", b"X"]
    assert after.headers[1][1].count(b";") == 1
    assert after.target.count(b"/") == 2
    path, _, query = after.target.partition(b"?")
    assert path.startswith(b"/o/")
    assert query.startswith(b"q=")
    assert not set(query[2:]) & set(b"&=#")


def _parsed(draft: Draft) -> RequestHead:
    head = parse_request(draft.head(1 << 16))
    assert isinstance(head, RequestHead)
    return head
