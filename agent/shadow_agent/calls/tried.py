"""What the shadow tried: lines of a guard's record, and what is missing among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shadow_agent.calls.effects import Effects

_MAX_NOTES: Final = 8


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a guard's record is, and what by then was not written to it."""

    id: str  # another one: another record, of a guard that was started again
    last: int  # number of its last line
    untold: int  # refusals that were counted only
    crowded: int  # connections to stubs that were closed unread
    restarts: int  # of the stub server

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Mark:
        """Raises KeyError, TypeError and ValueError for another shape."""
        names = ("last", "untold", "crowded", "restarts")
        return cls(str(said["id"])[:64], *(int(said[name]) for name in names))


@dataclass(frozen=True, slots=True)
class Tried:
    """``notes`` say what is missing; without any, ``effects`` are all that was tried."""

    effects: Effects
    notes: tuple[str, ...] = ()

    def dump(self) -> dict[str, Any]:
        """As JSON has it, for ``load`` in another process."""
        return {"effects": self.effects.dump(), "notes": self.notes}

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> Tried:
        """Raises KeyError, ValueError and TypeError for anything else."""
        notes = tuple(str(note)[:256] for note in dumped["notes"][:_MAX_NOTES])
        return cls(Effects.load(dumped["effects"]), notes)


def tried(lines: Iterable[bytes], began: Mark | None = None, ended: Mark | None = None) -> Tried:
    """Calls in a record after ``began``, by their numbers: clocks may be set meanwhile.

    ``ended`` is how far the record was when it was asked for. Without marks all of it counts.
    """
    again = began is not None and ended is not None and began.id != ended.id
    first = 0 if began is None or again else began.last
    effects, seen, highest = Effects(), 0, first if ended is None else ended.last
    for line in lines:
        record = _record(line)
        number = record.get("n")
        if isinstance(number, int) and number > first:
            seen, highest = seen + 1, max(highest, number)
            effects.add(record)
    notes = []
    if again:
        notes.append(
            "the guard was started again: what the shadow tried before that is not in its record"
        )
    if (missing := highest - first - seen) > 0:
        notes.append(f"{missing} lines of the guard's record are lost or overwritten")
    if ended is not None:
        since = Mark("", 0, 0, 0, 0) if began is None or again else began
        if (untold := ended.untold - since.untold) > 0:
            notes.append(f"{untold} refused calls of the shadow were counted only")
        if (crowded := ended.crowded - since.crowded) > 0:
            notes.append(f"{crowded} connections to stubs were closed unread")
        if ended.restarts != since.restarts:
            notes.append("the guard's stub server died: the calls it had open are missing")
    return Tried(effects, tuple(notes))


def _record(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
