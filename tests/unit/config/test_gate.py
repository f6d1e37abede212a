"""The gate's section."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from shadow_agent.config import as_dict, as_toml, load
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
        ("flagds:flags.internal:8013", GateProvider("flagds", "flags.internal:8013")),
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
        ('provider = "ofrep:http://h/?a=b"', "2: gate.provider: 'ofrep:http://h/?a=b' is no gate"),
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


def test_flags_have_names_of_the_operators(tmp_path: Path) -> None:
    """Every key is meant as written."""
    gate = load(FLAGS, write(tmp_path, 'enabled = "a.on"\nsample = "a/share"\nkeep-s = 7')).gate
    assert (gate.enabled, gate.sample, gate.keep_s) == ("a.on", "a/share", 7.0)


def test_the_default_is_a_file() -> None:
    """Which counts when it is there."""
    assert Gate().by_default
    assert str(Gate().provider) == "file:/etc/shadow-agent/flags.json"


SECRETS = [
    'gate = { provider = "ofrep:http://us:secret@h:8016/a" }',
    'gate = { provider = "ofrep:http://us:sec/secret@h" }',
    'gate = { provider = "ofrep:us:secret@h" }',
    'gate = { provider = "ofrep:htp://us:se secret@h" }',
    'gate = { provider = "ofrep:http://us:secret@h:0" }',
    'gate = { provider = "flagd:us:secret@h:8013" }',
    'shadow = "http://us:secret@h"',
    'shadow = "https://us:secret@h"',
    'shadow = "http://us:sec/secret@h"',
    'metrics = "http://us:secret@h:9464"',
    'guard = "us://us:secret@h:1"',
]


@pytest.mark.parametrize("line", SECRETS)
def test_passwords_are_not_printed(tmp_path: Path, line: str) -> None:
    """By `config check`, records, the audit log, or an error: whatever is wrong with the URL."""
    path = tmp_path / "own.toml"
    path.write_text(line, encoding="utf-8")
    flags = FLAGS if line.startswith("gate") else {**FLAGS, "shadow": None}
    config = None
    with contextlib.suppress(UsageError):
        config = load(flags, path)
    if config is None:
        with pytest.raises(UsageError, match=r"own\.toml:1") as caught:
            load(flags, path)
        assert "secret" not in str(caught.value)
    else:
        shown = as_toml(config) + json.dumps(as_dict(config))
        assert "secret" not in shown
        assert "***@h" in shown
        assert "secret" in config.gate.provider.where


def test_certificates_for_nothing(tmp_path: Path) -> None:
    """Without TLS nobody would look at them."""
    with pytest.raises(UsageError, match=r"gate\.ca-file: says nothing by itself; write provider"):
        load(FLAGS, write(tmp_path, 'ca-file = "/a.pem"'))
