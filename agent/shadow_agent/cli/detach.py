"""``shadow-agent detach``: end attachments, and clear what killed ones left."""

from __future__ import annotations

from typing import Annotated

import typer

from shadow_agent.cli.options import ConfigFile, Debug, RuntimeDir
from shadow_agent.cli.runtime import sockets
from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, HostError, OperatorError


def detach(
    config: ConfigFile = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    runtime_dir: RuntimeDir = None,
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="NAME", help="Name of the attachment. Default: all."),
    ] = None,
) -> ExitCode:
    """End attachments, and clear what killed ones left.

    Takes the tap away, drains, and lets each agent print its summary. Without --target all of
    them end. Filters that a killed agent left behind are removed too, and named; nobody else's
    are touched. Nothing attached is no error.
    """
    folder = sockets(runtime_dir, config)
    names = client.targets(folder) if target is None else [target]
    failures = []
    ended = []
    for name, answer in client.ask_all(folder, names, "detach", timeout_s=client.DETACH_S).items():
        if isinstance(answer, client.NotAttachedError):
            continue
        if isinstance(answer, OperatorError):
            failures.append(answer)
        elif client.wait_gone(folder, name, client.ANSWER_S):
            ended.append(name)
            typer.echo(f"{name}: detached")
        else:
            what = f"target {name}: drained, and still there"
            failures.append(client.SilentError(what, "end its process"))
    if failures:
        # its filters are still its own
        for failure in failures:
            typer.echo(f"shadow-agent: {failure}", err=True)
        return failures[0].exit_code
    removed = _remove_stale(target)
    for one in removed:
        typer.echo(f"removed what was left of {one}")
    if not ended and not removed:
        typer.echo(f"nothing is attached{f' as {target}' if target else ''}")
    return ExitCode.DONE


def _remove_stale(target: str | None) -> list[str]:
    from shadow_agent.kernel import attach, nftables  # noqa: PLC0415 - netlink, 110 ms

    try:
        return [*attach.remove_stale(target), *nftables.remove_stale(target)]
    except PermissionError as error:
        raise HostError(f"stale filters: {error.strerror}", "run as root") from error
