"""A Config as the file that would make it: what ``config check`` prints, and what records keep."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from shadow_agent.config.key import Key
from shadow_agent.config.keys import KEYS, ROWS, SECTIONS
from shadow_agent.config.model import Config
from shadow_agent.config.values import endpoint


def as_dict(config: Config) -> dict[str, Any]:
    """By key of the file, in values that JSON and TOML have; what is not set is absent."""
    found = _keys(config, KEYS)
    for name, section in SECTIONS.items():
        found[name] = _keys(getattr(config, section.field), section.keys)
    for name, rows in ROWS.items():
        made = getattr(config, rows.field)
        if made:
            found[name] = [_keys(row, rows.keys) for row in made]
    return found


def as_toml(config: Config) -> str:
    """A file that loads to the same Config, with what is not set as a comment."""
    found = as_dict(config)
    lines = _lines(found, KEYS)
    for name, section in SECTIONS.items():
        lines += ["", f"[{name}]", *_lines(found[name], section.keys)]
    for name, rows in ROWS.items():
        for row in found.get(name, []):
            given = {key: rows.keys[key] for key in row}
            lines += ["", f"[[{name}]]", *_lines(row, given)]
    return "\n".join(lines) + "\n"


def _keys(made: object, keys: Mapping[str, Key]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in sorted(keys.items()):
        value = getattr(made, key.field)
        if key.show is not None:
            value = key.show(value)
        if key.field == "methods" and isinstance(made, Config):
            found[name] = "all" if value is None else sorted(value)
        elif key.field == "metrics" and value is not None:
            found[name] = endpoint(*value)
        elif value == math.inf:
            found[name] = "max"
        elif value is not None:
            found[name] = _plain(value)
    return found


def _lines(found: Mapping[str, Any], keys: Mapping[str, Key]) -> list[str]:
    return [
        f"{name} = {_toml(found[name])}" if name in found else f"# {name} is not set"
        for name in sorted(keys)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(one) for one in value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # every string here is printable, for which TOML's basic strings are JSON's
    return json.dumps(value, ensure_ascii=False)
