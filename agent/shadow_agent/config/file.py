"""The configuration file: TOML with a key per flag, a table per section, and ``[target.NAME]``.

A target's table takes what the file itself takes. All of it is checked when it is read, also the
tables of targets nobody chose today: a slip of the pen should show on the day it is written.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from shadow_agent.config import parse
from shadow_agent.config.key import Key, RowError, Rows
from shadow_agent.config.keys import KEYS, ROWS, SECTIONS, convert, find
from shadow_agent.config.position import Position, why_unparsed
from shadow_agent.errors import UsageError

_MAX_BYTES: Final = 1 << 20
SYSTEM_FILE: Final = Path("/etc/shadow-agent/config.toml")

# In a target's own table its name is already said.
_TARGET_KEYS: Final = {name: key for name, key in KEYS.items() if name != "target"}


class Settings(NamedTuple):
    """Converted values by field of Config, and of each section; what is not given is absent."""

    values: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]
    # of those that a file gives: by field, or SECTION.FIELD, or FIELD.NUMBER of a row, from 0
    where: Mapping[str, Position]

    def over(self, other: Settings) -> Settings:
        """These settings, and the other's where these say nothing; rows are not mixed."""
        names = {**other.sections, **self.sections}
        return Settings(
            {**other.values, **self.values},
            {
                name: {**other.sections.get(name, {}), **self.sections.get(name, {})}
                for name in names
            },
            {name: at for name, at in other.where.items() if not self._has(name)}
            | dict(self.where),
        )

    def _has(self, name: str) -> bool:
        section, dot, field = name.rpartition(".")
        return field in (self.sections.get(section, {}) if dot else self.values)


NOTHING: Final = Settings({}, {}, {})


class File(NamedTuple):
    """What a file says: for every target, and for each by name."""

    settings: Settings = NOTHING
    targets: Mapping[str, Settings] = MappingProxyType({})


def read(path: Path | None) -> File:
    """Read ``--config``, or the system's file if there is one. Raises UsageError."""
    if path is None:
        if not SYSTEM_FILE.exists():
            return File()
        path = SYSTEM_FILE
    text, tree = parsed(path, "--config")
    position = Position(path, text)
    targets = {}
    if isinstance(tree.get("target"), dict):
        for name, table in tree.pop("target").items():
            targets[name] = _target(name, table, position / "target" / name)
    return File(_settings(tree, position, KEYS), targets)


def parsed(path: Path, flag: str) -> tuple[str, dict[str, Any]]:
    """The text of the file that this flag names, and what it says. Raises UsageError."""
    try:
        with path.open("rb") as source:
            data = source.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{flag} {path}: {error.strerror}", "name a file that can be read"
        ) from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{flag} {path}: above {_MAX_BYTES} bytes", "is it the right file?")
    text = _decoded(path, data)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line, reason = why_unparsed(text, error)
        raise UsageError(
            f"{path}:{line}: not TOML: {reason}", 'a line is KEY = "text" or a number'
        ) from error
    return text, tree


def _decoded(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")  # Windows' editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not UTF-8", "save it as UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UsageError(f"{path}:{line}: a NUL byte in it", "save it as text, in UTF-8")
    return text


def lasting(path: Path | None) -> Path | None:
    """The same, if it can be read again under way: a pipe would keep us waiting, or be empty.

    Raises UsageError.
    """
    if path is not None and path.exists() and not path.is_file():
        raise UsageError(
            f"--config {path}: no file that lasts, so it cannot be read again",
            "detach and attach again",
        )
    return path


def settings_of(tree: Mapping[str, object]) -> Settings:
    """Of what a file would say at its top; what travels between our own processes."""
    return _settings(tree, Position(Path("settings"), ""), KEYS)


def _target(name: str, table: object, where: Position) -> Settings:
    try:
        parse.target(name)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
    return _settings(_table(table, where, f"[target.{name}]"), where, _TARGET_KEYS)


def _settings(table: Mapping[str, object], where: Position, keys: Mapping[str, Key]) -> Settings:
    values: dict[str, Any] = {}
    sections: dict[str, Mapping[str, Any]] = {}
    places: dict[str, Position] = {}
    for written, value in table.items():
        here = where / written
        if written in SECTIONS:
            section = SECTIONS[written]
            inside = _table(value, here, f"[{written}]")
            sections[section.field] = _values(inside, here, section.keys)
            for name in inside:
                field = find(section.keys, name, here).field
                places[f"{section.field}.{field}"] = here / name
        elif written in ROWS:
            rows = ROWS[written]
            values[rows.field] = _rows(rows, value, here, f"[[{written}]]")
            for number in range(len(values[rows.field])):
                places[f"{rows.field}.{number}"] = here / number
        else:
            values.update(_values({written: value}, where, keys))
            places[find(keys, written, where).field] = here
    return Settings(values, sections, places)


def _rows(rows: Rows, value: object, where: Position, header: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: not an array of tables", f"write {header} above each")
    made = []
    for number, row in enumerate(value):
        here = where / number
        found = _values(_table(row, here, header), here, rows.keys)
        try:
            made.append(rows.make(**found))
        except ValueError as error:
            raise UsageError(f"{here}: {error}") from error
    try:
        return rows.together(tuple(made))
    except RowError as error:
        raise UsageError(f"{where / error.number}: {error}") from error


def _table(value: object, where: Position, header: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UsageError(f"{where}: not a table", f"write {header} and its keys below")
    return value


def _values(
    table: Mapping[str, object], where: Position, keys: Mapping[str, Key]
) -> dict[str, Any]:
    found = {}
    for written, value in table.items():
        key = find(keys, written, where.of(written))
        found[key.field] = convert(key, value, where / written)
    return found
