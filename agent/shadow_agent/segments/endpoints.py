"""Endpoint: the template that a request's path is of, given or learned, from a bounded set.

A path is first looked for among the given templates. What none matches is learned: a segment that
looks like an id is its shape at once (`segments.shape`), in every worker alike; words stay words
until a position of the paths has had more than ``most_words``: then those that few paths went
through, and all that come later, are ``{any}`` there. A word that a good share of the paths went
through stays (``/api`` is a route, however many names of users stand beside it).

Which words a worker has seen by when is chance, so two workers may differ in those; `segments.join`
says what the names of several workers are together.

Paths that production does not know (404 and its kin) teach nothing: a scan for a million files must
not turn a service's routes into ``{any}``. Some of them are known by name, the rest is ``other``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar
from urllib.parse import unquote_to_bytes

from shadow_agent.segments.given import Given
from shadow_agent.segments.shape import ANY, literal, shape_of
from shadow_agent.segments.spelling import segments_of

OTHER: Final = "other"  # no path can be spelt so: it begins with "/" or is "*"
# What a client sends to a resource that is not there, or that nobody could mean.
_TEACH_NOTHING: Final = frozenset({400, 404, 405, 410, 414, 431, 501})
# Paths that are remembered with their names: at most 256 bytes each, some 2 MB.
_CACHED: Final = 4096
_CACHED_BYTES: Final = 256
# Nodes of the tree for each name that it may have.
_NODES_PER_NAME: Final = 8
# A word stays when one path in so many of its position's went through it.
_SHARE: Final = 2


_Key = TypeVar("_Key", bytes, str)


class _Node:
    """A position below certain segments; its children by segment, or by shape as text."""

    __slots__ = ("children", "merged", "name", "passed", "shapes", "words")

    def __init__(self) -> None:
        self.children: dict[bytes, _Node] = {}
        self.shapes: dict[str, _Node] = {}
        self.words = 0  # how many children are words
        self.merged = False  # a word that is no child is {any}
        self.passed = 0  # paths that went through it
        self.name: str | None = None  # the template, once one path ended here


class _Known:
    __slots__ = ("again", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.again = 0


class Endpoints:
    """One worker's. ``name`` is asked once for each exchange."""

    __slots__ = (
        "_given",
        "_known",
        "_left",
        "_most_words",
        "_nodes",
        "_root",
        "_unknown",
        "_unknown_most",
        "merges",
        "overflowed",
    )

    def __init__(
        self, given: Iterable[str] = (), *, most_names: int = 500, most_words: int = 100
    ) -> None:
        """``most_names`` are learned beside those given. Raises ValueError for a bad template."""
        templates = Given(given)
        self._given = templates if templates.count else None
        self._known: dict[bytes, _Known] = {}
        self._root = _Node()
        self._left = most_names
        self._nodes = most_names * _NODES_PER_NAME
        self._most_words = most_words
        self._unknown: set[str] = set()
        self._unknown_most = max(most_names // 5, 1)
        self.merges = 0  # positions that became {any}: names given before may have changed
        self.overflowed = 0  # requests counted under `other`

    def name(self, target: bytes, status: int | None = None) -> str:
        """The template of a request's target; ``status``: production's answer, None if none."""
        end = target.find(b"?")
        path = target if end < 0 else target[:end]
        known = self._known.get(path)
        if known is not None:
            known.again += 1
            return known.name
        return self._name(path, taught=status not in _TEACH_NOTHING)

    def renamed(self, name: str) -> str:
        """What a name given earlier is called now, after positions were merged."""
        if not name.startswith("/"):
            return name
        node, made = self._root, []
        for segment in name[1:].split("/"):
            # names hold words as `literal` writes them; unquoting gives back what was seen
            word = unquote_to_bytes(segment)
            child = node.shapes.get(segment) or node.children.get(word)
            text = segment
            if child is None and node.merged:
                child, text = node.shapes.get(ANY), ANY
            if child is None:
                return name
            made.append(text)
            node = child
        return "/" + "/".join(made)

    def _name(self, path: bytes, *, taught: bool) -> str:
        if path == b"*":
            return "*"
        segments = segments_of(path)
        if segments is None:
            self.overflowed += 1
            return OTHER
        name = None if self._given is None else self._given.find(segments)
        if name is None:
            name = self._learn(segments) if taught else self._look(segments)
            if name is None:
                self.overflowed += 1
                return OTHER
        if len(path) <= _CACHED_BYTES:
            if len(self._known) >= _CACHED:
                self._forget()
            self._known[path] = _Known(name)
        return name

    def _learn(self, segments: list[bytes]) -> str | None:
        node = self._root
        for segment in segments:
            node.passed += 1
            child = node.children.get(segment)
            if child is None:
                child = self._step(node, segment)
                if child is None:
                    return None
            node = child
        node.passed += 1
        if node.name is None:
            if self._left <= 0:
                return None
            self._left -= 1
            node.name = self._spell(segments)
        return node.name

    def _step(self, node: _Node, segment: bytes) -> _Node | None:
        """The child for a segment that is no known word; None when the tree is full."""
        shape = shape_of(segment)
        if shape is None:
            if not node.merged and node.words >= self._most_words:
                self._merge(node)
            if not node.merged:
                made = self._make()
                if made is not None:
                    node.children[segment] = made
                    node.words += 1
                return made
            shape = ANY
        child = node.shapes.get(shape)
        if child is None:
            child = self._make()
            if child is not None:
                node.shapes[shape] = child
        return child

    def _make(self) -> _Node | None:
        if self._nodes <= 0:
            return None
        self._nodes -= 1
        return _Node()

    def _merge(self, node: _Node) -> None:
        """Too many words at this position: those that few paths went through become {any}."""
        self._forget()
        share = node.passed / (self._most_words / _SHARE)
        stay = {word: child for word, child in node.children.items() if child.passed >= share}
        rest = node.shapes.get(ANY)
        if rest is None:
            self._nodes -= 1
            rest = _Node()
        for word, child in node.children.items():
            if word not in stay:
                self._fold(rest, child)
        node.children, node.words, node.merged = stay, len(stay), True
        node.shapes[ANY] = rest
        self.merges += 1
        self._rename(node)

    def _forget(self) -> None:
        """Forget the paths; how often each came again counts where it went through."""
        for path, known in self._known.items():
            if known.again:
                node: _Node | None = self._root
                for segment in segments_of(path) or ():
                    if node is None:
                        break
                    node.passed += known.again
                    node = node.children.get(segment) or node.shapes.get(shape_of(segment) or ANY)
                else:
                    if node is not None:
                        node.passed += known.again
        self._known.clear()

    def _fold(self, into: _Node, other: _Node) -> None:
        """All of ``other`` below ``into``; as deep as paths are, which is bounded."""
        into.passed += other.passed
        into.merged = into.merged or other.merged
        if other.name is not None:
            if into.name is None:
                into.name = other.name
            else:
                self._left += 1
        self._nodes += 1
        for shape, child in other.shapes.items():
            self._put(into.shapes, shape, child)
        for word, child in other.children.items():
            self._put(into.children, word, child)
        into.words = len(into.children)
        if into.words > self._most_words and not into.merged:
            self._merge(into)

    def _put(self, into: dict[_Key, _Node], key: _Key, child: _Node) -> None:
        there = into.get(key)
        if there is None:
            into[key] = child
        else:
            self._fold(there, child)

    def _rename(self, changed: _Node) -> None:
        """Spell anew what ends below a merged position; merges are rare, the tree is small."""
        waiting: list[tuple[_Node, str, bool]] = [(self._root, "", self._root is changed)]
        while waiting:
            node, prefix, below = waiting.pop()
            if node.name is not None and below:
                node.name = prefix
            for word, child in node.children.items():
                waiting.append((child, f"{prefix}/{literal(word)}", below or child is changed))
            for shape, child in node.shapes.items():
                waiting.append((child, f"{prefix}/{shape}", below or child is changed))

    def _spell(self, segments: list[bytes]) -> str:
        node, made = self._root, []
        for segment in segments:
            child = node.children.get(segment)
            if child is not None:
                made.append(literal(segment))
            else:
                shape = shape_of(segment) or ANY
                made.append(shape)
                child = node.shapes[shape]
            node = child
        return "/" + "/".join(made)

    def _look(self, segments: list[bytes]) -> str | None:
        """The name of a path that teaches nothing: a learned one, or one of a few of its own."""
        made = []
        node: _Node | None = self._root
        for segment in segments:
            if node is not None and segment in node.children:
                made.append(literal(segment))
                node = node.children[segment]
                continue
            merged = node is not None and node.merged
            shape = shape_of(segment) or (ANY if merged else literal(segment))
            made.append(shape)
            node = None if node is None else node.shapes.get(shape)
        if node is not None and node.name is not None:
            return node.name
        name = "/" + "/".join(made)
        if name in self._unknown:
            return name
        if len(self._unknown) >= self._unknown_most:
            return None
        self._unknown.add(name)
        return name
