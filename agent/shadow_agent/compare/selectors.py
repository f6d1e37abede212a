"""What the operator tolerates: selectors of RFC 9535, names of fields, and what applies there.

A tolerated difference is still found and counted: it is marked with the name of its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from shadow_agent.compare import times
from shadow_agent.compare.difference import Part
from shadow_agent.policy.jsonpath import Location, Path, Step

# Places that a selector which needs the document may lead to; over it, it is said.
_MAX_FOUND: Final = 100_000


class Action(StrEnum):
    """What is tolerated at a place."""

    IGNORE = "ignore"  # any difference, there and below
    ROUND = "round"  # digits behind the point
    ABSOLUTE = "absolute"  # numbers that far apart
    RELATIVE = "relative"  # numbers apart by that share of the larger
    SECONDS = "seconds"  # times that far apart
    SORT = "sort"  # the order of an array: by that member of its items, "" for the items
    SET = "set"  # order and repetition in an array


ALIGNING: Final = frozenset({Action.SORT, Action.SET})


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One rule: where, what, until when."""

    action: Action
    amount: float = 0.0
    key: str = ""
    json: Path | None = None  # in JSON; else ``name``
    part: Part = Part.BODY
    name: str = ""  # of a header, or a field of a form or multipart body, in lower case
    until: date | None = None  # the last day

    @property
    def label(self) -> str:
        """As a difference names what suppressed it."""
        return f"{self.action} {self.json.text if self.json is not None else self.name}"

    def holds(self, day: date | None) -> bool:
        """Not expired."""
        return self.until is None or day is None or day <= self.until

    def takes(self, production: Any, shadow: Any) -> bool:
        """Whether these two values are the same to it."""
        if self.action is Action.IGNORE:
            return True
        if self.action is Action.SECONDS:
            then, now = times.seconds(production), times.seconds(shadow)
            return then is not None and now is not None and abs(then - now) <= self.amount
        one, other = _number(production), _number(shadow)
        if one is None or other is None:
            return False
        try:
            if self.action is Action.ROUND:
                digits = int(self.amount)
                return bool(round(one, digits) == round(other, digits))
            apart = abs(one - other)
            if self.action is Action.ABSOLUTE:
                return bool(apart <= Decimal(str(self.amount)))
            if self.action is Action.RELATIVE:
                return bool(apart <= Decimal(str(self.amount)) * max(abs(one), abs(other)))
        except (ArithmeticError, ValueError):
            return False
        return False


class Tolerated:
    """The rules of one pair: which of them takes a difference at a place."""

    __slots__ = ("_documents", "_found", "_rules", "incomplete")

    def __init__(self, rules: Iterable[Tolerance], documents: Sequence[Any]) -> None:
        """``rules``: those with a selector; ``documents``: production's and the shadow's."""
        self._rules = [
            (one, one.json) for one in rules if one.json is not None and one.action not in ALIGNING
        ]
        self._documents = documents
        self._found: dict[str, set[Location]] = {}
        self.incomplete = False  # a selector was not followed to its end

    def at(self, location: Location, production: Any, shadow: Any) -> str:
        """The label of the first rule that takes it; "" when it counts."""
        for rule, path in self._rules:
            below = rule.action is Action.IGNORE
            if self._leads(path, location, below=below) and rule.takes(production, shadow):
                return rule.label
        return ""

    def _leads(self, path: Path, location: Location, *, below: bool) -> bool:
        if path.steps is not None:
            return leads(path.steps, location, below=below)
        found = self._found.get(path.text)
        if found is None:  # the document decides: only now, since most pairs are equal
            found = self._found[path.text] = set()
            for document in self._documents:
                places = path.find(document, _MAX_FOUND)
                found.update(one.location for one in places.places)
                self.incomplete |= not places.whole
        if not below:
            return location in found
        return any(location[:end] in found for end in range(len(location) + 1))


def leads(steps: Sequence[Step], location: Location, *, below: bool) -> bool:
    """Whether a path of these steps leads to a location, or with ``below`` to one above it."""
    deep = next((number for number, one in enumerate(steps) if one.deep), len(steps))
    before, after = steps[:deep], steps[deep:]
    if len(location) < len(steps) or not _fits(before, location, 0):
        return False
    last = len(location) - len(after)
    if not after:
        return below or last == len(before)
    if below:
        return any(_fits(after, location, start) for start in range(len(before), last + 1))
    return _fits(after, location, last)


class Aligned(NamedTuple):
    """An array that a rule brought into its order."""

    rule: Tolerance
    changed: bool


def align(rules: Iterable[Tolerance], document: Any) -> dict[int, Aligned]:
    """Bring arrays into the order that rules ask for, in place; by ``id()`` of each."""
    found: dict[int, Aligned] = {}
    for rule in rules:
        if rule.action not in ALIGNING or rule.json is None:
            continue
        for place in rule.json.find(document, _MAX_FOUND).places:
            items = place.value
            if not isinstance(items, list):
                continue
            before = list(items)
            items.sort(key=_key(rule.key))
            if rule.action is Action.SET:
                items[:] = {canonical(one): one for one in items}.values()
            changed = len(items) != len(before) or any(
                one is not other for one, other in zip(items, before, strict=True)
            )
            found[id(items)] = Aligned(rule, changed)
    return found


def canonical(value: Any) -> bytes:
    """The same for equal values; numbers with many digits keep them."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)


def _key(name: str) -> Callable[[Any], bytes]:
    def key(item: Any) -> bytes:
        return canonical(item.get(name) if name and isinstance(item, dict) else item)

    return key


def _fits(steps: Sequence[Step], location: Location, start: int) -> bool:
    return all(
        step.takes(key)
        for step, key in zip(steps, location[start : start + len(steps)], strict=True)
    )


def _number(value: Any) -> Decimal | None:
    """A number, also in a text: many APIs write amounts that way."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, str) and len(value) > 64:
        return None
    try:
        found = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return found if found.is_finite() else None
