"""``shadow-agent replay``: a capture's requests to a shadow, and the answers compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shadow_agent.cli.options import (
    ConfigFile,
    Debug,
    DryRun,
    Duration,
    JsonSummary,
    Methods,
    ProductionBuild,
    Requests,
    RequireShadow,
    Session,
    Shadow,
    ShadowBuild,
    ShadowIface,
    Unguarded,
    User,
)
from shadow_agent.cli.read import CaptureFile, ServicePort
from shadow_agent.config import load
from shadow_agent.errors import ExitCode


def replay(
    file: CaptureFile,
    config: ConfigFile = None,
    debug: Debug = None,
    dry_run: DryRun = None,
    duration: Duration = None,
    json: JsonSummary = None,
    methods: Methods = None,
    port: ServicePort = None,
    production_build: ProductionBuild = None,
    requests: Requests = None,
    require_shadow: RequireShadow = None,
    session: Session = None,
    shadow: Shadow = None,
    shadow_build: ShadowBuild = None,
    shadow_iface: ShadowIface = None,
    speed: Annotated[
        str | None,
        typer.Option(
            "--speed",
            metavar="FACTOR|max",
            help="How many times as fast as captured; max: as fast as the shadow takes it. "
            "Default: 1.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="NAME",
            help="What the summary calls it, and its [target.NAME] table. Default: the file's "
            "name.",
        ),
    ] = None,
    unguarded: Unguarded = None,
    user: User = None,
) -> ExitCode:
    """Replay the requests in a capture file to a shadow, and compare with the captured answers.

    The same rules as for live traffic decide what is sent, and the same ledger accounts for every
    loss. Needs no privilege; root becomes an unprivileged user before it looks at the file's
    contents.

    --shadow must be given, here or in the configuration file. Ctrl-C ends it and prints the
    summary.
    """
    flags = {name: value for name, value in locals().items() if name not in {"config", "file"}}
    settings = load(flags, config, capture=Path(file).name)

    from shadow_agent.offline.replay import run  # noqa: PLC0415 - most of the package

    return run(settings, file)
