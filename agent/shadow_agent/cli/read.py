"""``shadow-agent read``: what a capture file holds, as JSON lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from shadow_agent.cli.options import ConfigFile, Debug, User
from shadow_agent.config import merge, parse
from shadow_agent.errors import ExitCode, UsageError, one_line

CaptureFile = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A pcap or pcapng file, gzipped or not."),
]
ServicePort = Annotated[
    list[int] | None,
    typer.Option(
        "--port",
        metavar="PORT",
        help="TCP port of the service; repeats. Default: found out, connection by connection.",
    ),
]


def read(
    file: CaptureFile,
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    port: ServicePort = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing at the end, unless the file is damaged.")
    ] = False,
    user: User = None,
) -> ExitCode:
    """Print the HTTP exchanges in a capture file as JSON lines.

    One object per exchange, in order of request within a flow. FILE may be - for standard input.
    Of a damaged file everything before the damage is printed. Root becomes an unprivileged user
    before it looks at the file's contents.
    """
    ports = _ports(port)
    user = _user(user, config)

    from shadow_agent.offline.read import ReadSettings, run  # noqa: PLC0415 - other commands' 40 ms

    return run(ReadSettings(file, ports, user, quiet), _say)


def _ports(given: list[int] | None) -> frozenset[int]:
    try:
        return frozenset(parse.ports(given)) if given else frozenset()
    except ValueError as error:
        raise UsageError(f"--port: {error}") from error


def _user(user: str | None, config: Path | None) -> str | None:
    """Whom to become: the flag's, else the file's. Only root has the choice.

    A broken system file is a warning only: a capture can be read without it.
    """
    if user is not None or os.geteuid() != 0:
        return user
    try:
        settings, _ = merge({}, config)
    except UsageError as error:
        if config is not None:
            raise
        _say(f"warning: {error}")
        return None
    found: str | None = settings.values.get("user")
    return found


def _say(text: str) -> None:
    typer.echo(f"shadow-agent: {one_line(text)}", err=True)
