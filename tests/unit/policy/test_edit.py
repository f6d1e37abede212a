"""What rules and namespaces change in a request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.policy.draft import Draft, Unfit
from shadow_agent.policy.edit import apply, recipe
from shadow_agent.policy.edit_body import BodyKind, Uneditable, kind_of
from shadow_agent.policy.rule import Change, Edit, Part, Place

RAW = (
    b"GET /users/7/cart?id=1&x=%31&id=2 HTTP/1.1\r\nHost: a\r\n"
    b'Cookie: a=1; sid="s"; b=2\r\nX-User: 7\r\nx-user: 8\r\n\r\n'
)
JSON = (
    b"POST /users/7/cart HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    b"Content-Length: 1\r\n\r\n"
)
FORM = JSON.replace(b"application/json", b"application/x-www-form-urlencoded")


def edit(part: str, name: str, change: str, value: str = "") -> Edit:
    """One change."""
    return Edit(Place(Part(part), name), Change(change), value)


def edited(
    one: Edit, raw: bytes = RAW, body: bytes | None = None, *,
    template: str | None = "/users/{id}/cart", optional: bool = False,
) -> Draft:  # fmt: skip
    """After that change."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    draft = Draft(raw, head.target, body)
    made = recipe([one], None if optional else template, optional=optional)
    apply(made, draft, kind_of(head), 1 << 16)
    return draft


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (edit("header", "X-User", "prefix", "p-"), b"X-User: 7\r\nx-user: 8",
         b"X-User: p-7\r\nx-user: p-8"),
        (edit("header", "X-USER", "set", "n"), b"X-User: 7\r\nx-user: 8\r\n", b"X-User: n\r\n"),
        (edit("header", "X-User", "remove"), b"X-User: 7\r\nx-user: 8\r\n", b""),
        (edit("header", "X-New", "set", "v"), b"x-user: 8\r\n", b"x-user: 8\r\nX-New: v\r\n"),
        (edit("header", "X-New", "prefix", "v"), b"", b""),
        (edit("cookie", "sid", "prefix", "p"), b'sid="s"', b'sid="ps"'),
        (edit("cookie", "sid", "set", "n"), b'sid="s"', b"sid=n"),
        (edit("cookie", "sid", "remove"), b' sid="s";', b""),
        (edit("cookie", "c", "set", "3"), b"b=2", b"b=2; c=3"),
        (edit("query", "id", "prefix", "p/"), b"id=1&x=%31&id=2", b"id=p/1&x=%31&id=p/2"),
        (edit("query", "id", "set", "9&"), b"id=1&x=%31&id=2", b"id=9%26&x=%31&id=9%26"),
        (edit("query", "id", "remove"), b"id=1&x=%31&id=2", b"x=%31"),
        (edit("query", "new", "set", "v"), b"id=2", b"id=2&new=v"),
        (edit("segment", "id", "prefix", "p "), b"/users/7/", b"/users/p%207/"),
        (edit("segment", "id", "set", "a/b"), b"/users/7/", b"/users/a%2Fb/"),
        (edit("segment", "id", "prefix", "7"), b"", b""),
    ],
)  # fmt: skip
def test_heads(one: Edit, old: bytes, new: bytes) -> None:
    """Exactly that changes."""
    assert edited(one).head(1 << 16) == RAW.replace(old, new, 1)


@pytest.mark.parametrize(
    ("one", "old", "new"),
    [
        (edit("json", "$.id", "prefix", "p"), '{"id": 7.0 , "n":1e2}', '{"id": "p7.0" , "n":1e2}'),
        (edit("json", "$.id", "prefix", "9"), '{"id": 7}', '{"id": 97}'),
        (edit("json", "$.id", "prefix", "p"), '{"id": "p7"}', '{"id": "p7"}'),
        (edit("json", "$.id", "prefix", "p"), '{"id": null}', '{"id": null}'),
        (edit("json", "$.id", "set", "7"), '{"id": 6}', '{"id": 7}'),
        (edit("json", "$.id", "set", "7"), '{"id": "x"}', '{"id": "7"}'),
        (edit("json", "$.id", "set", "false"), '{"id": true}', '{"id": false}'),
        (edit("json", "$.id", "set", '"'), '{"id": [1]}', '{"id": "\\""}'),
        (edit("json", "$.id", "set", "x"), '{"other": 1}', '{"other": 1}'),
        (edit("json", "$.id", "remove"), '{"id": 7, "a": 12345678901234567890}',
         '{"a": 12345678901234567890}'),
        (edit("json", "$.l[*].id", "prefix", "p"), '{"l":[{"id":"1"},{"id":"2"}]}',
         '{"l":[{"id":"p1"},{"id":"p2"}]}'),
    ],
)  # fmt: skip
def test_json(one: Edit, old: str, new: str) -> None:
    """The value at its place; numbers stay numbers where they can."""
    draft = edited(one, JSON, old.encode())
    assert draft.body == new.encode()
    assert draft.body_changed is (old != new)


