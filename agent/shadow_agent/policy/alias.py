"""What production handed out, and what the shadow handed out in its place, per session (pure).

Values are compared whole, never as parts of others: 1 is not in 11. An alias holds at the places
it was declared or learned for; without such a place it holds anywhere, if it is long enough to be
nobody else's. Times are ns of the capture clock.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from shadow_agent.policy.rule import Part

# A shorter value is likely to be somebody else's too.
MIN_ANYWHERE: Final = 4
# Bytes of one value; what is longer is no token.
MAX_VALUE: Final = 4096
_find_control: Final = re.compile(rb"[\x00-\x1f\x7f]").search
# What an alias costs beside its bytes.
_OVERHEAD: Final = 256

# Where an alias holds: a part of a request and a name there, or None for anywhere.
Where: TypeAlias = tuple[Part, bytes] | None


class AliasLimits(NamedTuple):
    """What the aliases of a worker may take."""

    max_sessions: int = 16_384  # over it: the one not used for longest is forgotten
    max_per_session: int = 64  # over it: its oldest alias is forgotten
    max_bytes: int = 16 << 20  # over it: the session not used for longest is forgotten
    expiry_ns: int = 1_800_000_000_000  # a session not used for so long is forgotten


class Special(Enum):
    """What may stand in place of the shadow's value."""

    UNFIT = "unfit"  # it cannot be sent: too long, or with a line end in it


class Awaited(NamedTuple):
    """The shadow has not answered yet. Only who asks after that exchange waits for it.

    An earlier one, or itself, cannot have the value from there: they would wait for each other.
    """

    exchange: int


Known: TypeAlias = bytes | Special | Awaited


class Pair(NamedTuple):
    """Both sides' values from one place, and where they hold."""

    where: Where
    ours: bytes
    theirs: bytes


class AliasCounts:
    """What happened to aliases, each by one name; see telemetry.reasons.AliasEvent."""

    __slots__ = ("evicted", "expired", "forgotten", "learned", "sent", "unfit")

    def __init__(self) -> None:
        """All zero."""
        self.learned = 0
        self.sent = 0
        self.unfit = 0
        self.evicted = 0
        self.expired = 0
        self.forgotten = 0


class SessionAliases:
    """Those of one session, oldest first."""

    __slots__ = ("_by_place", "pending", "size", "used")

    def __init__(self, now: int) -> None:
        """None yet."""
        self._by_place: OrderedDict[tuple[Where, bytes], Known] = OrderedDict()
        self.pending = 0  # of them, whose value is still to come
        self.size = _OVERHEAD
        self.used = now

    def __len__(self) -> int:
        return len(self._by_place)

    def find(self, part: Part, name: bytes, value: bytes) -> Known | None:
        """What the shadow handed out instead of ``value``, for this place."""
        known = self._by_place.get(((part, name), value))
        if known is None:
            known = self._by_place.get((None, value))
        return known

    def at(self, where: Where, value: bytes) -> Known | None:
        """The same for exactly one declared place."""
        return self._by_place.get((where, value))

    def values(self) -> Iterator[bytes]:
        """Production's."""
        return (value for _, value in self._by_place)

    def items(self) -> list[tuple[tuple[Where, bytes], Known]]:
        """All, oldest first."""
        return list(self._by_place.items())

    def put(self, where: Where, value: bytes, known: Known) -> None:
        """Remember, as the youngest."""
        self.remove(where, value)
        self._by_place[where, value] = known
        self.pending += isinstance(known, Awaited)
        self.size += _cost(value, known)

    def remove(self, where: Where, value: bytes) -> None:
        """Forget it if it is there."""
        known = self._by_place.pop((where, value), None)
        if known is not None:
            self.pending -= isinstance(known, Awaited)
            self.size -= _cost(value, known)

    def remove_oldest(self) -> None:
        """Forget one."""
        self.remove(*next(iter(self._by_place)))


