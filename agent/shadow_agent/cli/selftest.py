"""``shadow-agent selftest``: does the tap rebuild, on this kernel, what client and server said."""

from __future__ import annotations

import json as codec
from typing import Annotated

import typer

from shadow_agent.cli.options import Debug, Json
from shadow_agent.errors import ExitCode, UsageError


def selftest(
    connections: Annotated[
        int,
        typer.Option(
            "--connections", metavar="N", min=1, max=10_000, help="How many to hold. Default: 200."
        ),
    ] = 200,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    json: Json = None,
    seed: Annotated[
        int,
        typer.Option("--seed", metavar="N", help="Same traffic, same losses again. Default: 1."),
    ] = 1,
) -> ExitCode:
    """Try the capture out on this host's own kernel, in private namespaces.

    A client and a server talk over a wire that loses, delays, doubles and cuts packets; the tap
    listens as it does in production, and what it rebuilt is held against what the two understood.
    Prints how much was rebuilt exactly, which losses were named, how the tap was attached, and
    its cost per packet. Needs root; nothing outside is touched, nothing stays behind. Exit code 0
    when everything is rebuilt or named, 1 when anything is wrong, 3 when this host cannot.
    """
    from shadow_agent.selftest.run import run  # noqa: PLC0415 - BPF, netlink, the whole path

    report = run(seed, connections)
    text = codec.dumps(report.as_dict()) if json else "\n".join(report.lines())
    try:
        typer.echo(text)
    except OSError as exc:
        raise UsageError(f"standard output: {exc.strerror}", "send it where there is room") from exc
    return ExitCode.INTERNAL if report.wrong else ExitCode.DONE
