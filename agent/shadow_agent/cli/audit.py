"""``shadow-agent audit``: look at the audit log."""

from __future__ import annotations

from typing import Annotated

import typer

from shadow_agent.cli.options import ConfigFile, DataDir, Debug
from shadow_agent.cli.runtime import data_directory
from shadow_agent.errors import ExitCode, UsageError


def verify(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    expect: Annotated[
        list[str] | None,
        typer.Option(
            "--expect",
            metavar="NUMBER:SUM",
            help="An entry as noted elsewhere, from an earlier `audit verify`; repeats.",
        ),
    ] = None,
) -> ExitCode:
    """Check that no entry of the audit log was altered, removed, added or moved.

    Prints the last entry as NUMBER:SUM. Keep it elsewhere and give it to --expect later: who may
    write the log can make all of it anew, and that shows only against what was noted. Exit code
    30 when the log is broken, with the first line that is.
    """
    from shadow_agent.daemon.audit import AuditLog  # noqa: PLC0415 - orjson; commands start quickly
    from shadow_agent.records.chain import Head  # noqa: PLC0415

    log = AuditLog(data_directory(data_dir, config))
    found = log.verify(tuple(Head(*_noted(one)) for one in expect or ()))
    if found.broken is not None:
        typer.echo(f"{log.path}: line {found.broken.line} {found.broken.reason}")
        return ExitCode.INVALID
    if found.torn:
        typer.echo(
            f"{log.path}: ends with {found.torn} bytes of an entry that was never finished; "
            "the next entry will say so"
        )
    typer.echo(f"{log.path}: {found.head.number} entries, whole; last {found.at}")
    typer.echo(f"{found.head.number}:{found.head.sum}")
    return ExitCode.DONE


def _noted(text: str) -> tuple[int, str]:
    number, _, total = text.partition(":")
    if not number.isascii() or not number.isdigit() or len(number) > 15 or len(total) != 64:
        raise UsageError(f"--expect {text}: not NUMBER:SUM", "as `audit verify` printed it")
    return int(number), total
