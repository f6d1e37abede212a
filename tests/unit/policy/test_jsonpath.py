"""JSONPath: what is refused, what is found, and that it stays linear."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.jsonpath import MAX_DEPTH, Path, Place, Step, replace

DOCUMENT = {
    "user": {"email": "a@b.example", "id": 7},
    "items": [{"id": 1, "tags": ["x"]}, {"id": 2}, "odd"],
    "odd.name": None,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$", [((), DOCUMENT)]),
        ("$.user.email", [(("user", "email"), "a@b.example")]),
        ("$['odd.name']", [(("odd.name",), None)]),
        ("$.items[0].id", [(("items", 0, "id"), 1)]),
        ("$.items[-1]", [(("items", 2), "odd")]),
        ("$.items[9]", []),
        ("$.items.id", []),
        ("$.user[0]", []),
        ("$.items[*].id", [(("items", 0, "id"), 1), (("items", 1, "id"), 2)]),
        ("$..id", [(("user", "id"), 7), (("items", 0, "id"), 1), (("items", 1, "id"), 2)]),
        ("$.items[?@.id > 1].id", [(("items", 1, "id"), 2)]),
        ("$.items[?!@.tags && length(@.id) != 1].id", [(("items", 1, "id"), 2)]),
        ("$.items[1:].id", [(("items", 1, "id"), 2)]),
        ("$.user['id', 'email']", [(("user", "id"), 7), (("user", "email"), "a@b.example")]),
    ],
)
def test_find(text: str, found: list[Any]) -> None:
    """Locations and values, in order."""
    assert Path(text).find(DOCUMENT) == ([Place(*one) for one in found], True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSONPath"),
        ("user.email", "not a JSONPath"),
        ("$.user[", "column"),
        ("$.a\n.b[", "column 8"),
        ("$.items[?match(@.id, '(a*)*b')]", "match"),
        ("$.items[?search(@.id, '(a*)*b')]", "search"),
        ("$..a..b", "more than one"),
        ("$[?@..b]", "in a filter"),
        ("$[?count(@.*) > 1]", "in a filter"),
        ("$[?@.a == 1 || !($..b)]", "in a filter"),
        ("$" + "[*,*]" * 5, "combinations"),
        ("$." + "a" * 600, "at most 512"),
        ("$" + "[?@" * 100 + "]" * 100, "nested too deep"),
        ("$[99999999999999999999]", "index out of range"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    """One line that says why."""
    with pytest.raises(ValueError, match="JSONPath") as raised:
        Path(text)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_singular() -> None:
    """Names and indexes lead to one place."""
    assert Path("$.a[0]").singular
    assert not Path("$.a[*]").singular
    assert not Path("$..a").singular


def test_too_many_places() -> None:
    """Over the limit the first are given, and that there are more is said."""
    found = Path("$[*]").find(list(range(20)), limit=5)
    assert [place.value for place in found.places] == [0, 1, 2, 3, 4]
    assert not found.whole
    assert Path("$[*]").find(list(range(5)), limit=5).whole


def test_too_deep() -> None:
    """A document nested beyond the limit is searched as far as that, and the rest is said."""
    deep: Any = {"a": 1}
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    assert not Path("$..b").find(deep).whole


def test_replace() -> None:
    """A value takes the place of another; a place that is not there is not made."""
    assert replace({"a": [1, 2]}, ("a", 1), 3) == {"a": [1, 3]}
    assert replace({"a": 1}, (), 3) == 3
    for location in (("b",), ("a", 5), ("a", "x")):
        with pytest.raises((LookupError, TypeError)):
            replace({"a": [1, 2]}, location, 3)


@given(JSON)
def test_direct_paths_find_what_the_library_finds(document: Any) -> None:
    """The short cut for single places changes nothing."""
    for text in ("$", "$.a", "$.a.b", "$.a[0]", "$[-1].a", "$[0][-2]"):
        path = Path(text)
        nodes = path._query.find(document)
        assert path.find(document).places == [Place(node.location, node.value) for node in nodes]


@given(JSON)
def test_every_place_found_can_be_replaced(document: Any) -> None:
    """A location leads back to its value."""
    # the innermost first: what stood inside a replaced value is gone
    for place in reversed(Path("$..a").find(document).places):
        replace(document, place.location, "mark")
        assert Place(place.location, "mark") in Path("$..a").find(document).places


def test_it_compares_by_text() -> None:
    """Equal text, equal path; it shows as it was written."""
    assert Path("$.a") == Path("$.a")
    assert len({Path("$.a"), Path("$.a"), Path("$.b")}) == 2
    assert repr(Path("$.a")) == "Path('$.a')"


def test_a_path_says_where_it_leads_without_a_document() -> None:
    """Unless a filter, a slice or an index from the end leaves that to the document."""
    steps = Path("$.a..['b', 0][*]").steps
    assert steps == (
        Step(frozenset({"a"}), deep=False),
        Step(frozenset({"b", 0}), deep=True),
        Step(None, deep=False),
    )
    assert steps[1].takes(0)
    assert not steps[1].takes("a")
    for text in ("$[?@.a]", "$[1:2]", "$[-1]"):
        assert Path(text).steps is None


def test_a_slice_that_takes_nothing_is_known() -> None:
    """Of any array; where the length decides, it is not said."""
    assert Path("$.a[2:1]").empty
    assert Path("$.a[1:5:-1]").empty
    assert Path("$.a[::0]").empty
    for text in ("$.a[1:2]", "$.a[-1:2]", "$.a[5:1:-1]", "$.a[:]"):
        assert not Path(text).empty
