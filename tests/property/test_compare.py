"""Two answers compared: symmetric, silent on what is the same, bounded, and never an exception."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_agent.compare.body import Answer
from shadow_agent.compare.difference import MAX_NAMES, Kind, Result
from shadow_agent.compare.options import Options
from shadow_agent.compare.pair import AnswerComparer
from shadow_agent.compare.selectors import Action, Tolerance
from shadow_agent.policy.jsonpath import Path

TYPES = [
    *(b"", b"application/json", b"text/html", b"text/plain", b"text/xml", b"a/b+json", b"x"),
    *(b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=b", b"image/png"),
]
CODINGS = {
    b"gzip": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotli.compress,
    b"zstd": zstandard.compress,
    b"identity": bytes,
    b"odd": bytes,
}
PIECES = [
    *(b'{"a":', b"}", b"[", b"]", b"1", b"1.0", b",", b'"x"', b"NaN", b'"a":1', b"true", b"null"),
    *(b"<p>", b"</p>", b"<!--", b"-->", b"<a b='c'", b"\n", b"&", b"=", b"%20", b"--b", b"\r\n"),
    *(b"\r\n\r\n", b'; name="n"', b"\0", b"\xff", b"2026-01-01T00:00:00Z", b"12345678901234567890"),
]
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5, "1", "x"])
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
RULES = (
    Tolerance(Action.IGNORE, json=Path("$.a")),
    Tolerance(Action.SET, json=Path("$..b")),
    Tolerance(Action.SORT, key="a", json=Path("$.c")),
    Tolerance(Action.ABSOLUTE, 1, json=Path("$[?@.a]")),
    Tolerance(Action.ROUND, 0, name="n"),
)
SWAPPED = {Kind.MISSING: Kind.ADDED, Kind.ADDED: Kind.MISSING}


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Any bytes under any type, packed or said to be."""
    body = draw(BODIES | DOCUMENTS.map(lambda value: json.dumps(value).encode()))
    headers = [(b"Content-Type", draw(st.sampled_from(TYPES)))]
    coding = draw(st.none() | st.sampled_from(sorted(CODINGS)))
    if coding is not None:
        headers.append((b"Content-Encoding", coding))
        if draw(st.booleans()):
            body = CODINGS[coding](body)
    status = draw(st.sampled_from([200, 404]))
    return Answer(status, headers, body, len(body))


def named(result: Result) -> list[tuple[object, ...]]:
    """The differences without their examples."""
    return sorted(
        (one.part, one.path, one.kind, one.production, one.shadow, one.suppressed, one.places)
        for one in result.differences
    )


def mirrored(result: Result) -> list[tuple[object, ...]]:
    """As seen from the other side."""
    return sorted(
        (
            one.part,
            one.path,
            SWAPPED.get(one.kind, one.kind),
            one.shadow,
            one.production,
            one.suppressed,
            one.places,
        )
        for one in result.differences
    )


@pytest.mark.parametrize("rules", [(), RULES], ids=["plain", "rules"])
@settings(max_examples=400)
@given(answers(), answers())
def test_any_two_answers(rules: tuple[Tolerance, ...], one: Answer, other: Answer) -> None:
    """Never an exception; the sides can be exchanged; an answer equals itself; all is bounded."""
    comparer = AnswerComparer(Options(rules=rules))
    result = comparer.compare(one, other)
    back = comparer.compare(other, one)
    assert result.equal is back.equal
    if rules == ():  # an order that a rule made names one of the two by turns
        assert named(result) == mirrored(back)
    assert comparer.compare(one, one).equal
    assert len(result.differences) <= MAX_NAMES
    for found in result.differences:
        assert max(map(len, (found.path, found.at, found.production, found.shadow))) <= 160
        assert (found.path + found.at + found.production + found.shadow).isprintable()


def typed(value: Any) -> Any:
    """The same for the same JSON: what Python takes for equal is told apart."""
    if isinstance(value, dict):
        return {name: typed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    return (type(value).__name__, value)


@given(DOCUMENTS, DOCUMENTS, st.sampled_from([None, 2]))
def test_json_is_equal_if_and_only_if_it_says_the_same(
    one: Any, other: Any, indent: int | None
) -> None:
    """By type and structure, whatever the spelling."""
    comparer = AnswerComparer(Options(volatile=False))
    head = [(b"Content-Type", b"application/json")]
    ours = Answer(200, head, json.dumps(one).encode())
    theirs = Answer(200, head, json.dumps(other, indent=indent).encode())
    assert comparer.compare(ours, theirs).equal is (typed(one) == typed(other))
