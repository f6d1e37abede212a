"""JSONPath (RFC 9535) with bounds: a path of the operator's, on documents of anybody's.

The grammar is jsonpath-rfc9535's. What could make a short path expensive on a hostile document is
refused when the path is parsed, so that `find` takes time linear in the document:

- one ``..`` at most, and queries inside a filter lead to one place each (``@.a.b``),
- no more than 16 selectors that may choose the same place twice (``[*, *]``),
- no ``match()`` and ``search()``: their engine backtracks (rules have regular expressions of
  their own, see `policy.redact_rules`).
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from jsonpath_rfc9535 import JSONPathEnvironment, JSONPathError, JSONPathQuery
from jsonpath_rfc9535.filter_expressions import (
    ComparisonExpression,
    Expression,
    FilterExpression,
    FilterQuery,
    FunctionExtension,
    LogicalExpression,
    PrefixExpression,
)
from jsonpath_rfc9535.segments import JSONPathRecursiveDescentSegment
from jsonpath_rfc9535.selectors import (
    FilterSelector,
    IndexSelector,
    NameSelector,
    SliceSelector,
    WildcardSelector,
)

# Member names and array indexes from the root; () is the document itself.
Location: TypeAlias = tuple[str | int, ...]

# Characters of a path: what somebody writes by hand.
MAX_TEXT: Final = 512
# What one find gives back unless told otherwise. Over it the rest is not looked for, and said.
MAX_FOUND: Final = 1000
# Objects and arrays inside each other. Over it: too deep, nothing is found, and said.
MAX_DEPTH: Final = 64
_MAX_CHOICES: Final = 16


class Place(NamedTuple):
    """Where a path led, and what is there."""

    location: Location
    value: Any


class Found(NamedTuple):
    """All places, unless the document was too large or deep for the path (``whole`` is False)."""

    places: list[Place]
    whole: bool


class Step(NamedTuple):
    """One segment of a path that says by itself which locations it leads to."""

    names: frozenset[str | int] | None  # None: any
    deep: bool  # behind any number of others: ``..``

    def takes(self, key: str | int) -> bool:
        """Whether this member name or index is one of its."""
        return self.names is None or key in self.names


class _Environment(JSONPathEnvironment):
    max_recursion_depth = MAX_DEPTH

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in ("match", "search"):
            del self.function_extensions[name]


_ENVIRONMENT: Final = _Environment()


class Path:
    """A parsed path. Immutable; equal when the text is."""

    __slots__ = ("_direct", "_query", "empty", "steps", "text")

    def __init__(self, text: str) -> None:
        """Parse. Raises ValueError with one line: what, where, the fix."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"a JSONPath of {len(text)} characters; at most {MAX_TEXT} are read")
        try:
            query = _ENVIRONMENT.compile(text)
            _check(query)
        except JSONPathError as error:
            column = 1 if error.token is None else error.token.index + 1
            reason = " ".join(str(error.args[0]).split()) if error.args else "not a JSONPath"
            raise ValueError(
                f"not a JSONPath: {text!r}: {reason}, column {column}; "
                "write $.name, $.list[*].name or $..name"
            ) from error
        except RecursionError as error:
            raise ValueError(f"not a JSONPath: {text[:40]!r}…: nested too deep") from error
        self.text = text
        self._query = query
        self._direct = _direct(query)
        # None where the document decides: a filter, a slice, an index from the end
        self.steps = _steps(query)
        self.empty = any(_is_empty(one) for segment in query.segments for one in segment.selectors)

    def __repr__(self) -> str:
        """As written."""
        return f"Path({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    @property
    def singular(self) -> bool:
        """It leads to one place at most: names and indexes only."""
        return self._direct is not None

    def find(self, document: Any, limit: int = MAX_FOUND) -> Found:
        """Where it leads in what a JSON parser returned, in the order of RFC 9535."""
        if self._direct is not None:
            place = _walk(document, self._direct)
            return Found([] if place is None else [place], whole=True)
        places: list[Place] = []
        whole = True
        try:
            for node in islice(self._query.finditer(document), limit + 1):
                if len(places) == limit:
                    whole = False
                    break
                places.append(Place(node.location, node.value))
        except (JSONPathError, RecursionError):
            whole = False  # deeper than MAX_DEPTH
        return Found(places, whole)


