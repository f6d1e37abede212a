"""Forms by field."""

from __future__ import annotations

import pytest

from shadow_agent.compare.difference import Collector, Difference, Kind
from shadow_agent.compare.forms import MAX_FIELDS, TooManyFields, compare_fields, fields
from shadow_agent.compare.options import Options
from shadow_agent.compare.selectors import Action, Tolerance


def diff(production: bytes, shadow: bytes, *rules: Tolerance) -> list[Difference]:
    """What differs."""
    into = Collector()
    compare_fields(into, fields(production), fields(shadow), Options(rules=rules))
    return list(into.result().differences)


def test_order_and_escapes_say_nothing() -> None:
    """A plus is a space."""
    assert diff(b"a=1&b=x+y", b"b=x%20y&a=1") == []


def test_fields_differ_by_name() -> None:
    """Value, one more, one less, repeated."""
    assert [one.name for one in diff(b"a=1", b"a=2")] == ["body field a value"]
    assert [one.kind for one in diff(b"a=1&b=1", b"a=1")] == [Kind.MISSING]
    assert [one.kind for one in diff(b"a=1", b"a=1&b=1")] == [Kind.ADDED]
    assert [one.kind for one in diff(b"a=1", b"a=1&a=2")] == [Kind.LENGTH]


def test_a_rule_for_a_field_applies() -> None:
    """Whatever its case."""
    (found,) = diff(b"Total=1", b"Total=2", Tolerance(Action.ABSOLUTE, 1, name="total"))
    assert found.suppressed == "absolute total"


def test_fields_without_end_are_refused() -> None:
    """Before they are all split."""
    assert len(fields(b"&".join(b"a%d=1" % n for n in range(MAX_FIELDS)))) == MAX_FIELDS
    with pytest.raises(TooManyFields):
        fields(b"&" * (MAX_FIELDS + 1))
