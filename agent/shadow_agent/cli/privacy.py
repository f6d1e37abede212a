"""``shadow-agent privacy``: the key of redaction."""

from __future__ import annotations

import typer

from shadow_agent.cli.options import ConfigFile, DataDir, Debug
from shadow_agent.cli.runtime import data_directory
from shadow_agent.errors import ExitCode, UsageError


def rotate_key(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
) -> ExitCode:
    """Make a new redaction key: equal values have other tokens from now on.

    What is stored keeps its tokens. Running agents keep the old key until they attach again.
    """
    from shadow_agent.daemon.audit import AuditLog  # noqa: PLC0415 - commands start quickly
    from shadow_agent.records.keys import rotate_redaction_key  # noqa: PLC0415

    folder = data_directory(data_dir, config)
    log = AuditLog(folder)
    try:
        log.write("privacy rotate-key", "", {})
    except OSError as exc:
        raise UsageError(
            f"{log.path}: cannot write the audit log: {exc.strerror}", "run as root"
        ) from exc
    rotate_redaction_key(folder)
    typer.echo(f"{folder}: new redaction key")
    return ExitCode.DONE
