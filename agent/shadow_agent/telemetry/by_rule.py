"""What became of requests by the rule that decided, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shadow_agent.telemetry.terminal import count, escape


def rules_table(rules: Sequence[Mapping[str, Any]]) -> Group | None:
    """What became of requests by the rule that decided; None without rules."""
    if not rules:
        return None
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(Text("rule", "dim"), overflow="fold")
    table.add_column(Text("action", "dim"), no_wrap=True)
    table.add_column(Text("matched", "dim"), justify="right", no_wrap=True)
    table.add_column(Text("passed", "dim"), justify="right", no_wrap=True)
    table.add_column(Text("refused", "dim"), overflow="fold")
    for rule in rules:
        refused = ", ".join(f"{why} {count(n)}" for why, n in rule["refused"].items())
        table.add_row(
            escape(rule["name"]),
            escape(rule["action"]),
            count(rule["matched"]),
            count(rule["passed"]),
            Text(refused or "·"),
        )
    return Group(Text("Rules", "bold"), Padding(table, (0, 0, 0, 2)))
