"""``privacy.key-file`` as this host has it: ``config check`` opens it, as ``attach`` would."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shadow_agent.config.file import File, Settings
from shadow_agent.config.model import Config
from shadow_agent.errors import UsageError
from shadow_agent.records.keys import CREDENTIAL, credential, evidence_key

# Where systemd puts a service's credentials while it runs, and nobody else.
_CREDENTIALS: Final = Path("/run/credentials")


def check_key_files(found: File, config: Config) -> list[str]:
    """The effective one and those of all tables; notes of what only the service can show.

    Raises UsageError with file, line and fix.
    """
    notes = _check(found.settings, config)
    for table in found.targets.values():
        notes += _check(table, config)
    if config.privacy.evidence and config.privacy.key_file is None:
        if credential() is None:
            notes.append(
                f"privacy.evidence: no key-file, and no credential {CREDENTIAL} here; it must be "
                f"there when the service runs (LoadCredential={CREDENTIAL}:FILE)"
            )
        else:
            evidence_key(None, config.data_dir)
    return notes


def _check(table: Settings, config: Config) -> list[str]:
    path = table.sections.get("privacy", {}).get("key_file")
    if path is None:
        return []
    where = table.where["privacy.key_file"]
    if path.is_relative_to(_CREDENTIALS) and not path.exists():
        return [f"{where}: {path} is not here now; systemd must have put it there by the start"]
    try:
        evidence_key(path, table.values.get("data_dir", config.data_dir))
    except UsageError as error:
        what = error.what.removeprefix("privacy.key-file ")
        raise UsageError(f"{where}: {what}", error.fix) from error
    return []
