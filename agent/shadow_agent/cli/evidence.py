"""``shadow-agent evidence``: read what was stored of pairs that differ."""

from __future__ import annotations

import json as codec
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from shadow_agent.cli.options import ConfigFile, DataDir, Debug, Target
from shadow_agent.cli.runtime import data_directory
from shadow_agent.config import Privacy, merge
from shadow_agent.errors import ExitCode, UsageError, one_line

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="The key it was encrypted with. Default: privacy.key-file, else systemd's credential.",
    ),
]


def list_(
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    key_file: KeyFile = None,
    target: Target = None,
) -> ExitCode:
    """List stored pairs, one a line: ID, time, statuses, request line.

    Every read is in the audit log before anything is shown.
    """
    for name, record in _records("evidence list", config, data_dir, key_file, target, None):
        made, shadow = record.get("production") or {}, record.get("shadow") or {}
        columns = (
            name,
            record["at"],
            f"{_status(made)}→{_status(shadow)}",
            record["request"]["start"],
        )
        typer.echo(one_line("  ".join(columns)))
    return ExitCode.DONE


def show(
    record: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="As `evidence list` names it. Default: all."),
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    debug: Debug = None,  # noqa: ARG001 - main looks at it
    key_file: KeyFile = None,
    target: Target = None,
) -> ExitCode:
    """Print stored pairs as JSON, one a line.

    Every read is in the audit log before anything is shown.
    """
    found = False
    for name, one in _records("evidence show", config, data_dir, key_file, target, record):
        found = True
        typer.echo(codec.dumps({"record": name, **one}))  # pure ASCII: drives no terminal
    if record is not None and not found:
        raise UsageError(f"evidence {record}: no such record", "`evidence list` names them")
    return ExitCode.DONE


def _status(message: dict[str, Any]) -> str:
    return str(message.get("start", "- none")).split(" ")[1]


def _records(
    what: str,
    config: Path | None,
    data_dir: Path | None,
    key_file: Path | None,
    target: str | None,
    wanted: str | None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and records; damage is said on standard error."""
    from shadow_agent.daemon.audit import AuditLog  # noqa: PLC0415 - commands start quickly
    from shadow_agent.daemon.retention import vaults  # noqa: PLC0415
    from shadow_agent.records.keys import evidence_key  # noqa: PLC0415
    from shadow_agent.records.vault import Damage, opens, read_vault  # noqa: PLC0415

    folder = data_directory(data_dir, config)
    if key_file is None:
        settings, _ = merge({}, config)
        key_file = settings.sections.get("privacy", {}).get("key_file", Privacy().key_file)
    key = evidence_key(key_file, folder)
    log = AuditLog(folder)
    try:
        log.write(what, target or "", {"record": wanted} if wanted else {})
    except OSError as exc:
        raise UsageError(
            f"{log.path}: cannot write the audit log: {exc.strerror}",
            "what is not on record is not shown; make space, or run as root",
        ) from exc
    closed = []
    for path in vaults(folder):
        run, name = path.parent.name, path.parent.parent.name
        if target not in (None, name) or not (wanted or f"{run}:").startswith(f"{run}:"):
            continue
        with path.open("rb") as source:
            if not opens(source, key, run):
                closed.append(path)
                continue
            for one in read_vault(source, key, run):
                if isinstance(one, Damage):
                    typer.echo(f"shadow-agent: {path}: byte {one.offset}: {one.reason}", err=True)
                    continue
                identity = f"{run}:{path.stem.partition('-')[2]}:{one.writer}:{one.number}"
                if wanted in (None, identity):
                    yield identity, codec.loads(one.text)
    if closed:
        more = f", nor {len(closed) - 1} more" if len(closed) > 1 else ""
        raise UsageError(
            f"evidence: the key does not open {closed[0]}{more}",
            "give the key that was in use then with --key-file FILE",
        )
