"""Two JSON documents compared by structure: without recursion, typed, linear in their size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from shadow_agent.compare import selectors, volatile
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.json_document import NotLookedInto, both
from shadow_agent.compare.selectors import (
    ALIGNING,
    Action,
    Aligned,
    Tolerance,
    Tolerated,
    canonical,
)
from shadow_agent.policy.jsonpath import Location

_is_plain: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}").fullmatch
_SCALARS: Final = (str, int, float, bool, type(None), Decimal)
# Of a value that may be large, only as much is written as is shown.
_FEW: Final = 20
# Arrays inside each other whose items are first compared as a whole: it stays linear.
_SHALLOW: Final = 4


def compare_json(
    into: Collector,
    production: bytes,
    shadow: bytes,
    rules: Sequence[Tolerance] = (),
    *,
    shapes: bool = True,
) -> None:
    """Collect the differences. ``shapes``: of volatile values are told apart.

    Raises NotLookedInto before it has collected any.
    """
    one, other = both(production, shadow)
    if one.canonical is not None and one.canonical == other.canonical:
        return  # spacing, escapes, the order of members
    aligned: tuple[dict[int, Aligned], dict[int, Aligned]] = ({}, {})
    if any(rule.action in ALIGNING for rule in rules):
        try:
            aligned = (selectors.align(rules, one.value), selectors.align(rules, other.value))
        except (TypeError, ValueError, RecursionError) as error:
            raise NotLookedInto("arrays that cannot be sorted") from error
    tolerated = Tolerated(rules, (one.value, other.value))
    known = one.canonical is not None and other.canonical is not None
    plain = known and not any(aligned)  # an order that a rule made is said, within items too
    _Walk(into, tolerated, aligned, shapes=shapes, plain=plain).run(one.value, other.value)
    if tolerated.incomplete:
        into.note("a selector was not followed to its end: too deep or too many places")


class _Walk:
    __slots__ = ("_aligned", "_into", "_plain", "_shapes", "_tolerated")

    def __init__(
        self,
        into: Collector,
        tolerated: Tolerated,
        aligned: tuple[dict[int, Aligned], dict[int, Aligned]],
        *,
        shapes: bool,
        plain: bool,
    ) -> None:
        self._into = into
        self._plain = plain  # items may be compared as orjson writes them
        self._tolerated = tolerated
        self._aligned = aligned
        self._shapes = shapes

    def run(self, production: Any, shadow: Any) -> None:
        todo: list[tuple[Location, Any, Any]] = [((), production, shadow)]
        while todo:
            if self._into.full:
                self._into.stop()
                return
            location, one, other = todo.pop()
            kind = type(one)
            if kind is not type(other):
                self._found(location, Kind.TYPE, one, other)
            elif kind is dict:
                self._members(todo, location, one, other)
            elif kind is list:
                self._items(todo, location, one, other)
            elif one != other:
                self._found(location, Kind.VALUE, one, other)

    def _members(
        self,
        todo: list[tuple[Location, Any, Any]],
        location: Location,
        one: dict[str, Any],
        other: dict[str, Any],
    ) -> None:
        common = 0
        inner = []
        for name, value in one.items():
            if name not in other:
                self._found((*location, name), Kind.MISSING, value, None)
                continue
            common += 1
            theirs = other[name]
            kind = type(value)
            # most members are equal scalars: nothing is made for them
            if kind is not type(theirs) or kind is dict or kind is list or value != theirs:
                inner.append(((*location, name), value, theirs))
        if common != len(other):
            for name, value in other.items():
                if name not in one:
                    self._found((*location, name), Kind.ADDED, None, value)
        todo.extend(reversed(inner))

    def _items(
        self, todo: list[tuple[Location, Any, Any]], location: Location, one: list[Any],
        other: list[Any],
    ) -> None:  # fmt: skip
        aligned = self._aligned[0].get(id(one)), self._aligned[1].get(id(other))
        for side in aligned:
            if side is not None and side.changed:
                order = ("one order", "another order")
                self._add(location, Kind.ORDER, *order, side.rule.label)
                break
        if any(side is not None and side.rule.action is Action.SET for side in aligned):
            self._as_sets(location, one, other)
            return
        if len(one) != len(other):
            self._found(location, Kind.LENGTH, len(one), len(other))
        inner = []
        shallow = self._plain and len(location) < _SHALLOW
        for index, (value, against) in enumerate(zip(one, other, strict=False)):
            kind = type(value)
            if kind is not type(against):
                inner.append(((*location, index), value, against))
            elif kind is dict or kind is list:
                # most items are equal: that costs a tenth of walking through them
                if not (shallow and orjson.dumps(value) == orjson.dumps(against)):
                    inner.append(((*location, index), value, against))
            elif value != against:
                inner.append(((*location, index), value, against))
        todo.extend(reversed(inner))

    def _as_sets(self, location: Location, one: list[Any], other: list[Any]) -> None:
        ours = {canonical(value): index for index, value in enumerate(one)}
        theirs = {canonical(value): index for index, value in enumerate(other)}
        for key, index in ours.items():
            if key not in theirs:
                self._found((*location, index), Kind.MISSING, one[index], None)
        for key, index in theirs.items():
            if key not in ours:
                self._found((*location, index), Kind.ADDED, None, other[index])

    def _found(self, location: Location, kind: Kind, one: Any, other: Any) -> None:
        suppressed = self._tolerated.at(location, one, other)
        if not suppressed and self._shapes and kind is Kind.VALUE:
            name = next((key for key in reversed(location) if isinstance(key, str)), "")
            shape = volatile.shape(name, one, other)
            suppressed = f"volatile {shape}" if shape else ""
        self._add(
            location,
            kind,
            "" if kind is Kind.ADDED else written(one),
            "" if kind is Kind.MISSING else written(other),
            suppressed,
        )

    def _add(self, location: Location, kind: Kind, one: str, other: str, suppressed: str) -> None:
        self._into.add(
            Part.BODY,
            template(location),
            kind,
            (one, other),
            at=concrete(location),
            suppressed=suppressed,
        )


def template(location: Location) -> str:
    """A path for all places like this one: ``$.items[*].price``."""
    return "$" + "".join(
        "[*]" if isinstance(key, int) else ".*" if volatile.is_made_up(key) else _name(key)
        for key in location
    )


def concrete(location: Location) -> str:
    """The path of this place."""
    return "$" + "".join(f"[{key}]" if isinstance(key, int) else _name(key) for key in location)


def written(value: Any) -> str:
    """A value as JSON has it, of large ones the beginning."""
    if isinstance(value, dict):
        few = [(name, value[name]) for name, _ in zip(value, range(_FEW), strict=False)]
        inside = ",".join(f"{_quoted(name)}:{_brief(one)}" for name, one in few)
        return f"{{{inside}{',…' if len(value) > _FEW else ''}}}"
    if isinstance(value, list):
        inside = ",".join(_brief(one) for one in value[:_FEW])
        return f"[{inside}{',…' if len(value) > _FEW else ''}]"
    return _brief(value)


def _brief(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict | list):
        return "{…}" if isinstance(value, dict) else "[…]"
    if isinstance(value, int) and not isinstance(value, bool):
        # only as a whole number of more than 4,300 digits, which no parser gives us
        return str(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _quoted(text: str) -> str:
    return canonical(text[:200]).decode("utf-8", "replace")


def _name(key: str) -> str:
    if _is_plain(key):
        return f".{key}"
    return "['" + key[:200].replace("\\", "\\\\").replace("'", "\\'") + "']"
