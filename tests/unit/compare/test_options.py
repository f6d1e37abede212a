"""What is looked at, and until when something is tolerated."""

from __future__ import annotations

from datetime import date

from shadow_agent.compare.difference import Part
from shadow_agent.compare.options import DECLARED, Options
from shadow_agent.compare.selectors import Action, Tolerance


def test_expired_rules_are_left_out() -> None:
    """The others stay; without an expired one nothing is made anew."""
    lasting = Tolerance(Action.IGNORE, name="a")
    ending = Tolerance(Action.IGNORE, name="b", until=date(2026, 12, 31))
    options = Options(rules=(lasting, ending))
    assert options.on(date(2026, 12, 31)) is options
    assert options.on(date(2027, 1, 1)).rules == (lasting,)


def test_rules_for_fields_are_found_by_part_and_name() -> None:
    """A header's rule says nothing of a form's field."""
    rules = (Tolerance(Action.ABSOLUTE, 1, part=Part.HEADER, name="x-n"),)
    options = Options(rules=rules)
    assert options.named(Part.HEADER, "x-n", "1", "2") == "absolute x-n"
    assert not options.named(Part.HEADER, "x-n", "1", "3")
    assert not options.named(Part.BODY, "x-n", "1", "2")


def test_declared_headers_are_in_lower_case() -> None:
    """As they are looked up."""
    assert all(name == name.lower() for name in DECLARED)
