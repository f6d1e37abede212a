"""What a request's header fields may mean: servers join, split, unquote and rename them.

``X-Plan: free,beta`` is a list of two to one server and one value to another, the same as two
lines; a gateway interface (CGI, WSGI, Rack, PHP) makes one variable of ``X-Plan`` and ``X_Plan``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Final

# Over it a field may mean anything: no honest client comes near, and what a hostile one costs us
# is bounded.
MAX_ELEMENTS: Final = 256

_split_elements: Final = re.compile("[,;]").split
_FOLDED: Final = bytes(
    ord(chr(one).lower()) if one < 0x80 and chr(one).isalnum() else ord("-") for one in range(256)
)
# A field's name (lower case, latin-1) and a pattern for its value.
Wanted = tuple[bytes, re.Pattern[str]]


class Held(Enum):
    """Of a field's readings, how many fit."""

    NO = "no"
    SOME = "some"
    ALL = "all"


def fold_name(name: bytes) -> bytes:
    """As servers see it that make a variable of it."""
    return name.translate(_FOLDED)


class Field:
    """All fields of one folded name."""

    __slots__ = ("_names", "_readings", "_values")

    def __init__(self) -> None:
        self._names: list[bytes] = []
        self._values: list[str] = []
        self._readings: list[str] | None = None  # beside the values; made when one asks

    def add(self, name: bytes, value: bytes) -> None:
        """One line."""
        self._names.append(name)
        self._values.append(value.decode("latin-1"))

    def holds(self, name: bytes, pattern: re.Pattern[str]) -> Held:
        """Whether it is called so and fits: as written in each line and as the list of them.

        That every element of a list fits is not asked for: a comma is also just a comma.
        """
        values = self._values
        if len(values) > 1:
            values = [*values, ", ".join(values)]
        fitting = sum(pattern.fullmatch(one) is not None for one in values)
        if fitting == len(values) and all(one.lower() == name for one in self._names):
            return Held.ALL
        if fitting:
            return Held.SOME
        if self._readings is None:
            self._readings = _readings(",".join(self._values))
        if len(self._readings) > MAX_ELEMENTS or any(map(pattern.fullmatch, self._readings)):
            return Held.SOME
        return Held.NO


def by_name(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Field]:
    """All of a head, by folded name."""
    found: dict[bytes, Field] = {}
    for name, value in headers:
        folded = name.translate(_FOLDED)
        field = found.get(folded)
        if field is None:
            field = found[folded] = Field()
        field.add(name, value)
    return found


def match_all(fields: dict[bytes, Field], wanted: Sequence[Wanted]) -> Held:
    """Whether each wanted field is there with such a value, in every reading or in some."""
    held = Held.ALL
    for name, pattern in wanted:
        field = fields.get(fold_name(name))
        one = Held.NO if field is None else field.holds(name, pattern)
        if one is Held.NO:
            return one
        if one is Held.SOME:
            held = one
    return held


def _readings(text: str) -> list[str]:
    """Elements of a list with and without parameters, each without its quotes; or too many."""
    pieces = [text, *text.split(","), *_split_elements(text)]
    if len(pieces) > MAX_ELEMENTS:
        return pieces
    stripped = [one.strip(" \t") for one in pieces]
    unquoted = [one.strip('"').replace("\\", "") for one in stripped if '"' in one]
    return list(dict.fromkeys(stripped + unquoted))
