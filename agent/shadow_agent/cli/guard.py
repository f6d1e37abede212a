"""``guard``: runs the shadow build where it cannot call out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def guard(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- COMMAND...", help="The shadow build, and its options."),
    ],
    *,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="CIDR|HOST[:PORT]",
            help="What it may call: repeats. Names are resolved once, at the start.",
        ),
    ] = None,
    cgroup: Annotated[
        Path,
        typer.Option("--cgroup", metavar="PATH", help="cgroup v2 to run it in; made if missing."),
    ],
    data_dir: Annotated[
        Path, typer.Option("--data-dir", metavar="DIR", help="Where the record of calls goes.")
    ] = Path("/var/lib/shadow-agent"),
    key: Annotated[
        Path | None,
        typer.Option(
            "--guard-key",
            metavar="FILE",
            help="Key shared with the agent (0600): head -c 32 /dev/urandom | base64 > FILE.",
        ),
    ] = None,
    hello: Annotated[
        str | None,
        typer.Option(
            "--hello",
            metavar="HOST:PORT",
            help="Listen there for the agent, which asks whether the guard is active.",
        ),
    ] = None,
    record_bytes: Annotated[
        int,
        typer.Option("--record-bytes", min=1 << 16, max=1 << 30, help="Size of the record."),
    ] = 16 << 20,
    resolver: Annotated[
        list[str] | None,
        typer.Option(
            "--resolver",
            metavar="ADDRESS",
            help="Name server it may ask; repeats. Default: those of /etc/resolv.conf.",
        ),
    ] = None,
    stub: Annotated[
        list[str] | None,
        typer.Option(
            "--stub",
            metavar="[METHOD] HOST:PORT=FILE",
            help="Answer in this host's place with what is in the file; repeats.",
        ),
    ] = None,
    user: Annotated[
        str, typer.Option("--user", metavar="NAME", help="Whom it runs as, never root.")
    ] = "nobody",
) -> None:
    """Run COMMAND, the shadow build, where it can call nobody out but those allowed.

    Refused: every connection and datagram that --allow does not name, loopback too. Recorded:
    what was refused, and what came to a stub. When COMMAND ends, so does all that it started; the
    exit code is its own.
    """
    from shadow_agent.guard.plan import Options, make_plan  # noqa: PLC0415 - only here
    from shadow_agent.guard.run import run  # noqa: PLC0415 - most of the package

    options = Options(
        command=tuple(command),
        cgroup=cgroup,
        allow=tuple(allow or ()),
        stub=tuple(stub or ()),
        resolver=tuple(resolver or ()),
        user=user,
        hello=hello,
        key=key,
        data_dir=data_dir,
        record_bytes=record_bytes,
    )
    raise typer.Exit(run(make_plan(options)))