@pytest.mark.parametrize(
    ("one", "new"),
    [
        (edit("form", "id", "prefix", "p&"), b"a=1&id=p%267&b=+x"),
        (edit("form", "id", "set", "n"), b"a=1&id=n&b=+x"),
        (edit("form", "id", "remove"), b"a=1&b=+x"),
        (edit("form", "none", "set", "n"), b"a=1&id=7&b=+x"),
    ],
)
def test_forms(one: Edit, new: bytes) -> None:
    """The field, everywhere it is given."""
    assert edited(one, FORM, b"a=1&id=7&b=+x").body == new


@pytest.mark.parametrize(
    ("raw", "body", "path"),
    [
        (JSON, b"{", "$.id"),
        (JSON, b'{"id":1,"id":2}', "$.id"),
        (JSON, b'{"id":[1]}', "$.id"),
        (JSON, b'{"id":true}', "$.id"),
        (JSON, b"[" + b"1," * 2000 + b"1]", "$[*]"),
        (FORM, b"id=7", "$.id"),
        (JSON.replace(b"Host", b"Content-Encoding: br\r\nHost"), b"{}", "$.id"),
    ],
)
def test_what_cannot_be_edited(raw: bytes, body: bytes, path: str) -> None:
    """Is not sent without the edit."""
    with pytest.raises(Uneditable):
        edited(edit("json", path, "prefix", "p"), raw, body)


def test_a_path_that_reads_in_two_ways() -> None:
    """The rule matched what servers make of it; where its variable stands is not sure."""
    raw = RAW.replace(b"/users/7/cart", b"/x/../users/7/cart")
    with pytest.raises(Uneditable):
        edited(edit("segment", "id", "prefix", "p"), raw)


def test_namespaces_are_where_they_are() -> None:
    """A request without the place is left alone; one with another kind of body too."""
    one = edit("segment", "/users/{id}/cart", "prefix", "p")
    assert b"/users/p7/cart" in edited(one, optional=True).head(1 << 16)
    other = edit("segment", "/orders/{id}", "prefix", "p")
    assert edited(other, optional=True).head(1 << 16) == RAW
    body = edit("json", "$.id", "prefix", "p")
    assert edited(body, FORM, b"id=7", optional=True).body == b"id=7"
    assert recipe([body], optional=True).wants(BodyKind.JSON)
    assert not recipe([body], optional=True).wants(BodyKind.FORM)
    assert recipe([body]).wants(BodyKind.OTHER)


NAMESPACES = [
    edit("segment", "/users/{id}", "prefix", "p"),
    edit("query", "id", "prefix", "p"),
    edit("cookie", "sid", "prefix", "p"),
    edit("header", "X-User", "prefix", "p"),
]


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        (0, b"/users/5", b"/users/p5"),
        (0, b"/%75sers/5", b"/%75sers/p5"),
        (0, b"/Users/5/", b"/Users/p5/"),  # the same to servers that ignore case, or a slash
        (0, b"/users/5;v=1", b"/users/p5;v=1"),
        (0, b"/x/../users/5", None),
        (0, b"//users/5", None),
        (0, b"/users/5/../6", None),
        (0, b"/users/p5/../6", None),
        (0, b"/y/../orders/5", b"/y/../orders/5"),
        (0, b"/" + b"%25" * 900, None),
        (1, b"/?%69d=1&ID=2&id[]=3&user[id]=4", b"/?%69d=p1&ID=p2&id[]=p3&user[id]=4"),
        (1, b"/?id=1;id=2", None),
        (1, b"/?a=1;id=2", None),
        (1, b"/?id=1;b=2", b"/?id=p1;b=2"),
        (1, b"/?a=1#&id=2", None),
        (2, b"a=1; sid=2; sid=3", b"a=1; sid=p2; sid=p3"),
        (2, b"a=1, sid=2", None),
        (2, b"a=1, b; sid=2", b"a=1, b; sid=p2"),
        (3, b"X-User: 7\r\nX_User: 8", b"X-User: p7\r\nX_User: p8"),
        (3, b"X-User: 7, 8", None),
    ],
)
def test_namespaces_in_doubt(number: int, old: bytes, new: bytes | None) -> None:
    """However a server may read it: with the prefix, or not sent."""
    if number < 2:
        raw = b"GET " + old + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    else:
        raw = b"GET / HTTP/1.1\r\n" + (b"Cookie: " if number == 2 else b"") + old + b"\r\n\r\n"
    if new is None:
        with pytest.raises(Uneditable):
            edited(NAMESPACES[number], raw, optional=True)
    else:
        assert edited(NAMESPACES[number], raw, optional=True).head(1 << 16) == raw.replace(old, new)


