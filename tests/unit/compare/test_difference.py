"""Differences by name, bounded."""

from __future__ import annotations

from shadow_agent.compare.difference import (
    MAX_NAMES,
    MAX_PLACES,
    Collector,
    Difference,
    Kind,
    Part,
    shown,
)


def test_places_of_one_name_are_one_difference_with_a_count() -> None:
    """The first place is the example, the others are counted."""
    into = Collector()
    for index in range(3):
        at = f"$.a[{index}]"
        into.add(Part.BODY, "$.a[*]", Kind.VALUE, (str(index), "9"), at=at)
    assert into.result().differences == (
        Difference(Part.BODY, "$.a[*]", Kind.VALUE, "$.a[0]", "0", "9", "", 3),
    )


def test_names_are_those_of_records() -> None:
    """``status``, ``header NAME``, ``body PATH KIND``."""

    def named(part: Part, path: str, kind: Kind) -> str:
        return Difference(part, path, kind, "", "", "").name

    assert named(Part.STATUS, "", Kind.VALUE) == "status"
    assert named(Part.HEADER, "etag", Kind.MISSING) == "header etag"
    assert named(Part.BODY, "$.a", Kind.TYPE) == "body $.a type"
    assert named(Part.BODY, "", Kind.BYTES) == "body bytes"


def test_names_over_the_limit_are_counted_and_count() -> None:
    """No more than MAX_NAMES are kept; the pair stays different."""
    into = Collector()
    for index in range(MAX_NAMES + 5):
        into.add(Part.BODY, f"$.m{index}", Kind.VALUE, ("1", "2"))
    result = into.result()
    assert (len(result.differences), result.more) == (MAX_NAMES, 5)
    assert not result.equal


def test_suppressed_differences_do_not_crowd_out_those_that_count() -> None:
    """One that counts takes the place of one that does not, and stands first."""
    into = Collector()
    for index in range(MAX_NAMES):
        into.add(Part.BODY, f"$.m{index}", Kind.VALUE, ("1", "2"), suppressed="ignore $")
    assert into.result().equal
    into.add(Part.BODY, "$.z", Kind.VALUE, ("1", "2"))
    result = into.result()
    assert result.differences[0].path == "$.z"
    assert not result.equal
    assert len(result.differences) == MAX_NAMES


def test_a_collector_that_was_stopped_is_different() -> None:
    """Places that nobody looked at are not taken for equal."""
    into = Collector()
    for _ in range(MAX_PLACES):
        into.add(Part.BODY, "$.a", Kind.VALUE, ("1", "2"), suppressed="ignore $")
    assert into.full
    into.stop()
    assert not into.result().equal
    assert into.result().notes == ("too many differences: not all were looked at",)


def test_what_is_shown_is_bounded_and_fit_for_a_terminal() -> None:
    """Escapes of terminals are written out; long values end in an ellipsis."""
    assert shown("a\x1b[2J") == "a\\u001b[2J"
    assert len(shown("x" * 1000)) == len(shown("\x1b" * 1000)) == 120
