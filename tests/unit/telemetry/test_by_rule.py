"""The table of rules."""

from __future__ import annotations

import io

from rich.console import Console

from shadow_agent.telemetry.by_rule import rules_table


def test_no_rules_no_table() -> None:
    """Most have none."""
    assert rules_table([]) is None


def test_a_row_for_each() -> None:
    """Its counts, and why it refused; names cannot drive a terminal."""
    rows = [
        {"name": "a\x1b[2J", "action": "drop", "matched": 7, "passed": 0, "refused": {"rule": 7}},
        {"name": "b", "action": "tag", "matched": 0, "passed": 0, "refused": {}},
    ]
    console = Console(file=io.StringIO(), width=80)
    console.print(rules_table(rows))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in shown
    assert shown.splitlines()[2].split()[-4:] == ["7", "0", "rule", "7"]
    assert shown.splitlines()[3].split() == ["b", "tag", "0", "0", "·"]
