"""Which of many templates match a path: sets of rules as bits of a number, walked down a tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from shadow_agent.policy.readings import fold, read_target
from shadow_agent.policy.template import Template

# Verdicts on odd targets that are remembered: each took some hundred microseconds.
_CACHED: Final = 512


class Matches(NamedTuple):
    """Rules by what the target's readings say of their templates; bit n is rule n."""

    every: int  # of what opens: every reading matches
    some: int  # of what opens: some do, some do not
    any: int  # of what closes: any reading, case and a slash at the end aside, matches
    authority: bytes | None = None


class _Node:
    __slots__ = ("end", "literals", "rest", "wild")

    def __init__(self) -> None:
        self.literals: dict[bytes, _Node] = {}
        self.wild: _Node | None = None
        self.end = 0  # rules whose template ends here
        self.rest = 0  # rules whose template ends here with **

    def grow(self, segments: Iterable[bytes | None], *, rest: bool, bit: int) -> None:
        node = self
        for segment in segments:
            if segment is not None:
                node = node.literals.setdefault(segment, _Node())
            else:
                if node.wild is None:
                    node.wild = _Node()
                node = node.wild
        if rest:
            node.rest |= bit
        else:
            node.end |= bit

    def find(self, segments: list[bytes], *, lax: bool) -> int:
        """Rules that match; ``lax``: also an empty segment is any."""
        found = self.rest
        nodes = [self]
        for segment in segments:
            reached = []
            for node in nodes:
                child = node.literals.get(segment)
                if child is not None:
                    found |= child.rest
                    reached.append(child)
                child = node.wild
                if child is not None and (segment or lax):
                    found |= child.rest
                    reached.append(child)
            if not reached:
                return found
            nodes = reached
        for node in nodes:
            found |= node.end
        return found


class PathIndex:
    """The templates of all rules that have one."""

    __slots__ = ("_closing", "_known", "_of_closing", "_of_opening", "_opening")

    def __init__(self, templates: Iterable[tuple[int, Template, bool]]) -> None:
        """``(number, template, closes)``: a closing rule drops, any other lets something out."""
        self._opening = _Node()
        self._closing = _Node()
        self._of_opening = 0
        self._of_closing = 0
        self._known: dict[bytes, Matches] = {}
        for number, template, closes in templates:
            bit = 1 << number
            if closes:
                self._of_closing |= bit
                written = (b"\0" if one is None else one for one in template.segments)
                folded = fold(b"/" + b"/".join(written))
                wild = (None if one == b"\0" else one for one in folded.split(b"/")[1:])
                self._closing.grow(wild, rest=template.rest, bit=bit)
            else:
                self._of_opening |= bit
                self._opening.grow(template.segments, rest=template.rest, bit=bit)

    def find(self, target: bytes) -> Matches:
        """Of a request target as sent."""
        made = self._known.get(target)
        if made is not None:
            return made
        readings = read_target(target)
        paths = readings.paths
        if len(paths) == 1:
            every = self._open(paths[0])
            return Matches(every, 0, self._close(paths[0]), readings.authority)
        if readings.ambiguous:
            made = Matches(0, self._of_opening, self._of_closing, readings.authority)
        else:
            every, some, closing = self._of_opening if paths else 0, 0, 0
            for path in paths:
                opening = self._open(path)
                every &= opening
                some |= opening
                closing |= self._close(path)
            made = Matches(every, some & ~every, closing, readings.authority)
        if len(target) <= 1024:
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[target] = made
        return made

    def _open(self, path: bytes) -> int:
        return self._opening.find(path.split(b"/")[1:], lax=False) if self._of_opening else 0

    def _close(self, path: bytes) -> int:
        if not self._of_closing:
            return 0
        return self._closing.find(fold(path).split(b"/")[1:], lax=True)
