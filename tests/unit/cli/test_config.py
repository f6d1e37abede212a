"""``config check``."""

import json
import tomllib
from pathlib import Path

import pytest

from shadow_agent.cli.main import main

FLAGS = ["config", "check", "--iface", "eth0", "--port", "80", "--shadow", "http://s"]


def test_the_effective_configuration_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As TOML, or as JSON; nothing is made or attached."""
    assert main(FLAGS) == 0
    printed = tomllib.loads(capsys.readouterr().out)
    assert main([*FLAGS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert printed["iface"] == ["eth0"]
    assert printed["target"] == "eth0-80"


def test_a_target_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its table counts."""
    path = tmp_path / "own.toml"
    path.write_text("workers = 1\n[target.web]\nworkers = 4\n", encoding="utf-8")
    assert main([*FLAGS, "--config", str(path), "--target", "web"]) == 0
    assert tomllib.loads(capsys.readouterr().out)["workers"] == 4


def test_a_mistake_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """File, key, fix, exit code 2; nothing on stdout."""
    path = tmp_path / "own.toml"
    path.write_text("worker = 1\n", encoding="utf-8")
    assert main([*FLAGS, "--config", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (f"shadow-agent: {path}:1: unknown key worker; did you mean workers?\n")


def test_a_key_file_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is missing is a mistake; what only the service will have is a note."""
    path = tmp_path / "own.toml"
    path.write_text(f'[privacy]\nkey-file = "{tmp_path}/key"\n', encoding="utf-8")
    assert main([*FLAGS, "--config", str(path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"shadow-agent: {path}:2: privacy.key-file: {tmp_path}/key: No such")
    path.write_text('[privacy]\nkey-file = "/run/credentials/none/key"\n', encoding="utf-8")
    assert main([*FLAGS, "--config", str(path)]) == 0
    said = capsys.readouterr()
    assert tomllib.loads(said.out)["privacy"]["key-file"] == "/run/credentials/none/key"
    assert said.err.startswith(f"shadow-agent: note: {path}:2: privacy.key-file: ")
    assert said.err.count("\n") == 1
