"""The summary on standard output, for people or for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import orjson
from rich.console import Console

from shadow_agent.telemetry.summary import render_summary


def show(summary: Mapping[str, Any], *, json: bool) -> None:
    """Past Python's buffer: what standard output does not take is known at once, as OSError."""
    if json:
        data = orjson.dumps(summary) + b"\n"
    else:
        console = Console()
        with console.capture() as shown:
            console.print(render_summary(summary))
        data = shown.get().encode(sys.stdout.encoding, "backslashreplace")
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(data)
