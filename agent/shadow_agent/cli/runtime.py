"""Where the control sockets are, for the commands that talk to a running agent."""

from __future__ import annotations

from pathlib import Path

import typer

from shadow_agent.config import Config, merge
from shadow_agent.errors import UsageError


def sockets(runtime_dir: Path | None, config: Path | None) -> Path:
    """The runtime directory: the flag's, else the file's, else the default.

    A broken system file is a warning only: it must not keep anyone from detaching. Raises
    UsageError for a broken ``--config``.
    """
    default: Path = Config.__dataclass_fields__["runtime_dir"].default  # type: ignore[assignment]
    if runtime_dir is not None:
        return runtime_dir
    try:
        settings, _ = merge({}, config)
    except UsageError as error:
        if config is not None:
            raise
        typer.echo(f"shadow-agent: warning: {error}; looking in {default}", err=True)
        return default
    found: Path = settings.values.get("runtime_dir", default)
    return found


def data_directory(data_dir: Path | None, config: Path | None) -> Path:
    """The data directory: the flag's, else the file's, else the default. Raises UsageError."""
    default: Path = Config.__dataclass_fields__["data_dir"].default  # type: ignore[assignment]
    if data_dir is not None:
        return data_dir
    settings, _ = merge({}, config)
    found: Path = settings.values.get("data_dir", default)
    return found
