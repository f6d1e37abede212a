"""JSON with its secrets replaced: values at paths, members by name, and what any text says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import orjson

from shadow_agent.policy.jsonpath import MAX_DEPTH, Path, replace
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.telemetry.reasons import Withheld

# Beyond it no float is a card number.
_MAX_FLOAT: Final = 1e19


# A member that names another one beside it, and that other one: {"name": "pin", "value": 1}.
_NAMING: Final = ("name", "key", "field", "id", "Name", "Key", "Field", "Id")
_NAMED: Final = frozenset({"value", "val", "content", "data", "Value", "Val", "Content", "Data"})


class WithheldError(Exception):
    """The whole body is withheld."""

    def __init__(self, reason: Withheld) -> None:
        super().__init__(reason)
        self.reason = reason


class JsonRedactor:
    """Redacts one document after the other."""

    __slots__ = ("_paths", "_text")

    def __init__(self, text: TextRedactor, paths: Sequence[Path] = ()) -> None:
        """``paths``: what they lead to is replaced whatever it is."""
        self._text = text
        self._paths = tuple(paths)

    def redact(self, data: bytes) -> bytes:
        """The document anew, without white space. WithheldError if it is none, or too deep."""
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise WithheldError(Withheld.UNPARSABLE) from error
        for path in self._paths:
            found = path.find(document)
            if not found.whole:
                raise WithheldError(Withheld.CROWDED)
            for place in reversed(found.places):  # the innermost first
                document = replace(document, place.location, self._token("json", place.value))
        return orjson.dumps(self._walk(document, 0))

    def _walk(self, value: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise WithheldError(Withheld.TOO_DEEP)
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dict):
            hidden = not _NAMED.isdisjoint(value) and self._names_secret(value)
            return {
                self._string(name): self._member(name, one, depth, hidden=hidden and name in _NAMED)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._walk(one, depth + 1) for one in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _names_secret(self, value: dict[str, Any]) -> bool:
        return any(
            isinstance(name := value.get(one), str) and self._text.is_secret(name)
            for one in _NAMING
        )

    def _member(self, name: str, value: Any, depth: int, *, hidden: bool) -> Any:
        says_nothing = value in (None, "") or isinstance(value, bool)
        if says_nothing or not (hidden or self._text.is_secret(name)):
            return self._walk(value, depth + 1)
        return self._token("secret", value)

    def _string(self, value: str) -> str:
        if not value:
            return value
        return self._text.clean(value.encode()).decode("utf-8", "replace")

    def _number(self, value: int | float) -> Any:  # noqa: PYI041 - both come, and are told apart
        """A card number stays one without quotes."""
        if isinstance(value, float):
            if not value.is_integer() or abs(value) >= _MAX_FLOAT:
                digits = repr(value)
            else:
                digits = str(int(value))
        else:
            digits = str(value)
        done = self._text.clean(digits.encode())
        return value if done == digits.encode() else done.decode()

    def _token(self, kind: str, value: Any) -> str:
        if isinstance(value, str):
            raw = value.encode()
        else:
            try:
                raw = orjson.dumps(value)
            except (orjson.JSONEncodeError, RecursionError) as error:
                raise WithheldError(Withheld.TOO_DEEP) from error
        return self._text.token(kind, raw).decode()
