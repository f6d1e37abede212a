"""``privacy rotate-key``."""

import json
from pathlib import Path

import pytest

from shadow_agent.cli.main import main
from shadow_agent.records.keys import redaction_key


def test_rotate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another key, and it is on record."""
    key = redaction_key(tmp_path)
    assert main(["privacy", "rotate-key", "--data-dir", str(tmp_path)]) == 0
    assert redaction_key(tmp_path) != key
    assert "new redaction key" in capsys.readouterr().out
    (line,) = (tmp_path / "audit.log").read_text().splitlines()
    assert json.loads(line)["what"] == "privacy rotate-key"


def test_no_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert main(["privacy", "rotate-key", "--data-dir", str(tmp_path / "gone")]) == 2
    assert "cannot write the audit log" in capsys.readouterr().err
