"""Calls that only one side made, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shadow_agent.telemetry.terminal import count, escape, plain, shorten

__all__ = ["render_side_effects"]

_SHOWN: Final = 10
_WHERE: Final = 56


def render_side_effects(summary: Mapping[str, Any]) -> RenderableType | None:
    """The summary's ``side_effects``, None where nobody watched."""
    effects = summary.get("side_effects")
    if effects is None:
        return None
    parts: list[RenderableType] = [Text("Side effects", "bold")]
    for key, title in (
        ("only_production", "called by production only"),
        ("only_shadow", "tried by the shadow only"),
    ):
        rows = effects[key]
        if rows is None:
            parts.append(Text(f"  {title}: not known, one side was not watched in full", "yellow"))
        elif not rows:
            parts.append(Text(f"  {title}: nothing", "dim"))
        else:
            parts += [Text(f"  {title}:", "red"), Padding(_table(rows), (0, 0, 0, 4))]
    parts += [plain(f"  {note}", "yellow") for note in effects["notes"]]
    return Group(*parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for row in rows[:_SHOWN]:
        where = f"{row['method']} {row['host']}:{row['port']}{row['path']}".strip()
        table.add_row(
            Text(count(row["count"])),
            Text(escape(row["protocol"])),
            Text(shorten(where, _WHERE)),
            Text("refused" if row["refused"] else "", "dim"),
        )
    if len(rows) > _SHOWN:
        table.add_row("", "", Text(f"and {count(len(rows) - _SHOWN)} more kinds", "dim"))
    return table
