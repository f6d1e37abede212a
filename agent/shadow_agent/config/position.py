"""Where in a TOML file something is written: what an error names."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

_find_place: Final = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$").search


@dataclass(frozen=True, slots=True)
class Position:
    """A key, a table or a row of an array in a file that parses. As text: ``FILE:LINE: KEY``."""

    file: Path
    text: str
    keys: tuple[str | int, ...] = ()
    named: str | None = None  # of this table, the key that an error calls by name itself

    def __truediv__(self, key: str | int) -> Position:
        """What stands under ``key`` in this table, or the row of that number in this array."""
        return replace(self, keys=(*self.keys, key))

    def __str__(self) -> str:
        """For an error about it; ``FILE`` alone for the file itself."""
        # Only now: to find a line takes milliseconds, and most positions are never shown.
        written = self.keys if self.named is None else (*self.keys, self.named)
        line = line_of(self.text, written)
        place = str(self.file) if line is None else f"{self.file}:{line}"
        label = "".join(f" {k + 1}" if isinstance(k, int) else f".{k}" for k in self.keys)
        return f"{place}: {label[1:]}" if label else place

    def of(self, key: str) -> Position:
        """For an error that calls ``key`` of this table by name itself."""
        return replace(self, named=key)


def line_of(text: str, keys: tuple[str | int, ...]) -> int | None:
    """The line, from 1, on which that key, table or row begins; None for the file itself.

    tomllib says nothing of lines. What a file's first lines alone parse to does: the key is not in
    them, and with one statement more it is.
    """
    lines = _lines(text)
    if not keys or not _holds(text, keys):
        return None
    without, holding = 0, len(lines)  # what the first lines, this many, do
    while True:
        middle = (without + holding) // 2
        # inside a value of several lines nothing parses: try its begin, then its end
        tries = (*range(middle, without, -1), *range(middle + 1, holding))
        for end in tries:
            held = _holds("".join(lines[:end]), keys)
            if held is not None:
                break
        else:
            return without + 1
        if held:
            holding = end
        else:
            without = end


def why_unparsed(text: str, error: ValueError | RecursionError) -> tuple[int, str]:
    """On which line a text stops being TOML, from 1, and why, of what tomllib raised."""
    if isinstance(error, tomllib.TOMLDecodeError):
        found = _find_place(str(error))
        if found is None:  # at the end
            return max(1, len(text.rstrip().split("\n"))), str(error)
        return int(found[1]), f"{str(error)[: found.start()]} (column {found[2]})"
    lines = _lines(text)
    without, holding = 0, len(lines)
    while holding - without > 1:
        middle = (without + holding) // 2
        try:
            _parse("".join(lines[:middle]))
        except type(error):
            holding = middle
        else:
            without = middle
    deep = isinstance(error, RecursionError)
    return holding, "nested too deep" if deep else "a number of thousands of digits"


def _lines(text: str) -> list[str]:
    """As editors count them: by LF alone."""
    return [f"{line}\n" for line in text.split("\n")]


def _holds(text: str, keys: tuple[str | int, ...]) -> bool | None:
    """Whether that key is in it; None when it does not parse."""
    found: Any = _parse(text)
    if found is None:
        return None
    for key in keys:
        if isinstance(key, int):
            if not isinstance(found, list) or key >= len(found):
                return False
        elif not isinstance(found, dict) or key not in found:
            return False
        found = found[key]
    return True


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
