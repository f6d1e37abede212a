"""What answers hand out, and which of it differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.http.head import ResponseHead, parse_response
from shadow_agent.policy.alias import Pair, Where
from shadow_agent.policy.alias_learn import MAX_HANDED, NOTHING, AliasRule, Handed, Teacher
from shadow_agent.policy.rule import Part, Place


def head(*fields: str, status: int = 200) -> ResponseHead:
    """Of an answer."""
    lines = "".join(f"{field}\r\n" for field in fields)
    made = parse_response(f"HTTP/1.1 {status} X\r\n{lines}Content-Length: 0\r\n\r\n".encode())
    assert isinstance(made, ResponseHead)
    return made


def rule(source: str, *to: str) -> AliasRule:
    """A declared place."""
    places = [Place(Part(one.partition(":")[0]), one.partition(":")[2]) for one in (source, *to)]
    return AliasRule(source=places[0], to=tuple(places[1:]))


def learned(teacher: Teacher, ours: Handed, theirs: Handed) -> list[tuple[Where, bytes, bytes]]:
    """As plain tuples."""
    return [tuple(pair) for pair in teacher.pairs(ours, theirs)]  # type: ignore[misc]


AUTOMATIC = Teacher((), automatic=True)


def test_most_answers_hand_out_nothing() -> None:
    """And cost one look."""
    assert AUTOMATIC.handed(head("X-Location: /a"), b"{}") is NOTHING
    assert Teacher((), automatic=False).handed(head("Set-Cookie: a=1"), None) is NOTHING


def test_cookies() -> None:
    """By name: at that cookie whatever its length, elsewhere too."""
    ours = AUTOMATIC.handed(
        head("Set-Cookie: sid=aaaa; Path=/", "set-cookie: x=1", "Set-Cookie: y="), None
    )
    theirs = AUTOMATIC.handed(head("Set-Cookie: x=2", 'Set-Cookie: sid="bbbb"'), None)
    assert learned(AUTOMATIC, ours, theirs) == [
        ((Part.COOKIE, b"sid"), b"aaaa", b"bbbb"),
        (None, b"aaaa", b"bbbb"),
        ((Part.COOKIE, b"x"), b"1", b"2"),
    ]
    assert list(AUTOMATIC.expected(ours))[:2] == [((Part.COOKIE, b"sid"), b"aaaa"), (None, b"aaaa")]


def test_cookies_with_percent_signs() -> None:
    """Scripts pass them on without."""
    ours: Handed = {("cookie", b"c"): b"a%3Da%3D"}
    theirs: Handed = {("cookie", b"c"): b"b%3Db%3D"}
    assert (None, b"a=a=", b"b=b=") in learned(AUTOMATIC, ours, theirs)


@pytest.mark.parametrize(
    ("ours", "theirs", "pairs"),
    [
        ("/orders/17", "/orders/18", [((Part.SEGMENT, b"orders"), b"17", b"18")]),
        ("http://a/o/x1?t=1", "http://b/o/x2?t=2", [
            ((Part.SEGMENT, b"o"), b"x1", b"x2"), (None, b"x1", b"x2"),
            ((Part.QUERY, b"t"), b"1", b"2"),
        ]),
        ("/o/12345678", "/o/2", [
            ((Part.SEGMENT, b"o"), b"12345678", b"2"), (None, b"12345678", b"2"),
        ]),
        ("/o/17", "/o/17", []),
        ("/o/17", "/login", []),
        ("/home", "/login", []),
        ("/o/17", "/o/17/lines", []),
        ("next", "other", []),
    ],
)  # fmt: skip
def test_locations(ours: str, theirs: str, pairs: list[Any]) -> None:
    """Ids in which two of the same shape differ; another page teaches nothing."""
    mine = AUTOMATIC.handed(head(f"Location: {ours}", status=302), None)
    other = AUTOMATIC.handed(head(f"Location: {theirs}", status=302), None)
    assert learned(AUTOMATIC, mine, other) == pairs


def test_declared_places() -> None:
    """Headers, cookies and JSON, each to where it was declared."""
    teacher = Teacher(
        [
            rule("header:X-CSRF", "header:X-CSRF-Token", "form:csrf"),
            rule("cookie:sid"),
            rule("json:$.items[*].id", "segment:/items/{id}"),
        ],
        automatic=False,
    )
    kind = "Content-Type: application/json"

    def answer(csrf: str, sid: str, *ids: object) -> Handed:
        body = json.dumps({"items": [{"id": one} for one in ids]}).encode()
        return teacher.handed(head(kind, f"x-csrf: {csrf}", f"Set-Cookie: sid={sid}"), body)

    ours, theirs = answer("c1", "s1", 1, "a", None), answer("c2", "s2", 2, "b", True)
    assert learned(teacher, ours, theirs) == [
        ((Part.HEADER, b"x-csrf-token"), b"c1", b"c2"),
        ((Part.FORM, b"csrf"), b"c1", b"c2"),
        (None, b"s1", b"s2"),
        ((Part.SEGMENT, b"/items/{id}"), b"1", b"2"),
        ((Part.SEGMENT, b"/items/{id}"), b"a", b"b"),
    ]
    assert teacher.reads_bodies
    assert teacher.handed(head(kind), b"{") == {}
    assert teacher.handed(head(), b'{"items":[{"id":1}]}') == {}


def test_one_answer_has_bounds() -> None:
    """However much it hands out."""
    cookies = [f"Set-Cookie: c{number}=v" for number in range(MAX_HANDED + 9)]
    assert len(AUTOMATIC.handed(head(*cookies), None)) == MAX_HANDED
    teacher = Teacher([rule("json:$[*]")], automatic=True)
    body = json.dumps(list(range(MAX_HANDED + 9))).encode()
    assert len(teacher.handed(head("Content-Type: application/json"), body)) == MAX_HANDED


@pytest.mark.parametrize("source", ["query:a", "form:a", "json:$[", "header:a b", "cookie:a;b"])
def test_no_source(source: str) -> None:
    """What no answer has, or nobody can parse."""
    with pytest.raises(ValueError, match=r".+"):
        rule(source)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_nothing_raises(ours: bytes, theirs: bytes) -> None:
    """Answers are hostile."""
    teacher = Teacher([rule("json:$..id")], automatic=True)
    handed = []
    for one in (ours, theirs):
        made = ResponseHead(b"HTTP/1.1 200 OK\r\nSet-Cookie: json\r\n\r\n", 200, 0)
        made.headers.extend([(b"Set-Cookie", one), (b"Location", b"/a/" + one)])
        handed.append(teacher.handed(made, one))
    for pair in teacher.pairs(*handed):
        assert isinstance(pair, Pair)


def test_what_a_location_may_teach_is_expected() -> None:
    """Everything in it that looks like an id: which of it differs is not known yet."""
    ours = AUTOMATIC.handed(head("Location: /orders/17/lines/abc12?t=x1", status=303), None)
    assert list(AUTOMATIC.expected(ours)) == [
        ((Part.SEGMENT, b"orders"), b"17"),
        ((Part.SEGMENT, b"lines"), b"abc12"),
        (None, b"abc12"),
        ((Part.QUERY, b"t"), b"x1"),
        (None, b"x1"),
    ]
    assert list(AUTOMATIC.expected({("location", None): b"*"})) == []
