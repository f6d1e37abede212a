"""Difference: one place where two answers do not say the same; and what collects them, bounded."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

# Names of differences that one pair may have; the rest is counted.
MAX_NAMES: Final = 64
# Places that are looked at in one pair; behind them it is different, and said.
MAX_PLACES: Final = 10_000
# Characters of a value and of a path that are shown.
_MAX_SHOWN: Final = 120
_MAX_PATH: Final = 160


class Part(StrEnum):
    """Of an answer."""

    STATUS = "status"
    HEADER = "header"
    BODY = "body"


class Kind(StrEnum):
    """In what the two differ."""

    VALUE = "value"
    TYPE = "type"  # 1 and 1.0, 1 and "1", null and {}
    MISSING = "missing"  # production has it, the shadow has not
    ADDED = "added"  # the shadow has it, production has not
    LENGTH = "length"  # items of an array, lines of a text
    ORDER = "order"  # the same, in another order
    BYTES = "bytes"  # not looked into: length and hash


class Difference(NamedTuple):
    """One name of a difference, with the first place that has it. All texts are printable."""

    part: Part
    path: str  # a template: ``$.items[*].price``, a field's name; "" for the whole
    kind: Kind
    at: str  # the first place: ``$.items[3].price``
    production: str
    shadow: str
    suppressed: str = ""  # by which rule or volatile shape; "" counts
    places: int = 1

    @property
    def name(self) -> str:
        """As records and reports call it: ``status``, ``body $.items[*].price value``."""
        if self.part is Part.STATUS:
            return "status"
        if self.part is Part.HEADER:
            return f"header {self.path}"
        return f"body {self.path} {self.kind}" if self.path else f"body {self.kind}"


class Result(NamedTuple):
    """What two answers came to."""

    differences: tuple[Difference, ...]  # those that count first
    more: int  # places that count and have no name above
    notes: tuple[str, ...]  # why something was not looked into

    @property
    def names(self) -> list[str]:
        """Of what counts; ``other`` for what has no name."""
        found = [one.name for one in self.differences if not one.suppressed]
        return [*found, "other"] if self.more else found

    @property
    def suppressed(self) -> list[str]:
        """Names of what does not count, each with the reason."""
        return [f"{one.name}: {one.suppressed}" for one in self.differences if one.suppressed]

    @property
    def equal(self) -> bool:
        """Nothing differs that counts."""
        return not self.more and all(one.suppressed for one in self.differences)


class Collector:
    """Sums up differences by name."""

    __slots__ = ("_found", "_more", "_notes", "_places")

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], Difference] = {}
        self._more = 0
        self._notes: dict[str, None] = {}
        self._places = 0

    @property
    def full(self) -> bool:
        """No more places are looked at."""
        return self._places >= MAX_PLACES

    def stop(self) -> None:
        """Places are left that nobody looked at: the pair is different."""
        self._more += 1
        self.note("too many differences: not all were looked at")

    def note(self, text: str) -> None:
        """Why something was not looked into."""
        self._notes[text] = None

    def add(
        self,
        part: Part,
        path: str,
        kind: Kind,
        values: tuple[str, str],
        *,
        at: str = "",
        suppressed: str = "",
    ) -> None:
        """``values``: production's and the shadow's, as they are."""
        self._places += 1
        path = shown(path, _MAX_PATH)
        key = (part, path, kind, suppressed)
        known = self._found.get(key)
        if known is not None:
            self._found[key] = known._replace(places=known.places + 1)
            return
        if len(self._found) >= MAX_NAMES:
            if suppressed:
                return
            spare = next((one for one in self._found if one[3]), None)
            if spare is None:
                self._more += 1
                return
            del self._found[spare]  # what counts goes before what does not
        production, shadow = values
        self._found[key] = Difference(
            part, path, kind, shown(at or path, _MAX_PATH),
            shown(production), shown(shadow), suppressed,
        )  # fmt: skip

    def result(self) -> Result:
        """All of them."""
        found = sorted(self._found.values(), key=lambda one: bool(one.suppressed))
        return Result(tuple(found), self._more, tuple(self._notes))


def shown(text: str, most: int = _MAX_SHOWN) -> str:
    """Bounded, and fit for a terminal."""
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    if text.isprintable():
        return text
    text = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
