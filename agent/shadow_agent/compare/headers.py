"""Fields of two heads compared: those that are declared, whatever their case and order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shadow_agent.compare import volatile
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.options import DECLARED, How, Options

Headers = Sequence[tuple[bytes, bytes]]
# Attributes of a cookie that make it another cookie to a browser; a time is not among them.
_ATTRIBUTES: Final = frozenset({"domain", "httponly", "partitioned", "path", "samesite", "secure"})
_MOST: Final = 4096


class HeaderComparer:
    """Compares one pair of heads after the other."""

    __slots__ = ("_options", "_wanted")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._wanted = {
            name.encode("latin-1", "replace"): DECLARED.get(name, How.VALUE)
            for name in options.headers
        }

    def differ(self, production: Headers, shadow: Headers) -> bool:
        """Whether it is worth to compare them: quick, since most do not."""
        if production == shadow:
            return False
        wanted = self._wanted
        return [one for one in production if one[0].lower() in wanted] != [
            one for one in shadow if one[0].lower() in wanted
        ]

    def compare(self, into: Collector, production: Headers, shadow: Headers) -> None:
        """Collect the differences."""
        ours, theirs = self._by_name(production), self._by_name(shadow)
        for name, how in self._wanted.items():
            one, other = ours.get(name), theirs.get(name)
            if one == other:
                continue
            written = name.decode("latin-1")
            if one is None or other is None:
                kind = Kind.ADDED if one is None else Kind.MISSING
                self._add(into, written, kind, _plain(how, one), _plain(how, other))
            elif how is not How.PRESENCE:
                text, against = _plain(how, one), _plain(how, other)
                if text != against:
                    self._add(into, written, Kind.VALUE, text, against)

    def _by_name(self, headers: Headers) -> dict[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            lower = name.lower()
            if lower in self._wanted:
                found.setdefault(lower, []).append(value)
        return found

    def _add(self, into: Collector, name: str, kind: Kind, one: str, other: str) -> None:
        suppressed = self._options.named(Part.HEADER, name, one, other)
        if not suppressed and kind is Kind.VALUE and self._options.volatile:
            shape = volatile.shape(name, one, other)
            suppressed = f"volatile {shape}" if shape else ""
        into.add(Part.HEADER, name, kind, (one, other), suppressed=suppressed)


def _plain(how: How, values: Sequence[bytes] | None) -> str:
    """What is compared of a field: the same for what means the same."""
    if values is None:
        return ""
    texts = [value.decode("latin-1").strip()[:_MOST] for value in values]
    if how is How.TOKENS:
        tokens = {one.strip().lower() for text in texts for one in text.split(",")}
        return ", ".join(sorted(tokens - {""}))
    if how is How.MEDIA_TYPE:
        return ", ".join(map(_media_type, texts))
    if how is How.COOKIES:
        return ", ".join(sorted(map(_cookie, texts)))
    if how is How.SCHEME:
        return ", ".join(sorted(text.partition(" ")[0].lower() for text in texts))
    return ", ".join(texts)


def _media_type(text: str) -> str:
    kind, *parameters = (one.strip().lower() for one in text.split(";"))
    return "; ".join([kind, *sorted(one for one in parameters if one[:9] != "boundary=" and one)])


def _cookie(text: str) -> str:
    """Name and attributes; never the value."""
    pair, *attributes = text.split(";")
    kept = sorted(
        one.strip() for one in attributes if one.partition("=")[0].strip().lower() in _ATTRIBUTES
    )
    return "; ".join([pair.partition("=")[0].strip(), *(one.lower() for one in kept)])
