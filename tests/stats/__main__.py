"""``python -m tests.stats [T1 …]``: measure, print the table; exit 1 when a target is missed."""

import sys

from rich.console import Console
from rich.table import Table

from tests.stats.protocol import FULL, Measured


def main() -> int:
    """All of it, or the parts named: some minutes."""
    rows: list[Measured] = []
    progress = Console(stderr=True, highlight=False)
    for name in sys.argv[1:] or FULL:
        for row in FULL[name]():
            rows.append(row)
            progress.print(f"{row.test} {row.what}: {row.value} {row.target}", style="dim")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("test", "what", "target", "measured"):
        table.add_column(name, no_wrap=True)
    for row in rows:
        tone = "default" if not row.target else "green" if row.met else "red"
        table.add_row(row.test, row.what, row.target, f"[{tone}]{row.value}[/]")
    Console(highlight=False).print(table)
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
