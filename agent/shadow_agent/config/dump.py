"""A Config as the file that would make it: what ``config check`` prints, and what records keep."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shadow_agent.config.keys import KEYS, LIMITS
from shadow_agent.config.model import Config, SessionKey, ShadowUrl, endpoint


def as_dict(config: Config) -> dict[str, Any]:
    """By key of the file, in values that JSON and TOML have; what is not set is absent."""
    found: dict[str, Any] = {}
    for name, key in sorted(KEYS.items()):
        value = getattr(config, key.field)
        if key.field == "methods":
            found[name] = "all" if value is None else sorted(value)
        elif key.field == "metrics" and value is not None:
            found[name] = endpoint(*value)
        elif value == math.inf:
            found[name] = "max"
        elif value is not None:
            found[name] = _plain(value)
    limits = asdict(config.limits)
    found["limits"] = {name: limits[key.field] for name, key in sorted(LIMITS.items())}
    return found


def as_toml(config: Config) -> str:
    """A file that loads to the same Config, with what is not set as a comment."""
    found = as_dict(config)
    limits = found.pop("limits")
    lines = [
        f"{name} = {_toml(found[name])}" if name in found else f"# {name} is not set"
        for name in sorted(KEYS)
    ]
    lines += ["", "[limits]", *(f"{name} = {_toml(value)}" for name, value in limits.items())]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Path | SessionKey | ShadowUrl):
        return str(value)
    return value


def _toml(value: Any) -> str:
    # every string here is printable, for which TOML's basic strings are JSON's
    return json.dumps(value, ensure_ascii=False)
