"""One measured figure, and the table and file that many of them make."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table


class Target(NamedTuple):
    """What the figure should be."""

    text: str
    met: Callable[[float], bool]


AT_LEAST_ALL = Target("1.0", lambda value: value >= 1.0)


def at_most(limit: float, unit: str) -> Target:
    """Not more than that."""
    return Target(f"≤ {limit:g} {unit}".rstrip(), lambda value: value <= limit)


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


def table(figures: Sequence[Figure]) -> Table:
    """All figures, a section for each part."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    shown.add_column("")
    shown.add_column("measured", justify="right", no_wrap=True)
    shown.add_column("from … to", justify="right", style="dim", no_wrap=True)
    shown.add_column("target", justify="right", no_wrap=True)
    shown.add_column("", style="dim")
    part = ""
    for figure in figures:
        if figure.part != part:
            part = figure.part
            shown.add_row(f"[bold]{part}[/]", end_section=False)
        value, target = figure.value, figure.target
        style = "" if value is None or target is None else "green" if target.met(value) else "red"
        spread = figure.spread
        shown.add_row(
            f"  {figure.name}",
            f"[{style or 'default'}]{_number(value)} {figure.unit}".rstrip() + "[/]",
            "" if spread is None else f"{_number(spread[0])} … {_number(spread[1])}",
            "" if target is None else target.text,
            figure.note,
        )
    return shown


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
