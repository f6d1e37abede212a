"""``shadow-agent config``: what the flags and the file add up to."""

from __future__ import annotations

import json as codec

import typer

from shadow_agent import config as configuration
from shadow_agent.cli.options import ConfigFile, Debug, Iface, Json, Port, Shadow, Target
from shadow_agent.config import as_dict, as_toml
from shadow_agent.errors import ExitCode, one_line


def check(
    config: ConfigFile = None,
    debug: Debug = None,
    iface: Iface = None,
    json: Json = None,
    port: Port = None,
    shadow: Shadow = None,
    target: Target = None,
) -> ExitCode:
    """Check the configuration and print the one in effect, as a file that would make it.

    Flags win over the target's table, it over the file's top, that over the defaults. Every table
    is checked, also those of other targets, and the key files they name are opened.
    """
    flags = {name: value for name, value in locals().items() if name not in {"config", "json"}}
    effective, notes = configuration.check(flags, config)
    for note in notes:
        typer.echo(one_line(f"shadow-agent: note: {note}"), err=True)
    if json:
        typer.echo(codec.dumps(as_dict(effective), ensure_ascii=False))
    else:
        typer.echo(as_toml(effective), nl=False)
    return ExitCode.DONE
