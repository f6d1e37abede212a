"""The effective configuration as a file."""

import json
import tomllib
from pathlib import Path

import pytest

from shadow_agent.config import as_dict, as_toml, load
from shadow_agent.config.keys import KEYS, LIMITS

FULL = {
    "allow_same_interface": True,
    "data_dir": "/var/a b\\c",
    "duration": 1.5,
    "iface": ["eth0", "eth1"],
    "loader": "bcc",
    "methods": "GET,POST",
    "metrics": "[::1]:9464",
    "port": [80, 81],
    "production_build": 'v"1"',
    "requests": 7,
    "session": "header:X-User",
    "shadow": "http://[fe80::9%25eth2]:80",
    "shadow_iface": "eth2",
    "speed": "max",
    "target": "web",
    "user": "nobody",
}


@pytest.mark.parametrize(
    "flags",
    [FULL, {"iface": ["eth0"], "port": [1], "shadow": "http://s", "methods": "all"}],
    ids=["full", "short"],
)
def test_what_is_printed_loads_to_the_same(tmp_path: Path, flags: dict[str, object]) -> None:
    """``config check`` > file, and the file says the same again."""
    empty = tmp_path / "empty.toml"
    empty.touch()
    config = load(flags, empty)
    path = tmp_path / "printed.toml"
    path.write_text(as_toml(config), encoding="utf-8")
    assert load({}, path) == config


def test_rows_are_printed_too(tmp_path: Path) -> None:
    """Each with what it says, in order."""
    path = tmp_path / "own.toml"
    path.write_text(
        '[[rule]]\nname = "pay"\nmethod = "POST"\npath = "/pay/{id}"\naction = "replay"\n'
        '[[rule]]\nname = "rest"\naction = "drop"\n'
        '[[namespace]]\nprefix = "s-"\nat = ["header:X-Id", "json:$.id"]\n',
        encoding="utf-8",
    )
    config = load({"iface": ["eth0"], "port": [1], "shadow": "http://s"}, path)
    assert [row["name"] for row in as_dict(config)["rule"]] == ["pay", "rest"]
    path.write_text(as_toml(config), encoding="utf-8")
    assert load({}, path) == config


def test_every_key_is_shown() -> None:
    """Those that are not set as a comment, so that a reader learns of them."""
    text = as_toml(load({"iface": ["eth0"], "port": [1], "shadow": "http://s"}))
    assert "# duration is not set" in text
    assert all(f"\n{key} " in f"\n{text.replace('# ', '')}" for key in KEYS)
    assert set(tomllib.loads(text)["limits"]) == set(LIMITS)


def test_it_is_json_too() -> None:
    """Only values that JSON has."""
    found = as_dict(load(FULL))
    assert json.loads(json.dumps(found)) == found
    assert found["shadow"] == "http://[fe80::9%25eth2]:80"
    assert found["metrics"] == "[::1]:9464"
    assert found["methods"] == ["GET", "POST"]
