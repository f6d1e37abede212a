"""The gate's section."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.config import load
from shadow_agent.config.gate import Gate, GateProvider
from shadow_agent.errors import UsageError

FLAGS = {"iface": ["eth0"], "port": [80], "shadow": "http://10.0.0.9:8080"}


def write(folder: Path, text: str) -> Path:
    """A file with a gate."""
    path = folder / "own.toml"
    path.write_text(f"[gate]\n{text}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("off", GateProvider("off")),
        ("file:/a/flags.json", GateProvider("file", "/a/flags.json")),
        ("ofrep:http://10.0.0.5:8016", GateProvider("ofrep", "http://10.0.0.5:8016")),
        ("ofrep:https://flags.example/a", GateProvider("ofrep", "https://flags.example/a")),
        ("flagd:flags.internal:8013", GateProvider("flagd", "flags.internal:8013")),
        ("flagd:[::1]:8013", GateProvider("flagd", "[::1]:8013")),
    ],
)
def test_providers(tmp_path: Path, written: str, meant: GateProvider) -> None:
    """All kinds, and each reads as it was written."""
    gate = load(FLAGS, write(tmp_path, f'provider = "{written}"')).gate
    assert gate.provider == meant
    assert str(gate.provider) == written
    assert not gate.by_default


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('provider = "fle:/a"', "2: gate.provider: 'fle:/a' is no gate; write off, file:"),
        ('provider = "file:"', "2: gate.provider: 'file:' is no gate"),
        ('provider = "ofrep:10.0.0.5:8016"', "2: gate.provider: 'ofrep:10.0.0.5:8016' is no gate"),
        ('provider = "ofrep:http://[::1"', "2: gate.provider: 'ofrep:http://[::1' is no gate"),
        ('provider = "flagd:host"', "2: gate.provider: 'flagd:host' is no gate"),
        ('provider = "flagd:host:99999"', "2: gate.provider: 'flagd:host:99999' is no gate"),
        ('enabled = "a b"', "2: gate.enabled: 'a b' cannot be a flag"),
        ("poll-s = 0", "2: gate.poll-s: 0 is out of range"),
        ('poll = "1"', "2: gate: unknown key poll; did you mean poll-s?"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, line: str) -> None:
    """File, line, key and fix."""
    with pytest.raises(UsageError) as caught:
        load(FLAGS, write(tmp_path, text))
    assert f"own.toml:{line}" in str(caught.value)


def test_the_default_is_a_file() -> None:
    """Which counts when it is there."""
    assert Gate().by_default
    assert str(Gate().provider) == "file:/etc/shadow-agent/flags.json"
