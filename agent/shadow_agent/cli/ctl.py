"""``shadow-agent ctl``: change a running attachment, in the kernel, without restarting it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from shadow_agent.cli.options import ConfigFile, Debug, RuntimeDir
from shadow_agent.cli.runtime import sockets
from shadow_agent.config import parse
from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, HostError, UsageError

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
    name, _ = _ask(config, runtime_dir, target, "sample", {"fraction": fraction})
    typer.echo(f"{name}: sample {fraction:g}")
    return ExitCode.DONE


def pause(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Copy nothing until `ctl resume`; the attachment stays."""
    name, _ = _ask(config, runtime_dir, target, "pause", {})
    typer.echo(f"{name}: paused")
    return ExitCode.DONE


def resume(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Copy again after `ctl pause`."""
    name, answer = _ask(config, runtime_dir, target, "resume", {})
    if answer.get("paused"):
        raise HostError(
            f"target {name}: stays paused, an alert stopped it",
            "`shadow-agent status --json` says why; mend that, then detach and attach again",
        )
    typer.echo(f"{name}: resumed")
    return ExitCode.DONE


def reload(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: TargetOrOnly = None,
) -> ExitCode:
    """Read the configuration again, with the flags of the start over it; whole or not at all."""
    name, answer = _ask(config, runtime_dir, target, "reload", {})
    applied = answer.get("applied", [])
    what = f"applied {', '.join(map(str, applied))}" if applied else "no change"
    typer.echo(f"{name}: {what}")
    return ExitCode.DONE


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
        ("--build", "build", build),
        ("--shadow-build", "shadow_build", shadow_build),
    ):
        if value is not None:
            try:
                builds[name] = parse.build(value)
            except ValueError as error:
                raise UsageError(f"{flag}: {error}") from error
    name, answer = _ask(config, runtime_dir, target, "epoch", builds)
    typer.echo(f"{name}: epoch {answer.get('epoch', 'is new')}")
    return ExitCode.DONE


def _ask(
    config: Path | None,
    runtime_dir: Path | None,
    target: str | None,
    command: str,
    arguments: Mapping[str, object],
) -> tuple[str, dict[str, Any]]:
    """The target's name and its answer."""
    folder = sockets(runtime_dir, config)
    name = client.resolve(folder, target)
    return name, client.ask(folder, name, command, arguments)
