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
DryRun = Annotated[
    bool | None,
    typer.Option(
        "--dry-run", help="Decide and count what would be replayed, and send nothing at all."
    ),
]
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration", metavar="SECONDS", help="Stop after this long. Default: when told to."
    ),
]
Guard = Annotated[
    str | None,
    typer.Option(
        "--guard",
        metavar="HOST:PORT",
        help="The --hello of the guard on the shadow host; it must vouch for the shadow.",
    ),
]
GuardCalls = Annotated[
    Path | None,
    typer.Option(
        "--guard-calls",
        metavar="FILE",
        help="The guard's record, where it is not to be fetched by --guard.",
    ),
]
GuardKey = Annotated[
    Path | None,
    typer.Option("--guard-key", metavar="FILE", help="The key shared with the guard (0600)."),
]
ObserveEgress = Annotated[
    str | None,
    typer.Option(
        "--observe-egress",
        metavar="IFACE:PORT,...",
        help="Also read production's own calls to these ports, by this interface, and compare "
        "them with what the shadow tried.",
    ),
]
Iface = Annotated[
    list[str] | None,
    typer.Option(
        "--iface", metavar="IFACE", help="Interface where production's traffic passes; repeats."
    ),
]
Isolate = Annotated[
    bool | None,
    typer.Option(
        "--isolate",
        help="Replay from a network namespace of its own, on a macvlan child of the shadow's "
        "interface.",
    ),
]
IsolateAddress = Annotated[
    str | None,
    typer.Option(
        "--isolate-address",
        metavar="CIDR",
        help="A free address of the shadow's subnet for --isolate, as in 10.0.0.77/24.",
    ),
]
IsolateGateway = Annotated[
    str | None,
    typer.Option(
        "--isolate-gateway",
        metavar="ADDRESS",
        help="The router to a shadow in another subnet, for --isolate.",
    ),
]
Json = Annotated[bool | None, typer.Option("--json", help="Print JSON instead of text.")]
JsonSummary = Annotated[
    bool | None,
    typer.Option("--json", help="Print one JSON object at the end instead of the summary."),
]
Methods = Annotated[
    str | None,
    typer.Option(
        "--methods",
        metavar="GET,HEAD,...|all",
        help="Methods to replay where no [[rule]] matches. Default: GET,HEAD,OPTIONS. What else "
        "comes is counted; writes need a guard or --unguarded besides.",
    ),
]
Notrack = Annotated[
    str | None,
    typer.Option(
        "--notrack",
        metavar="auto|off",
        help="Keep connections to the shadow out of this host's conntrack table. Default: auto, "
        "where the way to the shadow works without.",
    ),
]
Port = Annotated[
    list[int] | None,
    typer.Option("--port", metavar="PORT", help="TCP port of the production service; repeats."),
]
ProductionBuild = Annotated[
    str | None,
    typer.Option(
        "--production-build", metavar="ID", help="Build id of production, for the records."
    ),
]
Requests = Annotated[
    int | None,
    typer.Option("--requests", metavar="N", help="Stop after N compared requests."),
]
RequireShadow = Annotated[
    bool | None,
    typer.Option(
        "--require-shadow", help="Exit with 4 when the shadow does not answer at the start."
    ),
]
RuntimeDir = Annotated[
    Path | None,
    typer.Option(
        "--runtime-dir",
        metavar="DIR",
        help="Where control sockets are. Default: /run/shadow-agent.",
    ),
]
Seccomp = Annotated[
    str | None,
    typer.Option(
        "--seccomp",
        metavar="auto|require|off",
        help="Filter the system calls of workers. Default: auto, where this host can.",
    ),
]
Session = Annotated[
    str | None,
    typer.Option(
        "--session",
        metavar="KEY",
        help="What holds one user's requests together: connection, header:NAME or "
        "cookie:NAME. Default: connection.",
    ),
]
Shadow = Annotated[
    str | None,
    typer.Option(
        "--shadow", metavar="URL", help="The shadow build: http://HOST:PORT, IPv6 in brackets."
    ),
]
ShadowBuild = Annotated[
    str | None,
    typer.Option("--shadow-build", metavar="ID", help="Build id of the shadow, for the records."),
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
Unguarded = Annotated[
    bool | None,
    typer.Option(
        "--unguarded",
        help="Replay writes without a guard on the shadow host; every report says so.",
    ),
]
User = Annotated[
    str | None,
    typer.Option(
        "--user",
        metavar="NAME",
        help="Whom the workers run as. Default: shadow-agent if there is such a user, else nobody.",
    ),
]
