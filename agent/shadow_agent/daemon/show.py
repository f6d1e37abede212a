"""The summary on standard output, for people or for programs."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import orjson
from rich.console import Console

from shadow_agent.telemetry.summary import render_summary

# What a terminal may act on and JSON lets through: DEL, and the controls of Latin-1 in UTF-8.
_UNSAFE: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


def show(summary: Mapping[str, Any], *, json: bool) -> None:
    """Past Python's buffer: what standard output does not take is known at once, as OSError."""
    if json:
        data = _UNSAFE.sub(_escaped, orjson.dumps(summary)) + b"\n"
    else:
        console = Console()
        with console.capture() as shown:
            console.print(render_summary(summary))
        data = shown.get().encode(sys.stdout.encoding, "backslashreplace")
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:
        out.write(data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())
