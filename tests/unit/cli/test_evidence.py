"""``evidence list`` and ``show``."""

import json
import os
from pathlib import Path

import pytest

from shadow_agent.cli.main import main
from shadow_agent.records.vault import VaultWriter

KEY = b"k" * 32


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data directory with two records, and the key beside it."""
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_bytes(KEY)
    run = tmp_path / "data" / "web" / "r1"
    run.mkdir(parents=True)
    fd = os.open(run / "evidence-0.vault", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    writer = VaultWriter(fd, KEY, "r1")
    for status in (500, 404):
        record = {
            "at": "now",
            "request": {"start": "GET /\x1b[31m HTTP/1.1"},
            "production": {"start": "HTTP/1.1 200 OK"},
            "shadow": {"start": f"HTTP/1.1 {status} -"} if status == 500 else None,
        }
        writer.append(json.dumps(record).encode())
    os.close(fd)
    return tmp_path


def run(home: Path, *argv: str) -> int:
    """The command's exit code."""
    options = ("--data-dir", str(home / "data"), "--key-file", str(home / "key"))
    return main(["evidence", *argv, *options])


def test_list_and_show(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """IDs that show takes; each read is on record; nothing drives the terminal."""
    assert run(home, "list") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "200→500 GET /" in first
    assert "200→none GET /" in second
    assert "\x1b" not in first
    identity = second.split(" ")[0]
    assert run(home, "show", identity) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["record"], shown["shadow"]) == (identity, None)
    log = (home / "data" / "audit.log").read_text()
    assert [json.loads(line)["what"] for line in log.splitlines()] == [
        "evidence list", "evidence show"
    ]  # fmt: skip
    assert json.loads(log.splitlines()[1])["about"] == {"record": identity}
    assert run(home, "list", "--target", "other") == 0
    assert capsys.readouterr().out == ""
    assert run(home, "show", "nothing") == 2


def test_the_file_names_the_key(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As ``attach`` takes it."""
    config = home / "c.toml"
    config.write_text(f'[privacy]\nkey-file = "{home / "key"}"\n', encoding="utf-8")
    given = ["--data-dir", str(home / "data"), "--config", str(config)]
    assert main(["evidence", "list", *given]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_what_is_not_on_record_is_not_shown(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log that cannot be written: exit code 2 and no record."""
    (home / "data" / "audit.log").mkdir()
    assert run(home, "show") == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "cannot write the audit log" in said.err


@pytest.mark.parametrize("command", ["list", "show"])
def test_another_key(home: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """Shows nothing, and says so in one line, however many records there are."""
    (home / "key").write_bytes(b"K" * 32)
    assert run(home, command) == 2
    said = capsys.readouterr()
    vault = home / "data" / "web" / "r1" / "evidence-0.vault"
    assert said.out == ""
    assert said.err == (
        f"shadow-agent: evidence: the key does not open {vault}; "
        "give the key that was in use then with --key-file FILE\n"
    )


def test_a_key_for_some(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it opens is shown; that it is not all is said."""
    other = home / "data" / "web" / "r0"
    other.mkdir()
    data = (home / "data" / "web" / "r1" / "evidence-0.vault").read_bytes()
    (other / "evidence-0.vault").write_bytes(data)  # of another run: no key opens it there
    (other / "evidence-1.vault").write_bytes(data)
    assert run(home, "list") == 2
    said = capsys.readouterr()
    first, _ = said.out.splitlines()
    assert "evidence-0.vault, nor 1 more;" in said.err
    assert run(home, "show", first.split(" ")[0]) == 0
    assert capsys.readouterr().err == ""


def test_a_torn_record(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Says nothing of the key: the others are shown, the damage is said."""
    vault = home / "data" / "web" / "r1" / "evidence-0.vault"
    os.truncate(vault, vault.stat().st_size - 1)
    assert run(home, "list") == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "torn, or no record" in said.err
