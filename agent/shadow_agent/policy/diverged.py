"""Sessions in which the shadow lacks a write of production's: what comes after it proves nothing.

Requests are told apart by their numbers, which grow as they begin; times are ns of the capture
clock.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple


class _Lost(NamedTuple):
    since: int  # the first write that was lost
    used: int  # ns


class Diverged:
    """Bounded: the session not heard of for longest is forgotten, which is counted."""

    __slots__ = ("_expiry_ns", "_max_sessions", "_sessions", "forgotten")

    def __init__(self, max_sessions: int, expiry_ns: int) -> None:
        """Every session is as production's."""
        self._max_sessions = max_sessions
        self._expiry_ns = expiry_ns
        self._sessions: OrderedDict[str, _Lost] = OrderedDict()
        self.forgotten = 0  # sessions given up for room: their requests count again

    def __len__(self) -> int:
        return len(self._sessions)

    def lose(self, session: str, number: int, now: int) -> None:
        """A write of this session did not happen at the shadow."""
        known = self._sessions.pop(session, None)
        since = number if known is None else min(known.since, number)
        self._sessions[session] = _Lost(since, now)
        while self._sessions:
            _, oldest = next(iter(self._sessions.items()))
            if now - oldest.used <= self._expiry_ns:
                if len(self._sessions) <= self._max_sessions:
                    break
                self.forgotten += 1
            self._sessions.popitem(last=False)

    def has(self, session: str, number: int, now: int) -> bool:
        """Whether a request of this session came after a lost write."""
        if session not in self._sessions:
            return False
        known = self._sessions[session]
        if now - known.used > self._expiry_ns:
            del self._sessions[session]
            return False
        if now > known.used:
            self._sessions[session] = known._replace(used=now)
            self._sessions.move_to_end(session)
        return number > known.since

    def go_on(self, session: str, other: str, now: int) -> None:
        """The client of one session goes on under another name."""
        known = self._sessions.get(session)
        if known is not None and session != other:
            self.lose(other, known.since, now)
