"""``shadow-agent ctl``: change a running attachment, in the kernel, without restarting it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from shadow_agent.cli.options import ConfigFile, Debug, RuntimeDir
from shadow_agent.cli.runtime import sockets
from shadow_agent.config import parse
from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, UsageError

TargetOrOnly = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME", help="Name of the attachment. Needed when several run."
    ),
]


def sample(
    fraction: Annotated[
        float, typer.Argument(metavar="FRACTION", help="Share of the traffic to mirror, 0 to 1.")
    ],
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Mirror another share of the traffic from now on."""
    try:
        parse.fraction(fraction)
    except ValueError as error:
        raise UsageError(f"ctl sample: {error}") from error
    return _ask(
        config, runtime_dir, target, "sample", f"sample {fraction:g}", {"fraction": fraction}
    )


def pause(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Copy nothing until `ctl resume`; the attachment stays."""
    return _ask(config, runtime_dir, target, "pause", "paused", {})


def resume(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Copy again after `ctl pause`."""
    return _ask(config, runtime_dir, target, "resume", "resumed", {})


def epoch(
    build: Annotated[
        str | None,
        typer.Option("--build", metavar="ID", help="Production's build from now on."),
    ] = None,
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    shadow_build: Annotated[
        str | None,
        typer.Option("--shadow-build", metavar="ID", help="The shadow's build from now on."),
    ] = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Begin a new epoch, after a deploy of either side: what was compared before stays apart."""
    builds = {}
    for flag, name, value in (
        ("--build", "production_build", build),
        ("--shadow-build", "shadow_build", shadow_build),
    ):
        if value is not None:
            try:
                builds[name] = parse.build(value)
            except ValueError as error:
                raise UsageError(f"{flag}: {error}") from error
    return _ask(config, runtime_dir, target, "epoch", "new epoch", builds)


def _ask(
    config: Path | None,
    runtime_dir: Path | None,
    target: str | None,
    command: str,
    done: str,
    arguments: Mapping[str, object],
) -> ExitCode:
    folder = sockets(runtime_dir, config)
    name = client.resolve(folder, target)
    client.ask(folder, name, command, arguments)
    typer.echo(f"{name}: {done}")
    return ExitCode.DONE
