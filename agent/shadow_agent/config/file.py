"""The configuration file: TOML with a key per flag, ``[limits]`` and ``[target.NAME]`` tables.

All of it is checked when it is read, also the tables of targets nobody chose today: a slip of the
pen should show on the day it is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from shadow_agent.config import parse
from shadow_agent.config.keys import KEYS, LIMITS, convert, find
from shadow_agent.errors import UsageError

_MAX_BYTES: Final = 1 << 20
SYSTEM_FILE: Final = Path("/etc/shadow-agent/config.toml")

# In a target's own table its name is already said.
_TARGET_KEYS: Final = {name: key for name, key in KEYS.items() if name != "target"}


class Settings(NamedTuple):
    """Converted values by field of Config and of Limits; what is not given is absent."""

    values: Mapping[str, Any]
    limits: Mapping[str, Any]

    def over(self, other: Settings) -> Settings:
        """These settings, and the other's where these say nothing."""
        return Settings({**other.values, **self.values}, {**other.limits, **self.limits})


class File(NamedTuple):
    """What a file says: for every target, and for each by name."""

    settings: Settings
    targets: Mapping[str, Settings]


NOTHING: Final = Settings({}, {})


def read(path: Path | None) -> File:
    """Read ``--config``, or the system's file if there is one. Raises UsageError."""
    if path is None:
        if not SYSTEM_FILE.exists():
            return File(NOTHING, {})
        path = SYSTEM_FILE
    try:
        with path.open("rb") as source:
            data = source.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"--config {path}: above {_MAX_BYTES} bytes", "is it the right file?")
        tree = tomllib.loads(data.decode())
    except OSError as error:
        raise UsageError(
            f"--config {path}: {error.strerror}", "name a file that can be read"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8", "save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"{path}: not TOML: {error}", 'a line is KEY = "text" or a number'
        ) from error
    targets = {}
    if isinstance(tree.get("target"), dict):
        for name, table in tree.pop("target").items():
            targets[name] = _target(name, table, f"{path}: target.{name}")
    return File(_settings(tree, f"{path}", KEYS), targets)


def _target(name: str, table: object, where: str) -> Settings:
    try:
        parse.target(name)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    if not isinstance(table, dict):
        raise UsageError(f"{where}: not a table", f"write [target.{name}] and its keys below")
    return _settings(table, where, _TARGET_KEYS)


def _settings(table: Mapping[str, object], where: str, keys: Mapping[str, Any]) -> Settings:
    values = {}
    limits = {}
    for written, value in table.items():
        if written != "limits":
            key = find(keys, written, where)
            values[key.field] = convert(key, value, f"{where}: {written}")
        elif not isinstance(value, dict):
            raise UsageError(f"{where}: limits: not a table", "write [limits] and its keys below")
        else:
            for inner, number in value.items():
                key = find(LIMITS, inner, f"{where}: limits")
                limits[key.field] = convert(key, number, f"{where}: limits.{inner}")
    return Settings(values, limits)
