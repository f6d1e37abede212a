"""Texts by line."""

from __future__ import annotations

from shadow_agent.compare.difference import Collector, Difference
from shadow_agent.compare.text import compare_text


def diff(production: bytes, shadow: bytes) -> list[Difference]:
    """What differs."""
    into = Collector()
    compare_text(into, production, shadow)
    return list(into.result().differences)


def test_lines_that_changed_were_added_or_are_missing() -> None:
    """With the line's number on its side."""
    (found,) = diff(b"a\nb\nc", b"a\nx\nc")
    assert (found.name, found.at, found.production, found.shadow) == (
        "body line value",
        "line 2",
        "b",
        "x",
    )
    assert [one.name for one in diff(b"a\nb", b"a\nz\nb")] == ["body line added"]
    assert [one.name for one in diff(b"a\nz\nb", b"a\nb")] == ["body line missing"]


def test_the_same_lines_in_another_order() -> None:
    """They count as one difference."""
    assert [one.name for one in diff(b"a\nb\nb\nc", b"b\na\nc\nb")] == ["body line value"]


def test_a_line_with_a_time_in_it_is_volatile() -> None:
    """The rest of the line must be the same."""
    line = b"done at 2026-01-01T00:00:0%dZ by %b"
    assert diff(line % (1, b"x"), line % (2, b"x"))[0].suppressed == "volatile time"
    assert not diff(line % (1, b"x"), line % (2, b"y"))[0].suppressed


def test_bytes_that_are_no_utf8_are_compared_too() -> None:
    """Byte by byte, in another charset."""
    assert len(diff(b"\xff\n\xfe", b"\xff\n\xfd")) == 1
    (found,) = diff("é".encode(), "é".encode("latin-1"))
    assert (found.name, found.production) == ("body charset value", "UTF-8")
