"""HTML and XML compared by what stands in which element: spaces and attributes' order aside.

No parser of browsers' rules: tags as written make the structure, so that both sides are read in
the same manner, in linear time, whatever they are.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shadow_agent.compare import volatile
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.sequence import pairs
from shadow_agent.compare.text import plain

_VOID: Final = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
})  # fmt: skip
_RAW: Final = frozenset({"script", "style", "textarea", "title"})
_find_name: Final = re.compile(r"[A-Za-z][^\s/>]{0,63}").match
_attributes: Final = re.compile(
    r"""([^\s=/>"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?"""
).findall
# Elements inside each other that are followed, and of those the ones that name a place.
_MAX_DEPTH: Final = 256
_NAMED: Final = 4


class Token(NamedTuple):
    """A tag or a text."""

    path: str  # the elements around it, the innermost last
    name: str  # of a tag, "" for a text
    text: str
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def written(self) -> str:
        """As it is shown."""
        if not self.name:
            return self.text
        inside = "".join(f' {name}="{value}"' for name, value in self.attributes)
        return f"<{self.name}{inside}>"


def compare_markup(
    into: Collector, production: bytes, shadow: bytes, *, shapes: bool = True
) -> None:
    """Collect the differences. ``shapes``: volatile values are told apart."""
    ours, theirs = tokens(production), tokens(shadow)
    for _, one, other in pairs(ours, theirs, _alike):
        if into.full:
            into.stop()
            return
        if one is None or other is None:
            token = one or other
            if token is not None:
                kind = Kind.ADDED if one is None else Kind.MISSING
                values = (one.written if one else "", other.written if other else "")
                into.add(Part.BODY, _place(token), kind, values)
        elif one.name:
            _compare_attributes(into, one, other, shapes=shapes)
        else:
            _value(into, _place(one), "", (one.text, other.text), shapes=shapes)


def tokens(body: bytes) -> list[Token]:
    """Tags and texts in order; comments and what is only space are left out."""
    # bytes are lower-cased in ASCII alone, so that indexes stay the same
    text, lower = plain(body), plain(body.lower())
    found: list[Token] = []
    stack: list[str] = []
    at, size = 0, len(text)
    while at < size:
        start = text.find("<", at)
        end = -1 if start < 0 else text.find(">", start)
        if end < 0:
            _text(found, stack, text[at:])  # no tag any more
            break
        _text(found, stack, text[at:start])
        if text.startswith("<!--", start):
            close = text.find("-->", start)
            at = size if close < 0 else close + 3
            continue
        at = end + 1
        if text.startswith("</", start):
            _close(stack, lower[start + 2 : end].strip())
            continue
        match = _find_name(text, start + 1)
        if match is None:
            if not text.startswith(("<!", "<?"), start):
                _text(found, stack, text[start:at])
            continue
        name = match[0].lower()
        found.append(Token(_path(stack), name, "", _read_attributes(text[match.end() : end])))
        if name in _VOID or text[end - 1] == "/":
            continue
        if name in _RAW:
            close = lower.find(f"</{name}", at)
            inside = text[at:] if close < 0 else text[at:close]
            _text(found, [*stack[-_NAMED:], name], inside)
            at = size if close < 0 else close
        if len(stack) < _MAX_DEPTH:
            stack.append(name)
    return found


def _text(found: list[Token], stack: list[str], text: str) -> None:
    words = " ".join(text.split())
    if words:
        found.append(Token(_path(stack), "", words))


def _close(stack: list[str], name: str) -> None:
    for number in range(len(stack) - 1, -1, -1):
        if stack[number] == name:
            del stack[number:]
            return


def _path(stack: list[str]) -> str:
    return " ".join(stack[-_NAMED:])


def _read_attributes(text: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name.lower(), " ".join((double or single or bare).split()))
            for name, double, single, bare in _attributes(text)
        )
    )


def _alike(one: Token, other: Token) -> bool:
    return one.name == other.name and one.path == other.path


def _place(token: Token) -> str:
    return " ".join(one for one in (token.path, token.name) if one) or "text"


def _compare_attributes(into: Collector, one: Token, other: Token, *, shapes: bool) -> None:
    ours, theirs = dict(one.attributes), dict(other.attributes)
    for name in sorted({*ours, *theirs}):
        value, against = ours.get(name), theirs.get(name)
        path = f"{_place(one)}@{name}"
        if value is None or against is None:
            kind = Kind.ADDED if value is None else Kind.MISSING
            into.add(Part.BODY, path, kind, (value or "", against or ""))
        elif value != against:
            # a hidden field's value is known by the field's name
            named = ours.get("name", name) if name in ("value", "content") else name
            _value(into, path, named, (value, against), shapes=shapes)


def _value(into: Collector, path: str, name: str, values: tuple[str, str], *, shapes: bool) -> None:
    shape = volatile.shape(name, *values) if shapes else ""
    suppressed = f"volatile {shape}" if shape else ""
    into.add(Part.BODY, path, Kind.VALUE, values, suppressed=suppressed)