def replace(document: Any, location: Location, value: Any) -> Any:
    """Put ``value`` at a place that `Path.find` gave, in place; returns the document.

    For () that is ``value`` itself. Raises LookupError or TypeError when there is no such place.
    """
    if not location:
        return value
    parent = document
    for key in location[:-1]:
        parent = parent[key]
    parent[location[-1]]  # raises: a place that is not there is not made
    parent[location[-1]] = value
    return document


def _direct(query: JSONPathQuery) -> Location | None:
    """The keys of a path that leads to one place at most."""
    keys: list[str | int] = []
    for segment in query.segments:
        if isinstance(segment, JSONPathRecursiveDescentSegment) or len(segment.selectors) != 1:
            return None
        (selector,) = segment.selectors
        if isinstance(selector, NameSelector):
            keys.append(selector.name)
        elif isinstance(selector, IndexSelector):
            keys.append(selector.index)
        else:
            return None
    return tuple(keys)


def _steps(query: JSONPathQuery) -> tuple[Step, ...] | None:
    steps = []
    for segment in query.segments:
        names: set[str | int] = set()
        for selector in segment.selectors:
            if isinstance(selector, WildcardSelector):
                continue
            if isinstance(selector, NameSelector):
                names.add(selector.name)
            elif isinstance(selector, IndexSelector) and selector.index >= 0:
                names.add(selector.index)
            else:
                return None
        whole = any(isinstance(one, WildcardSelector) for one in segment.selectors)
        deep = isinstance(segment, JSONPathRecursiveDescentSegment)
        steps.append(Step(None if whole else frozenset(names), deep))
    return tuple(steps)


def _is_empty(selector: object) -> bool:
    """A slice that takes nothing of any array."""
    if not isinstance(selector, SliceSelector):
        return False
    part = selector.slice
    step = 1 if part.step is None else part.step
    if step == 0:
        return True
    start, stop = part.start, part.stop
    if start is None or stop is None or (start < 0) != (stop < 0):
        return False
    return start >= stop if step > 0 else start <= stop


def _walk(document: Any, keys: Location) -> Place | None:
    """As the library would, without its generators: 0.3 µs instead of 5."""
    value = document
    location: list[str | int] = []
    for key in keys:
        if isinstance(key, str):
            if not isinstance(value, dict) or key not in value:
                return None
            value = value[key]
            location.append(key)
        else:
            if not isinstance(value, list) or not -len(value) <= key < len(value):
                return None
            location.append(key if key >= 0 else len(value) + key)
            value = value[key]
    return Place(tuple(location), value)


def _check(query: JSONPathQuery) -> None:
    """Refuse what is not linear. Raises ValueError."""
    descents = 0
    choices = 1
    for segment in query.segments:
        descents += isinstance(segment, JSONPathRecursiveDescentSegment)
        choices *= len(segment.selectors)
        for selector in segment.selectors:
            if isinstance(selector, FilterSelector):
                _check_filter(selector.expression)
    if descents > 1:
        raise ValueError("a JSONPath with more than one `..`; name the members between them")
    if choices > _MAX_CHOICES:
        raise ValueError(
            f"a JSONPath with more than {_MAX_CHOICES} combinations of selectors; "
            "write several paths"
        )


def _check_filter(expression: Expression) -> None:
    match expression:
        case FilterExpression():
            _check_filter(expression.expression)
        case PrefixExpression():
            _check_filter(expression.right)
        case LogicalExpression() | ComparisonExpression():
            _check_filter(expression.left)
            _check_filter(expression.right)
        case FunctionExtension():
            for argument in expression.args:
                _check_filter(argument)
        case FilterQuery():
            if _direct(expression.query) is None:
                raise ValueError(
                    f"a JSONPath with the query {expression} in a filter; "
                    "it must lead to one place: @.name.name"
                )
        case _:
            pass  # a literal
