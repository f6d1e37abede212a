"""Forms compared by field, in whatever order they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus

from shadow_agent.compare import volatile
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.options import Options
from shadow_agent.compare.text import plain

MAX_FIELDS: Final = 2000

Fields = Mapping[str, Sequence[str]]


class TooManyFields(ValueError):
    """It is compared as bytes."""


def fields(body: bytes) -> dict[str, list[str]]:
    """By name, repeated ones in order. Raises TooManyFields."""
    found: dict[str, list[str]] = {}
    pairs = plain(body).split("&", MAX_FIELDS)
    if len(pairs) > MAX_FIELDS:
        raise TooManyFields("too many fields")
    for pair in pairs:
        if pair:
            name, _, value = pair.partition("=")
            found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return found


def compare_fields(into: Collector, production: Fields, shadow: Fields, options: Options) -> None:
    """Collect the fields that differ."""
    for name in sorted({*production, *shadow}):
        ours, theirs = production.get(name), shadow.get(name)
        if ours is None or theirs is None:
            kind = Kind.ADDED if ours is None else Kind.MISSING
            _add(into, name, kind, ((ours or ("",))[0], (theirs or ("",))[0]), options)
            continue
        if len(ours) != len(theirs):
            _add(into, name, Kind.LENGTH, (str(len(ours)), str(len(theirs))), options)
        for one, other in zip(ours, theirs, strict=False):
            if one != other:
                _add(into, name, Kind.VALUE, (one, other), options)


def _add(into: Collector, name: str, kind: Kind, values: tuple[str, str], options: Options) -> None:
    suppressed = options.named(Part.BODY, name.lower(), *values)
    if not suppressed and kind is Kind.VALUE and options.volatile:
        shape = volatile.shape(name, *values)
        suppressed = f"volatile {shape}" if shape else ""
    path = "*" if volatile.is_made_up(name) else name
    into.add(Part.BODY, f"field {path}", kind, values, at=f"field {name}", suppressed=suppressed)
