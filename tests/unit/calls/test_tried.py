"""What is missing in a guard's record is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from shadow_agent.calls.tried import Mark, Tried, tried

BEGAN = Mark("run-1", last=2, untold=1, crowded=1, restarts=0)


def _lines(*numbers: int, **more: Any) -> list[bytes]:
    return [
        orjson.dumps(
            {"n": number, "event": "call", "protocol": "http", "host": str(number), **more}
        )
        for number in numbers
    ]


def _hosts(found: Tried) -> set[str]:
    return {row["host"] for row in found.effects.rows()}


@pytest.mark.parametrize("clock", [-86_400.0, -600.0, 0.0, 600.0, 86_400.0])
def test_calls_since_the_start_by_number(clock: float) -> None:
    """Whatever the guard's clock is set to meanwhile; nothing is missing, so nothing is said."""
    found = tried(_lines(1, 2, time=1e9) + _lines(3, 4, time=1e9 + clock), BEGAN, _at(last=4))
    assert _hosts(found) == {"3", "4"}
    assert found.notes == ()


def _at(**more: Any) -> Mark:
    return replace(BEGAN, **more)


def test_another_record_is_half_of_it() -> None:
    """All of it counts, and what was before it is said to be missing."""
    found = tried(_lines(1, 2, 3), BEGAN, Mark("run-2", 3, 0, 0, 0))
    assert _hosts(found) == {"1", "2", "3"}
    (note,) = found.notes
    assert "started again" in note


@pytest.mark.parametrize(
    ("lines", "ended", "note"),
    [
        ((4, 5), _at(last=5), "1 lines of the guard's record are lost"),
        ((3, 4), _at(last=6), "2 lines of the guard's record are lost"),
        ((3, 6), _at(last=4), "2 lines of the guard's record are lost"),
        ((3,), _at(last=3, untold=5), "4 refused calls of the shadow were counted only"),
        ((3,), _at(last=3, crowded=2), "1 connections to stubs were closed unread"),
        ((3,), _at(last=3, restarts=1), "stub server died"),
    ],
)
def test_what_is_missing_is_said(lines: tuple[int, ...], ended: Mark, note: str) -> None:
    """Overwritten, lost at the end, not yet known to its supervisor, only counted, unread."""
    (said,) = tried(_lines(*lines), BEGAN, ended).notes
    assert note in said


def test_a_file_that_is_half_the_record() -> None:
    """Its numbers do not begin at 1."""
    assert tried(_lines(1, 2)).notes == ()
    assert tried(_lines(7, 8)).notes == ("6 lines of the guard's record are lost or overwritten",)


def test_odd_lines_are_passed_over() -> None:
    """Of a record that somebody has edited."""
    odd = [b"[1]", b"{", b"", b"\xff", b'{"n": "3"}', b'{"n": -1}', b'{"n": null, "event": "call"}']
    assert tried([*odd, *_lines(1)]).effects.calls == 1
    assert tried([*odd, *_lines(1)]).notes == ()


def test_through_a_channel() -> None:
    """As another process said it; its words are bounded."""
    found = tried(_lines(2))
    again = Tried.load(orjson.loads(orjson.dumps(found.dump())))
    assert (again.effects.rows(), again.notes) == (found.effects.rows(), found.notes)
    many = Tried.load({"effects": [], "notes": ["x" * 1000] * 100})
    assert [len(note) for note in many.notes] == [256] * 8


@pytest.mark.parametrize("said", [{}, {"id": "x"}, {"id": "x", "last": "y"}])
def test_no_mark(said: dict[str, Any]) -> None:
    """Of a guard of another version."""
    with pytest.raises((KeyError, ValueError)):
        Mark.from_json(said)
