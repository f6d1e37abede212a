"""JSON as a document that says all the text says, or why it is not looked into.

orjson reads it, unless a text has what orjson would lose: more digits than a double has, members
of one name. Types are told apart: 1 is an int, 1.0 a float or a Decimal, true a bool.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson

# Digits and points as 0, so that a run of them is found without looking at every byte in Python.
_CLASSES: Final = bytes(
    ord("0") if one in b"0123456789." else ord("e") if one in b"eE"
    else ord("+") if one in b"+-" else ord(" ")
    for one in range(256)
)  # fmt: skip
# 15 digits survive a double. Within a string they only cost the slower parser.
_LONG: Final = (b"0" * 16, b"0e000", b"0e+000")
_find_names: Final = re.compile(rb'"[ \t\r\n]*:').findall
_SPACED: Final = (b" :", b"\n:", b"\t:", b"\r:")
_BOM: Final = b"\xef\xbb\xbf"
_ALIKE: Final = orjson.OPT_SORT_KEYS


class NotLookedInto(ValueError):
    """Why a body is compared as bytes."""


class Document(NamedTuple):
    """A parsed text."""

    value: Any
    canonical: bytes | None  # the same for the same document, whatever its spelling


def both(production: bytes, shadow: bytes) -> tuple[Document, Document]:
    """Parse both in the same manner. Raises NotLookedInto."""
    exact = _has_long(production) or _has_long(shadow)
    return (_parse(production, "production", exact), _parse(shadow, "shadow", exact))


def _parse(body: bytes, side: str, exact: bool) -> Document:
    body = body.removeprefix(_BOM)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = "too deep" if "limit" in str(error) else "not JSON"
        raise NotLookedInto(f"{side}: {reason}") from error
    try:
        canonical = orjson.dumps(value, option=_ALIKE)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise NotLookedInto(f"{side}: too deep") from error
    suspect = b"\\u0022" in body or _names(body) != _names(canonical)
    if not (exact or suspect):
        return Document(value, canonical)
    try:
        value = json.loads(
            body, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_members
        ) if exact else json.loads(body, object_pairs_hook=_members)  # fmt: skip
    except NotLookedInto as error:
        raise NotLookedInto(f"{side}: {error}") from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        # thousands of digits, which take quadratic time
        raise NotLookedInto(f"{side}: a number of thousands of digits") from error
    return Document(value, None if exact else canonical)


def _has_long(body: bytes) -> bool:
    classes = body.translate(_CLASSES)
    return any(one in classes for one in _LONG)


def _names(body: bytes) -> int:
    """How many members it has, give or take what looks like one within a text."""
    if any(one in body for one in _SPACED):
        return len(_find_names(body))
    return body.count(b'":')


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotLookedInto("a member name twice")
    return found


def _refuse(text: str) -> Any:
    raise NotLookedInto(f"{text} is no JSON")
