"""Templates that somebody gave, in the configuration or an OpenAPI file: which one a path is of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from shadow_agent.policy.template import MAX_SEGMENTS, MAX_TEXT, Template

# What the templates of a large service are; each costs some hundred bytes.
MAX_GIVEN: Final = 10_000
_split_names: Final = re.compile(r"\{[^{}/]*\}").split


class _Node:
    __slots__ = ("literals", "name", "partial", "rest", "wild")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node] = {}
        # segments such as {name}.json, by their literal parts; those with most of it first
        self.partial: dict[tuple[bytes, ...], _Node] = {}
        self.wild: _Node | None = None
        self.name: str | None = None  # of the template that ends here
        self.rest: str | None = None  # of the one that ends here with **

    def grow(self, part: tuple[bytes, ...]) -> _Node:
        if len(part) == 1:
            return self.literals.setdefault(part[0], _Node())
        if any(part):
            found = self.partial.setdefault(part, _Node())
            ordered = sorted(
                self.partial.items(), key=lambda item: (-sum(map(len, item[0])), item[0])
            )
            self.partial = dict(ordered)
            return found
        if self.wild is None:
            self.wild = _Node()
        return self.wild

    def reached(self, segment: bytes) -> list[_Node]:
        """What to go on with, the most literal first."""
        found = []
        child = self.literals.get(segment)
        if child is not None:
            found.append(child)
        if segment:
            found += [node for part, node in self.partial.items() if _fits(part, segment)]
            if self.wild is not None:
                found.append(self.wild)
        return found


class Given:
    """Literal segments win over ``{name}``, and that over ``**``, from left to right."""

    __slots__ = ("_root", "count")

    def __init__(self, templates: Iterable[str]) -> None:
        """As OpenAPI or `policy.template` write them. Raises ValueError with what is wrong."""
        self._root = _Node()
        self.count = 0
        for text in templates:
            self.count += 1
            if self.count > MAX_GIVEN:
                raise ValueError(f"more than {MAX_GIVEN} templates; give those that matter")
            node = self._root
            parts, rest = _parts(text)
            for part in parts:
                node = node.grow(part)
            if rest:
                node.rest = node.rest or text
            else:
                # two that differ in their names only are one
                node.name = node.name or text

    def find(self, segments: list[bytes]) -> str | None:
        """The template of a path, given by its decoded segments, or None.

        A node is reached in one way only, so it takes at most one step for each node.
        """
        waiting = [(self._root, 0)]
        end = len(segments)
        while waiting:
            node, at = waiting.pop()
            if at == end:
                if node.name is not None:
                    return node.name
                if node.rest is not None:
                    return node.rest
                continue
            if node.rest is not None:
                # after all that is longer
                waiting.append((_ending(node.rest), end))
            waiting += [(one, at + 1) for one in reversed(node.reached(segments[at]))]
        return None


def _ending(name: str) -> _Node:
    node = _Node()
    node.name = name
    return node


def _parts(text: str) -> tuple[list[tuple[bytes, ...]], bool]:
    """Each segment by what is literal in it: one part for a word, ("", "") for a name alone."""
    if "{" not in text or "*" in text:
        parsed = Template(text)
        return [(b"", b"") if one is None else (one,) for one in parsed.segments], parsed.rest
    if not text.startswith("/"):
        raise ValueError(f"{text!r} can never match: a path begins with /")
    if len(text) > MAX_TEXT or text.count("/") > MAX_SEGMENTS:
        raise ValueError(
            f"a path of {len(text)} characters; at most {MAX_TEXT} and {MAX_SEGMENTS} segments"
        )
    made = []
    for segment in text[1:].split("/"):
        part = tuple(one.encode() for one in _split_names(segment))
        if any(b"{" in one or b"}" in one for one in part):
            raise ValueError(f"{text!r}: a brace without its other; write {{name}}")
        made.append(part)
    return made, False


def _fits(part: tuple[bytes, ...], segment: bytes) -> bool:
    """Whether these literal parts stand in the segment, with something between each two."""
    if not segment.startswith(part[0]) or not segment.endswith(part[-1]):
        return False
    at, end = len(part[0]), len(segment) - len(part[-1])
    for between in part[1:-1]:
        found = segment.find(between, at + 1, end)
        if found < 0:
            return False
        at = found + len(between)
    return at < end
