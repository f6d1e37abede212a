"""``shadow-agent policy``: what the rules would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shadow_agent.cli.options import ConfigFile, Debug, Json, Methods, Requests, Unguarded, User
from shadow_agent.cli.read import ServicePort
from shadow_agent.config import load
from shadow_agent.errors import ExitCode, one_line


def test(
    source: Annotated[
        str,
        typer.Option("--from", metavar="FILE", help="A pcap or pcapng file; - is standard input."),
    ],
    config: ConfigFile = None,
    debug: Debug = None,
    examples: Annotated[
        int,
        typer.Option(
            "--examples", metavar="N", min=0, max=100, help="Of each kind, to show. Default: 3."
        ),
    ] = 3,
    json: Json = None,
    methods: Methods = None,
    port: ServicePort = None,
    requests: Requests = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="Take the rules of [target.NAME]."),
    ] = None,
    unguarded: Unguarded = None,
    user: User = None,
) -> ExitCode:
    """Show what would be replayed, refused and rewritten, by rule, without sending a byte.

    Decides on the requests of a capture as attach and replay would. Needs no privilege; root
    becomes an unprivileged user before it looks at the file's contents. For live traffic:
    attach --dry-run.
    """
    flags = {
        name: value
        for name, value in locals().items()
        if name not in {"config", "examples", "source"}
    }
    settings = load(flags, config, capture=Path(source).name, needs_shadow=False)

    from shadow_agent.offline.trial import run  # noqa: PLC0415 - other commands' 40 ms

    return run(settings, source, examples, _say)


def _say(text: str) -> None:
    typer.echo(f"shadow-agent: {one_line(text)}", err=True)
