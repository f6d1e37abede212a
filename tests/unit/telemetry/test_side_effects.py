"""Calls that only one side made, as people read it."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from shadow_agent.telemetry.side_effects import render_side_effects


def _row(**more: Any) -> dict[str, Any]:
    return {
        "protocol": "http", "method": "POST", "host": "pay.example", "port": 80,
        "path": "/v1/charges/{id}", "count": 3, "refused": False, **more,
    }  # fmt: skip


def _shown(**effects: Any) -> str:
    whole = {"only_production": [], "only_shadow": [], "notes": [], **effects}
    found = render_side_effects({"side_effects": whole})
    assert found is not None
    console = Console(width=80)
    with console.capture() as captured:
        console.print(found)
    return captured.get()


def test_nobody_watched() -> None:
    """Nothing is said."""
    assert render_side_effects({"side_effects": None}) is None
    assert render_side_effects({}) is None


def test_rows_of_one_side() -> None:
    """With where to, how often, and whether it was refused."""
    text = _shown(only_production=[_row()], only_shadow=[_row(host="x", refused=True)])
    assert "POST pay.example:80/v1/charges/{id}" in text
    assert "POST x:80/v1/charges/{id}" in text
    assert "refused" in text


def test_nothing_and_unknown_are_told_apart() -> None:
    """No false all-green."""
    assert _shown().count("nothing") == 2
    text = _shown(only_production=None, only_shadow=None, notes=["the guard\x1b[2J is away"])
    assert text.count("not known") == 2
    assert "is away" in text
    assert "\x1b[2J" not in text


def test_many_rows_are_cut() -> None:
    """And the rest counted; names of any length and kind."""
    rows = [_row(host="h" * 500 + "\x1b]0;x"), *([_row()] * 30)]
    text = _shown(only_shadow=rows)
    assert "21 more kinds" in text
    assert "\x1b]0" not in text