class Aliases:
    """All sessions of a worker, the one used last at the end."""

    __slots__ = ("_limits", "_size", "counts", "sessions")

    def __init__(self, limits: AliasLimits) -> None:
        """Nothing is known."""
        self._limits = limits
        self.sessions: OrderedDict[str, SessionAliases] = OrderedDict()  # to look into only
        self._size = 0
        self.counts = AliasCounts()

    def __len__(self) -> int:
        return len(self.sessions)

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return self._size

    def of(self, session: str, now: int) -> SessionAliases | None:
        """Those of a session that has any."""
        found = self.sessions.get(session)
        if found is None:
            return None
        if now - found.used > self._limits.expiry_ns:
            self._forget(session)
            self.counts.expired += 1
            return None
        found.used = max(now, found.used)
        self.sessions.move_to_end(session)
        return found

    def learn(self, session: str, pair: Pair, now: int) -> None:
        """Both sides' values are known. Equal ones need no alias: what was known is forgotten."""
        where, ours, theirs = pair
        if not ours or (where is None and len(ours) < MIN_ANYWHERE):
            return
        if ours == theirs or len(ours) > MAX_VALUE:
            self.counts.unfit += ours != theirs
            known = self.sessions.get(session)
            if known is not None:
                self._size -= known.size
                known.remove(where, ours)
                self._size += known.size
            return
        fit = bool(theirs) and len(theirs) <= MAX_VALUE and not _find_control(theirs)
        if fit:
            self.counts.learned += 1
        else:
            self.counts.unfit += 1
        self._put(session, where, ours, theirs if fit else Special.UNFIT, now)

    def expect(self, session: str, where: Where, ours: bytes, exchange: int, now: int) -> None:
        """Production handed it out in that exchange, and the shadow's answer is still to come."""
        if ours and len(ours) <= MAX_VALUE and (where is not None or len(ours) >= MIN_ANYWHERE):
            found = self.sessions.get(session)
            known = None if found is None else found.at(where, ours)
            if known is None or (isinstance(known, Awaited) and exchange < known.exchange):
                self._put(session, where, ours, Awaited(exchange), now)

    def settle(self, session: str, where: Where, ours: bytes) -> None:
        """The shadow has handed out nothing in its place: it is sent as it is."""
        found = self.sessions.get(session)
        if found is not None and isinstance(found.at(where, ours), Awaited):
            self._size -= found.size
            found.remove(where, ours)
            self._size += found.size

    def go_on(self, session: str, other: str, now: int) -> None:
        """The client of one session goes on under another name: it takes its aliases along."""
        found = self.sessions.get(session)
        if found is not None and session != other:
            for (where, ours), known in found.items():
                self._put(other, where, ours, known, now)

    def _put(self, session: str, where: Where, ours: bytes, known: Known, now: int) -> None:
        found = self.sessions.get(session)
        if found is None:
            found = self.sessions[session] = SessionAliases(now)
            self._size += found.size
        self._size -= found.size
        found.put(where, ours, known)
        if len(found) > self._limits.max_per_session:
            found.remove_oldest()
            self.counts.evicted += 1
        self._size += found.size
        found.used = max(now, found.used)
        self.sessions.move_to_end(session)
        self._make_room(now)

    def _make_room(self, now: int) -> None:
        limits = self._limits
        while self.sessions:
            session, oldest = next(iter(self.sessions.items()))
            if now - oldest.used > limits.expiry_ns:
                self.counts.expired += 1
            elif len(self.sessions) > limits.max_sessions or self._size > limits.max_bytes:
                self.counts.forgotten += 1
            else:
                return
            self._forget(session)

    def _forget(self, session: str) -> None:
        self._size -= self.sessions.pop(session).size


def _cost(value: bytes, known: Known) -> int:
    return _OVERHEAD + len(value) + (len(known) if isinstance(known, bytes) else 0)
