"""Groups of clients."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import orjson
import pytest

from shadow_agent.segments.cohort import Cohorts, Source, claim
from tests.unit.segments.asked import asked


def token(payload: object) -> str:
    """A token with that payload and no signature worth the name."""
    parts = (orjson.dumps({"alg": "none"}), orjson.dumps(payload), b"signature")
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def cohort(source: str, *fields: str, body: bytes | None = None) -> str:
    """Of one request."""
    return Cohorts(Source.parse(source)).find(asked("/", *fields, body=body))


@pytest.mark.parametrize(
    ("source", "fields", "name"),
    [
        ("header:X-Plan", ["X-Plan: gold"], "gold"),
        ("header:X-Plan", ["x-plan:gold "], "gold"),
        ("header:X-Plan", [], "none"),
        ("header:X-Plan", ["X-Plan:"], "none"),
        ("header:X-Plan", ["X-Planet: mars"], "none"),
        ("header:X-Plan", ["X-Plan: none"], "%6Eone"),
        ("header:X-Plan", ["X-Plan: other"], "%6Fther"),
        ("header:X-Plan", ["X-Plan: <b>\t\xe9"], "%3Cb%3E%09%E9"),
        ("header:X-Plan", ["X-Plan: " + "a" * 100], "a" * 64),
        ("cookie:plan", ['Cookie: a=b; plan="gold"; c'], "gold"),
        ("cookie:plan", ["Cookie: plant=rose"], "none"),
        ("jwt:plan", [f"Authorization: Bearer {token({'plan': 'gold'})}"], "gold"),
        ("jwt:plan", [f"authorization: bearer {token({'plan': 7})}"], "7"),
        ("jwt:plan", [f"Authorization: Bearer {token({'plan': True})}"], "true"),
        ("jwt:plan", [f"Authorization: Bearer {token({'plan': ['a']})}"], "none"),
        ("jwt:plan", [f"Authorization: Basic {token({'plan': 'gold'})}"], "none"),
    ],
)
def test_sources(source: str, fields: list[str], name: str) -> None:
    """What a request says, short and plain."""
    assert cohort(source, *fields) == name


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"account": {"plan": "gold"}}', "gold"),
        (b'{"account": {"plan": {"a": 1}}}', "none"),
        (b'{"account": 1}', "none"),
        (b"{", "none"),
        (b"", "none"),
        (None, "none"),
        (b'{"account": {"plan": "gold"}}' + b" " * (64 << 10), "none"),
        (b"[" * 5000, "none"),
    ],
)
def test_a_field_of_the_body(body: bytes | None, name: str) -> None:
    """By JSONPath, in a body that is not too large."""
    assert cohort("body:$.account.plan", body=body) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "a.b", "a.b.c", "a.!!!!.c", "a." + "A" * 9000 + ".c", "....", "a.e30.c.d"),
        "a." + urlsafe_b64encode(b"[" * 3000).decode() + ".c",
        "a." + urlsafe_b64encode(b'"text"').decode() + ".c",
        "a." + urlsafe_b64encode(b'{"plan": 1').decode() + ".c",
        "a." + urlsafe_b64encode(b'{"plan": "\\ud800"}').decode() + ".c",
        "a.\xff\xfe.c",
    ],
)
def test_hostile_tokens_say_nothing(text: str) -> None:
    """Whatever it holds: no claim, and no exception."""
    assert claim(text.encode("latin-1"), "plan") is None


def test_too_many_are_other_and_counted() -> None:
    """First come, first kept."""
    cohorts = Cohorts(Source.parse("header:X-Plan"), most=3)
    names = [cohorts.find(asked("/", f"X-Plan: p{number}")) for number in range(10)]
    assert names == ["p0", "p1", "p2", *["other"] * 7]
    assert cohorts.find(asked("/", "X-Plan: p9")) == "other"
    assert cohorts.find(asked("/", "X-Plan: p1")) == "p1"
    assert cohorts.overflowed == 8


@pytest.mark.parametrize(
    "text", ["", "plan", "header:", "header:a b", "cookie:a;b", "body:plan[", "query:a", "jwt:"]
)
def test_what_is_no_source(text: str) -> None:
    """It says what to write."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        Source.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["header:X-Plan", "cookie:plan", "jwt:https://a/b", "body:$.a"])
def test_a_source_reads_as_it_was_written(text: str) -> None:
    """For the file that ``config check`` prints."""
    assert str(Source.parse(text)) == text
