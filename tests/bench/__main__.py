"""``python -m tests.bench [PART ...]``: measure, print a table, write ``out/bench.json``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from tests.bench.figure import Figure, table, write
from tests.bench.parts import PARTS
from tests.testbed import Terminated
from tests.testbed.host import REPO
from tests.testbed.needs import missing

_OUT = REPO / "out" / "bench.json"


def main() -> int:
    """Run the chosen parts. Exit status: 0, 1 when a part broke, 2 when it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Needs root.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)"
    )
    parser.add_argument("-o", "--out", type=Path, default=_OUT, help="default: out/bench.json")
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]} (there are: {', '.join(PARTS)})")
    trouble = missing()
    if trouble is not None:
        print(f"bench: {trouble}", file=sys.stderr)
        return 2
    status = 0
    figures: list[Figure] = []
    name = ""
    progress, console = Console(stderr=True, highlight=False), Console(highlight=False)
    try:
        for name in options.parts or PARTS:
            progress.print(f"measuring: {name} …", style="dim")
            figures += PARTS[name]()
    except KeyboardInterrupt as interrupt:
        status = 128 + (interrupt.number if isinstance(interrupt, Terminated) else 2)
    except (OSError, subprocess.SubprocessError) as error:
        progress.print(f"bench: {name}: {error}", markup=False)
        status = 1
    if figures:
        console.print(table(figures))
        write(options.out, figures)
        progress.print(f"written: {options.out}", style="dim")
    return status


if __name__ == "__main__":
    sys.exit(main())
