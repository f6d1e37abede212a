"""The options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

AllowSameInterface = Annotated[
    bool | None,
    typer.Option(
        "--allow-same-interface",
        help="Allow a route to the shadow that crosses a tapped interface.",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML file with a key per flag, [limits] and [target.NAME] tables; flags win. "
        "Default: /etc/shadow-agent/config.toml, if there is one.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="Where records go. Default: /var/lib/shadow-agent."
    ),
]
Debug = Annotated[
    bool | None,
    typer.Option("--debug", help="Log in detail, and show the traceback of an internal error."),
]
Iface = Annotated[
    list[str] | None,
    typer.Option(
        "--iface", metavar="IFACE", help="Interface where production's traffic passes; repeats."
    ),
]
Json = Annotated[bool | None, typer.Option("--json", help="Print JSON instead of text.")]
Port = Annotated[
    list[int] | None,
    typer.Option("--port", metavar="PORT", help="TCP port of the production service; repeats."),
]
RuntimeDir = Annotated[
    Path | None,
    typer.Option(
        "--runtime-dir",
        metavar="DIR",
        help="Where control sockets are. Default: /run/shadow-agent.",
    ),
]
Shadow = Annotated[
    str | None,
    typer.Option(
        "--shadow", metavar="URL", help="The shadow build: http://HOST:PORT, IPv6 in brackets."
    ),
]
ShadowIface = Annotated[
    str | None,
    typer.Option(
        "--shadow-iface",
        metavar="IFACE",
        help="Reach the shadow by this interface only. Default: as the routes say.",
    ),
]
Target = Annotated[
    str | None, typer.Option("--target", metavar="NAME", help="Name of the attachment.")
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Whom the workers run as. Default: shadow-agent if there is such a user, else nobody.",
    ),
]
