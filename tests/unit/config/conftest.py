"""No test depends on how this machine is configured."""

from pathlib import Path

import pytest

from shadow_agent.config import file


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's file is one in the test's folder, absent unless the test writes it."""
    path = tmp_path / "system.toml"
    monkeypatch.setattr(file, "SYSTEM_FILE", path)
    return path
