"""One measured figure, and the table and file that many of them make."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


class Target(NamedTuple):
    """What the figure should be."""

    text: str
    met: Callable[[float], bool]


AT_LEAST_ALL = Target("1.0", lambda value: value >= 1.0)


def at_most(limit: float, unit: str) -> Target:
    """Not more than that."""
    return Target(f"≤ {limit:g} {unit}".rstrip(), lambda value: value <= limit)


def at_least(limit: float, unit: str) -> Target:
    """Not less than that."""
    return Target(f"≥ {limit:,g} {unit}".rstrip(), lambda value: value >= limit)


class Figure(NamedTuple):
    """``value`` in ``unit``; ``spread``: smallest and largest of several rounds."""

    part: str
    name: str
    value: float | None
    unit: str = ""
    target: Target | None = None
    spread: tuple[float, float] | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        target = self.target
        return {
            "part": self.part,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": None if target is None else target.text,
            "met": None if target is None or self.value is None else target.met(self.value),
            "spread": self.spread,
            "note": self.note,
        }


def median(part: str, name: str, values: Sequence[float], unit: str = "",
           target: Target | None = None, note: str = "") -> Figure:  # fmt: skip
    """The median of several rounds with their spread; no value when there was none."""
    if not values:
        return Figure(part, name, None, unit, target, None, note or "not measured")
    spread = (min(values), max(values)) if len(values) > 1 else None
    return Figure(part, name, statistics.median(values), unit, target, spread, note)


def table(figures: Sequence[Figure]) -> Group:
    """All figures, a table for each part; fits 80 columns."""
    shown: list[RenderableType] = []
    for part, rows in groupby(figures, key=lambda figure: figure.part):
        section = Table(box=None, pad_edge=False, show_header=not shown, header_style="dim")
        section.add_column("", width=38, no_wrap=True)
        section.add_column("measured", width=10, justify="right", no_wrap=True)
        section.add_column("target", width=11, justify="right", no_wrap=True)
        section.add_column("from … to", style="dim")
        for figure in rows:
            value, target, spread = figure.value, figure.target, figure.spread
            tone = "default"
            if value is not None and target is not None:
                tone = "green" if target.met(value) else "red"
            section.add_row(
                f"  {figure.name}",
                f"[{tone}]{_number(value)} {figure.unit}".rstrip() + "[/]",
                "" if target is None else target.text,
                figure.note if spread is None else f"{_number(spread[0])} … {_number(spread[1])}",
            )
        shown += [Text(part, "bold"), section]
    return Group(*shown)


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Write ``path`` whole, with what the numbers were measured on."""
    report = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "figures": [figure.as_dict() for figure in figures],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _number(value: float | None) -> str:
    if value is None:
        return "—"
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 1.5 else f"{value:.1f}"
