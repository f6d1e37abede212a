"""``audit verify``."""

from pathlib import Path

import pytest

from shadow_agent.cli.main import main
from shadow_agent.daemon.audit import AuditLog


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Two entries."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    log.write("detach", "web", {})
    return log


def verify(log: AuditLog, *more: str) -> int:
    """The command's exit code."""
    return main(["audit", "verify", "--data-dir", str(log.path.parent), *more])


def test_whole(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    """How many, and the last one to note elsewhere; noted, it is accepted."""
    assert verify(log) == 0
    said, noted = capsys.readouterr().out.splitlines()
    assert "2 entries, whole" in said
    assert verify(log, "--expect", noted) == 0


def test_broken(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The first line that is, and an exit code of its own."""
    log.path.write_bytes(log.path.read_bytes().replace(b'"web"', b'"wob"', 1))
    assert verify(log) == 30
    assert "line 1 was altered" in capsys.readouterr().out


def test_made_anew(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Shows against what was noted."""
    assert verify(log) == 0
    noted = capsys.readouterr().out.splitlines()[1]
    for path in log.path.parent.iterdir():
        path.unlink()
    AuditLog(log.path.parent).write("attach", "web", {})
    assert verify(log) == 0
    assert verify(log, "--expect", noted) == 30


def test_torn(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    """Said, and no fault."""
    with log.path.open("ab") as out:
        out.write(b'{"n":3')
    assert verify(log) == 0
    assert "never finished" in capsys.readouterr().out


@pytest.mark.parametrize("noted", ["", "1", "x:" + "0" * 64, "1:0", "9" * 16 + ":" + "0" * 64])
def test_wrong_expectations(log: AuditLog, noted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit code 2."""
    assert verify(log, "--expect", noted) == 2
    assert "not NUMBER:SUM" in capsys.readouterr().err
