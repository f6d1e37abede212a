"""Shape: what one segment of a path looks like. It needs no memory, so all workers agree on it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote_from_bytes

# Longer segments are nobody's route: tokens, text, an attack.
MAX_SEGMENT: Final = 64

NUMBER: Final = "{number}"
LONG: Final = "{long}"
# What several values of one position become, when they are too many to be names.
ANY: Final = "{any}"
# Shapes whose values may be somebody's secret or name: they are never shown.
SECRET: Final = frozenset({"{uuid}", "{hex}", "{token}", "{email}", "{id}", LONG})

_CACHED: Final = 4096
# In this order: the first that matches the whole segment. Linear: nothing repeats in a repetition.
_SHAPES: Final = tuple(
    (name, re.compile(expression).fullmatch)
    for name, expression in (
        (
            "{date}",
            rb"[12][0-9]{3}-[01][0-9](-[0-3][0-9]([T ][0-9:.]{4,16}(Z|[+-][0-9:]{4,5})?)?)?",
        ),
        (NUMBER, rb"[-+]?[0-9]+"),
        ("{uuid}", rb"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
        ("{hex}", rb"(?=[a-f]*[0-9])[0-9a-f]{8,64}|(?=[A-F]*[0-9])[0-9A-F]{8,64}"),
        ("{email}", rb"[^@/]{1,64}@[^@/.]+\.[^@/]+"),
        # an id of a kind: order-10443, cus_Nf9cXoQ1
        ("{id}", rb"[A-Za-z]{1,8}[-_:]([0-9]{3,}|[0-9a-f]{8,}|(?=\D*[0-9])(?=[^A-Z]*[A-Z])\w{6,})"),
        # base64url and the like: lower, upper and digits in it; or one case and many digits
        ("{token}", rb"(?=[^0-9]*[0-9])(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[A-Za-z0-9_=-]{16,}"),
        ("{token}", rb"(?=(\D*[0-9]){3})([a-z0-9]{20,}|[A-Z0-9]{20,})"),
    )
)
_plain: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,=:@-]+").fullmatch
# A file's name; before its last dots may stand an id.
_file: Final = re.compile(rb"([^.]+)((?:\.[^.]+){0,2}\.[A-Za-z][A-Za-z0-9]{0,4})").fullmatch


def shape_of(segment: bytes) -> str | None:
    """The class of a decoded segment, as it stands in a template; None: it is a word like others.

    What shapes a file's name keeps its ending: ``17.json`` is ``{number}.json``, and
    ``main.8f3a9c1b.js`` is ``main.{hex}.js``.
    """
    return _number(segment) if segment.isdigit() else _shape_of(segment)


def literal(segment: bytes) -> str:
    """A segment as text: what is not plain stays percent-encoded, braces too."""
    return segment.decode() if _plain(segment) else quote_from_bytes(segment, safe="!$&'()*+,=:@")


def _number(segment: bytes) -> str:
    return NUMBER if len(segment) <= MAX_SEGMENT else LONG


@lru_cache(_CACHED)
def _shape_of(segment: bytes) -> str | None:
    if len(segment) > MAX_SEGMENT:
        return LONG
    whole = _class(segment)
    if whole is not None or b"." not in segment:
        return whole
    found = _file(segment)
    if found is None:
        return None
    stem, ending = found.groups()
    first = _class(stem)
    if first is not None:
        return first + literal(ending)
    parts = ending[1:].split(b".")
    named = [_class(part) if len(part) >= 8 else None for part in parts[:-1]]
    if not any(named):
        return None
    rest = [name or literal(part) for name, part in zip(named, parts, strict=False)]
    return ".".join((literal(stem), *rest, literal(parts[-1])))


def _class(segment: bytes) -> str | None:
    for name, matches in _SHAPES:
        if matches(segment):
            return name
    return None
