"""Where control sockets are looked for."""

from pathlib import Path

import pytest

from shadow_agent.cli.runtime import data_directory, sockets
from shadow_agent.errors import UsageError


def test_flag_then_file_then_default(no_system_file: Path, tmp_path: Path) -> None:
    """In that order."""
    assert sockets(None, None) == Path("/run/shadow-agent")
    no_system_file.write_text('runtime-dir = "/run/other"\n', encoding="utf-8")
    assert sockets(None, None) == Path("/run/other")
    assert sockets(tmp_path, None) == tmp_path


def test_a_broken_system_file_does_not_keep_anyone_from_detaching(
    no_system_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning, and the default; the file somebody names must be right."""
    no_system_file.write_text("broken", encoding="utf-8")
    assert sockets(None, None) == Path("/run/shadow-agent")
    assert "warning" in capsys.readouterr().err
    assert sockets(tmp_path, None) == tmp_path
    with pytest.raises(UsageError):
        sockets(None, no_system_file)


def test_data_directory(no_system_file: Path, tmp_path: Path) -> None:
    """The flag's, the file's, the default; a broken file is an error."""
    assert data_directory(None, None) == Path("/var/lib/shadow-agent")
    no_system_file.write_text('data-dir = "/srv/data"\n', encoding="utf-8")
    assert data_directory(None, None) == Path("/srv/data")
    assert data_directory(tmp_path, None) == tmp_path
    no_system_file.write_text("broken", encoding="utf-8")
    with pytest.raises(UsageError):
        data_directory(None, None)