@pytest.mark.parametrize(
    ("one", "raw", "body"),
    [
        (edit("form", "id", "prefix", "p"), FORM, b"a=1;id=7"),
        (edit("form", "id", "remove"), FORM, b"a=1;id=7"),
        (edit("json", "$.id", "prefix", "p"), JSON, b'{"id":"p1","id":"2"}'),
        (edit("json", "$.id", "prefix", "p"), JSON, b'{"id":"p1","\\u0069d":"2"}'),
        (edit("json", "$.id", "prefix", "p"),
         JSON.replace(b"Content-Type", b"Content-Type: text/plain\r\nContent-Type"), b"id=1"),
        (edit("query", "id", "set", "9"), RAW.replace(b"x=%31", b"x=1;id=3"), None),
        (edit("query", "id", "remove"), RAW.replace(b"x=%31", b"x=1;id=3"), None),
        (edit("segment", "id", "set", "9"), RAW.replace(b"7/cart", b"7/cart/../../8/cart"), None),
    ],
)  # fmt: skip
def test_values_given_twice(one: Edit, raw: bytes, body: bytes | None) -> None:
    """Where another value may be the one that counts, the edit cannot be done."""
    with pytest.raises(Uneditable):
        edited(one, raw, body, template="/users/{id}/**")


def test_fields_that_servers_take_for_it() -> None:
    """X_User is X-User to gateways: set and removed with it."""
    raw = RAW.replace(b"x-user: 8", b"X_User: 8")
    gone = edited(edit("header", "X-User", "remove"), raw).head(1 << 16)
    assert gone == RAW.replace(b"X-User: 7\r\nx-user: 8\r\n", b"")
    put = edited(edit("header", "X-User", "set", "9"), raw).head(1 << 16)
    assert put == RAW.replace(b"X-User: 7\r\nx-user: 8\r\n", b"X-User: 9\r\n")


@pytest.mark.parametrize(
    ("one", "template"),
    [
        (edit("header", "Content-Length", "set", "1"), None),
        (edit("header", "X", "set", "a\r\nY: b"), None),
        (edit("header", "X Y", "set", "a"), None),
        (edit("cookie", "a", "set", "1; b=2"), None),
        (edit("json", "$[", "set", "1"), None),
        (edit("json", "$[*]", "remove"), None),
        (edit("segment", "id", "prefix", "p"), None),
        (edit("segment", "id", "prefix", "p"), "/orders/{number}"),
        (edit("query", "id", "prefix"), None),
    ],
)
def test_no_edit(one: Edit, template: str | None) -> None:
    """What would break requests is no edit: one line with the fix."""
    with pytest.raises(ValueError, match=r".+") as caught:
        recipe([one], template)
    assert "\n" not in str(caught.value)


def test_an_empty_segment() -> None:
    """Would be another path."""
    with pytest.raises(Unfit):
        edited(edit("segment", "id", "set", ".."))


@given(
    st.sampled_from([Part.HEADER, Part.COOKIE, Part.QUERY]),
    st.text("ab", min_size=1, max_size=2),
    st.sampled_from(Change),
    st.text(max_size=6),
)
def test_an_edited_head_is_one_request(part: Part, name: str, change: Change, value: str) -> None:
    """Whatever the edit: llhttp reads one head, and fields of other names are as they were."""
    one = Edit(Place(part, name), change, value)
    try:
        head = parse_request(edited(one).head(1 << 16))
    except (ValueError, Unfit):
        return
    assert isinstance(head, RequestHead)
    before = parse_request(RAW)
    assert isinstance(before, RequestHead)
    mine = {Part.HEADER: name.encode(), Part.COOKIE: b"Cookie", Part.QUERY: b""}[part]
    assert [pair for pair in head.headers if pair[0] != mine] == [
        pair for pair in before.headers if pair[0] != mine
    ]


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(), max_size=4),
    st.text(min_size=1, max_size=4),
)
def test_an_edited_document_is_one(document: dict[str, Any], prefix: str) -> None:
    """Only the value at the place changes, in whatever document."""
    document["id"] = "x"
    one = edit("json", "$.id", "prefix", prefix)
    try:
        body = edited(one, JSON, json.dumps(document).encode()).body
    except (ValueError, Uneditable):
        return
    assert body is not None
    expected = "x" if "x".startswith(prefix) else prefix + "x"
    assert json.loads(body) == {**document, "id": expected}
