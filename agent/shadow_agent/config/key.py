"""What a key of the configuration is, a table of them, and an array of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Key(NamedTuple):
    """A key's field and the function from what was written to what is meant."""

    field: str
    convert: Callable[[object], Any]
    # from what is meant to what JSON has, None for "not given"; else as `dump` does it
    show: Callable[[Any], Any] | None = None


class Section(NamedTuple):
    """A table ``[NAME]``: the field of Config that it fills, of which class, and its keys."""

    field: str
    make: Callable[..., Any]
    keys: Mapping[str, Key]


class Rows(NamedTuple):
    """An array of tables ``[[NAME]]``: the field of Config, what makes a row, and its keys."""

    field: str
    make: Callable[..., Any]  # of converted values by keyword; raises ValueError
    keys: Mapping[str, Key]
    # of all rows, to finish them and check them together; raises RowError
    together: Callable[[tuple[Any, ...]], tuple[Any, ...]] = tuple


class RowError(ValueError):
    """What is wrong with row ``number``, from 0, beside others."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number
