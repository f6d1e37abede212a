"""What is tolerated where."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.compare.selectors import Action, Aligned, Tolerance, Tolerated, align, leads
from shadow_agent.policy.jsonpath import Path


@pytest.mark.parametrize(
    ("rule", "production", "shadow", "taken"),
    [
        (Tolerance(Action.IGNORE), 1, "x", True),
        (Tolerance(Action.ROUND, 2), 1.001, 1.0049, True),
        (Tolerance(Action.ROUND, 2), 1.001, 1.009, False),
        (Tolerance(Action.ROUND, 2), True, 1, False),
        (Tolerance(Action.ABSOLUTE, 0.5), 1, 1.5, True),
        (Tolerance(Action.ABSOLUTE, 0.5), "1", "1.6", False),
        (Tolerance(Action.RELATIVE, 0.1), 100, 91, True),
        (Tolerance(Action.RELATIVE, 0.1), 100, 89, False),
        (Tolerance(Action.RELATIVE, 0.1), "NaN", "NaN", False),
        (Tolerance(Action.ROUND, 2), "1e999999999", "1", False),
        (Tolerance(Action.SECONDS, 5), "2026-01-01T00:00:00Z", "2026-01-01T01:00:05+01:00", True),
        (Tolerance(Action.SECONDS, 5), 1_700_000_000, 1_700_000_006, False),
        (
            Tolerance(Action.SECONDS, 5),
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:40Z",
            True,
        ),
        (Tolerance(Action.SECONDS, 5), "x", "y", False),
    ],
)
def test_a_rule_takes_what_it_says(
    rule: Tolerance, production: Any, shadow: Any, taken: bool
) -> None:
    """From both sides alike."""
    assert rule.takes(production, shadow) is taken
    assert rule.takes(shadow, production) is taken


def test_a_rule_expires_after_its_last_day() -> None:
    """And without one it does not."""
    rule = Tolerance(Action.IGNORE, until=date(2026, 12, 31))
    assert rule.holds(date(2026, 12, 31))
    assert not rule.holds(date(2027, 1, 1))
    assert Tolerance(Action.IGNORE).holds(date(9999, 1, 1))


def test_ignore_reaches_below_its_place_and_others_do_not() -> None:
    """What is under an ignored object is ignored."""
    document = {"a": {"b": [1.0]}}
    at = ("a", "b", 0)
    for path in ("$.a", "$..b", "$.a[?@[0] == 1]"):
        ignore = Tolerated([Tolerance(Action.IGNORE, json=Path(path))], (document, document))
        assert ignore.at(at, 1.0, 2.0) == f"ignore {path}"
        near = Tolerated([Tolerance(Action.ABSOLUTE, 5, json=Path(path))], (document, document))
        assert not near.at(at, 1.0, 2.0)


@given(
    st.sampled_from(
        ["$.a", "$..a", "$.*", "$[*].a", "$..a[*]", "$['a','b'][0]", "$..*", "$.a.b.a"]
    ),
    st.recursive(
        st.just(1),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
        max_leaves=8,
    ),
)
def test_steps_lead_where_the_library_finds(text: str, document: Any) -> None:
    """Matching a location without the document gives what a search of it would."""
    path = Path(text)
    assert path.steps is not None
    found = {place.location for place in path.find(document).places}
    every = {place.location for place in Path("$..*").find(document).places} | {()}
    assert {one for one in every if leads(path.steps, one, below=False)} == found
    below = {one for one in every if any(one[:end] in found for end in range(len(one) + 1))}
    assert {one for one in every if leads(path.steps, one, below=True)} == below


def test_arrays_are_aligned_in_place_and_named() -> None:
    """Only those that change are."""
    document = {"a": [3, 1, 3], "b": [1, 2], "c": 5}
    rules = [
        Tolerance(Action.SET, json=Path("$.a")),
        Tolerance(Action.SORT, json=Path("$.b")),
        Tolerance(Action.SORT, json=Path("$.c")),
    ]
    aligned = align(rules, document)
    assert document == {"a": [1, 3], "b": [1, 2], "c": 5}
    assert aligned == {
        id(document["a"]): Aligned(rules[0], changed=True),
        id(document["b"]): Aligned(rules[1], changed=False),
    }
