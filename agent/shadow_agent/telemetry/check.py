"""Strict readings of values that came from another, perhaps compromised, process.

Every function returns the value it was given, typed, or raises ValueError with one line that
names the place (``where``) and never more than a few characters of the value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, Final

__all__ = [
    "MAX_COUNT",
    "count",
    "counts",
    "exact_keys",
    "flat_counts",
    "number",
    "text",
    "without_zeros",
]

# 10 million a second for three and a half years. Thousands of such values still add up to less
# than 2**63, so a worker that lies cannot make the sums unserialisable either.
MAX_COUNT: Final = 2**50


def exact_keys(data: object, keys: Collection[str], where: str) -> dict[str, Any]:
    """An object with exactly these keys."""
    if type(data) is not dict:
        raise ValueError(f"{where}: expected an object, not {type(data).__name__}")
    if data.keys() != set(keys):
        missing = sorted(set(keys) - data.keys())
        problem = f"lacks {missing[0]}" if missing else "has keys that do not belong there"
        raise ValueError(f"{where}: {problem}")
    return data


def count(value: object, where: str, *, most: int = MAX_COUNT) -> int:
    """An integer from 0 to ``most``; a bool is none."""
    if type(value) is not int:
        raise ValueError(f"{where}: expected an integer, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"{where}: out of range 0 … {most}")
    return value


def number(value: object, where: str, *, most: float) -> float:
    """An integer or float from 0 to ``most``; NaN and infinity are none."""
    if type(value) is not float and type(value) is not int:
        raise ValueError(f"{where}: expected a number, not {type(value).__name__}")
    if not 0 <= value <= most:
        raise ValueError(f"{where}: out of range 0 … {most:g}")
    return float(value)


def counts(data: object, names: type[StrEnum], where: str) -> dict[str, int]:
    """An object of name → count whose names are all values of the enum ``names``."""
    if type(data) is not dict:
        raise ValueError(f"{where}: expected an object, not {type(data).__name__}")
    if not data.keys() <= set(names):
        raise ValueError(f"{where}: has a name that is none of {', '.join(sorted(names))}")
    return {name: count(value, f"{where}.{name}") for name, value in data.items()}


def flat_counts(data: object, longest: int, where: str) -> list[int]:
    """A list of at most ``longest`` integers from 0 to MAX_COUNT."""
    if type(data) is not list:
        raise ValueError(f"{where}: expected a list, not {type(data).__name__}")
    if len(data) > longest:
        raise ValueError(f"{where}: {len(data)} entries, at most {longest} are allowed")
    # Through C-level map, min and max: 0.03 µs an entry, where a Python loop takes 0.1.
    if data and (set(map(type, data)) != {int} or min(data) < 0 or max(data) > MAX_COUNT):
        raise ValueError(f"{where}: an entry is no integer in the range 0 … {MAX_COUNT}")
    return data


def text(value: object, where: str, *, longest: int) -> str:
    """A string of at most ``longest`` characters, all below U+0100 (latin-1)."""
    if type(value) is not str:
        raise ValueError(f"{where}: expected a string, not {type(value).__name__}")
    if len(value) > longest:
        raise ValueError(f"{where}: {len(value)} characters, at most {longest} are allowed")
    if value and max(value) > "\xff":
        raise ValueError(f"{where}: characters beyond latin-1")
    return value


def without_zeros(data: Mapping[str, int]) -> dict[str, int]:
    """The counts that are not zero, with plain ``str`` keys (orjson refuses enum keys)."""
    return {str(name): n for name, n in data.items() if n}
