"""JSON changed value by value, with every other byte as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.edit_json import (
    MAX_DEPTH,
    Kind,
    NotPlain,
    Value,
    decode,
    load,
    quoted,
    remove,
    replace,
    scan,
)

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TEXT = ' { "a" : 1.0,"big":12345678901234567890 , "s":"\\u0061b", "l":[ true,null , {"x":-0e1} ]}\n'


def walk(document: Any, location: tuple[str | int, ...] = ()) -> dict[Any, Any]:
    """Every value by its place."""
    found = {location: document}
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in inner:
        found.update(walk(value, (*location, key)))
    return found


@given(DOCUMENTS, st.sampled_from([None, 1, "\t"]))
def test_scan_sees_what_a_parser_sees(document: Any, indent: Any) -> None:
    """Each value is where it is said to be."""
    text = json.dumps(document, indent=indent)
    expected = walk(document)
    values = scan(text)
    assert {value.location for value in values} == set(expected)
    for value in values:
        assert json.loads(text[value.start : value.end]) == expected[value.location]
        if value.kind is Kind.STRING:
            assert value.text == expected[value.location]


@given(st.text(max_size=60))
def test_scan_takes_only_json(text: str) -> None:
    """What it reads is JSON; what it does not read raises."""
    try:
        scan(text)
    except NotPlain:
        return
    json.loads(text)


def test_numbers_and_spacing_stay() -> None:
    """One string changes; 1.0, large numbers, order and white space do not."""

    def change(value: Value) -> str | None:
        return quoted("new") if value.location == ("s",) else None

    assert replace(TEXT, scan(TEXT), change) == TEXT.replace('"\\u0061b"', '"new"')
    assert replace(TEXT, scan(TEXT), lambda _: None) is TEXT


@pytest.mark.parametrize(
    ("text", "location", "left"),
    [
        ('{"a":1,"b":2}', ("a",), '{"b":2}'),
        ('{"a":1, "b":2}', ("b",), '{"a":1}'),
        ('{ "a" : 1 }', ("a",), "{ }"),
        ("[1, 2 ,3]", (1,), "[1, 3]"),
        ("[1,2]", (1,), "[1]"),
        ("[1]", (0,), "[]"),
    ],
)
def test_remove(text: str, location: tuple[str | int, ...], left: str) -> None:
    """With the comma beside it."""
    (value,) = (one for one in scan(text) if one.location == location)
    made = remove(text, value)
    assert json.loads(made) == json.loads(left)
    assert made.replace(" ", "") == left.replace(" ", "")


def test_as_deep_as_is_read() -> None:
    """Whatever is inside each other; one more is not plain, see below."""
    assert len(scan("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == MAX_DEPTH
    assert len(scan('{"a":' * (MAX_DEPTH - 1) + "[]" + "}" * (MAX_DEPTH - 1))) == MAX_DEPTH


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        "[NaN]",
        "01",
        "[1,]",
        "{1:2}",
        "'a'",
        '"\n"',
        '{"a":1} x',
        "",
        "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
        '{"a" 1}',
        '{"a":1 "b":2}',
        "[1 2]",
    ],
)
def test_not_plain(text: str) -> None:
    """Nor what servers read in different ways."""
    with pytest.raises(NotPlain):
        scan(text)


def test_edges() -> None:
    """Other encodings, numbers beyond all measure, a document that would be removed."""
    with pytest.raises(NotPlain):
        decode(b"\xff")
    with pytest.raises(NotPlain):
        load("1" * 5000)
    with pytest.raises(NotPlain):
        remove("1", scan("1")[0])
