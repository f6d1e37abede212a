"""JSON text changed value by value: each is spliced in where it stands, all other bytes stay.

No parser and printer: they would lose the difference between 1.0 and 1, large numbers, the order
and spacing of members. What parsers read differently (member names given twice, other encodings
than UTF-8, deep nesting) is not JSON to us: a body in which a server may see another value than we
do cannot be changed honestly.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import Enum
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final, NamedTuple

# Objects and arrays inside each other, as `policy.jsonpath` finds its way through.
MAX_DEPTH: Final = 64
_skip_space: Final = re.compile(r"[ \t\n\r]*").match
_match_number: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").match
is_number: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_LITERALS: Final = ("true", "false", "null")

# Member names and array indexes from the root.
Location = tuple[str | int, ...]


class Kind(Enum):
    """What a value is."""

    STRING = "string"
    NUMBER = "number"
    LITERAL = "literal"  # true, false, null
    CONTAINER = "container"  # an object or an array


class Value(NamedTuple):
    """One value and where it stands in the text."""

    location: Location
    kind: Kind
    start: int
    end: int
    begin: int  # of its member, name included; the same as start in an array
    text: str  # a string's value, else as written; "" for a container


class NotPlain(ValueError):
    """Not JSON, or JSON that not everybody reads alike."""


def scan(text: str) -> list[Value]:
    """Every value, in order of their ends. Raises NotPlain."""
    found: list[Value] = []
    try:
        end = _Scanner(text, found).value((), _space(text, 0), 0)
    except (ValueError, IndexError, RecursionError) as error:
        raise NotPlain(str(error)) from error
    if _space(text, end) != len(text):
        raise NotPlain("text behind the value")
    return found


def decode(body: bytes) -> str:
    """The text of a JSON body. Raises NotPlain."""
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlain("not UTF-8") from error


def load(text: str) -> Any:
    """The document, for a JSONPath. Raises NotPlain."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotPlain(str(error)) from error


def replace(text: str, values: list[Value], change: Callable[[Value], str | None]) -> str:
    """The text with some values written anew; ``change`` gives JSON text, or None to leave one."""
    pieces = []
    done = 0
    for value in values:
        made = change(value)
        if made is not None and value.start >= done:
            pieces += [text[done : value.start], made]
            done = value.end
    return "".join([*pieces, text[done:]]) if pieces else text


def remove(text: str, value: Value) -> str:
    """The text without one member or item, and without the comma beside it. Raises NotPlain."""
    if not value.location:
        raise NotPlain("the document itself")
    after = _space(text, value.end)
    if text[after] == ",":
        return text[: value.begin] + text[_space(text, after + 1) :]
    before = text[: value.begin].rstrip(" \t\n\r")
    return before.removesuffix(",") + text[value.end :]


def quoted(value: str) -> str:
    """As a JSON string."""
    return json.dumps(value)


def _space(text: str, at: int) -> int:
    found = _skip_space(text, at)
    return at if found is None else found.end()


def _string(text: str, at: int) -> tuple[str, int]:
    made: tuple[str, int] = scanstring(text, at + 1, True)
    return made


class _Scanner:
    __slots__ = ("_found", "_text")

    def __init__(self, text: str, found: list[Value]) -> None:
        self._text = text
        self._found = found

    def value(self, location: Location, at: int, depth: int, begin: int | None = None) -> int:
        """Read one that starts at ``at``; returns behind it."""
        if begin is None:
            begin = at
        text = self._text
        first = text[at]
        kind, said = Kind.CONTAINER, ""
        if first == '"':
            said, end = _string(text, at)
            kind = Kind.STRING
        elif first in "{[":
            if depth >= MAX_DEPTH:
                raise NotPlain("nested too deep")
            read = self._object if first == "{" else self._array
            end = read(location, _space(text, at + 1), depth + 1)
        else:
            number = _match_number(text, at)
            if number is not None:
                kind, said, end = Kind.NUMBER, number[0], number.end()
            else:
                said = next((one for one in _LITERALS if text.startswith(one, at)), "")
                if not said:
                    raise NotPlain("no value")
                kind, end = Kind.LITERAL, at + len(said)
        self._found.append(Value(location, kind, at, end, begin, said))
        return end

    def _object(self, location: Location, at: int, depth: int) -> int:
        text = self._text
        if text[at] == "}":
            return at + 1
        names = set()
        while True:
            if text[at] != '"':
                raise NotPlain("no member name")
            begin = at
            name, at = _string(text, at)
            if name in names:
                raise NotPlain("a member name twice")
            names.add(name)
            at = _space(text, at)
            if text[at] != ":":
                raise NotPlain("no colon")
            at = self.value((*location, name), _space(text, at + 1), depth, begin)
            at = _space(text, at)
            if text[at] == "}":
                return at + 1
            if text[at] != ",":
                raise NotPlain("no comma")
            at = _space(text, at + 1)

    def _array(self, location: Location, at: int, depth: int) -> int:
        text = self._text
        if text[at] == "]":
            return at + 1
        index = 0
        while True:
            at = self.value((*location, index), at, depth)
            at = _space(text, at)
            if text[at] == "]":
                return at + 1
            if text[at] != ",":
                raise NotPlain("no comma")
            at = _space(text, at + 1)
            index += 1
