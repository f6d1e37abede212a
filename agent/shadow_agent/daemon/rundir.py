"""What a run leaves behind: DATA_DIR/TARGET/RUN_ID/{run,summary}.json."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from shadow_agent.config import Config, check_owned, prepare_data_dir
from shadow_agent.errors import UsageError
from shadow_agent.telemetry.run import Run


def new_run_id() -> str:
    """Sorts by time, unique on a host."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder, 0700, its files 0600. A full disk costs the files, never the run."""

    path: Path
    run_id: str

    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Make it. Raises UsageError when the data directory cannot be written."""
        prepare_data_dir(config.data_dir)
        run_id = new_run_id()
        path = config.data_dir / config.target / run_id
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # in a shared folder another may have been there first
            check_owned(path.parent, path.parent.lstat())
            path.mkdir(mode=0o700)
        except OSError as exc:
            raise UsageError(
                f"--data-dir {config.data_dir}: cannot write there: {exc.strerror}",
                "give a folder on a disk that is writable and has space",
            ) from exc
        return cls(path, run_id)

    def write_run(self, run: Run) -> str | None:
        """What is known from the start; returns what went wrong, in one line."""
        return self._write("run.json", asdict(run))

    def write_summary(self, summary: dict[str, Any]) -> str | None:
        """What it ended with; returns what went wrong, in one line."""
        return self._write("summary.json", summary)

    def _write(self, name: str, data: dict[str, Any]) -> str | None:
        """Whole or not at all: a reader never sees half a file."""
        final, draft = self.path / name, self.path / f".{name}"
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as out:
                out.write(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")
            draft.replace(final)
        except OSError as exc:
            with contextlib.suppress(OSError):
                draft.unlink()
            return f"{final}: not written: {exc.strerror}"
        return None
