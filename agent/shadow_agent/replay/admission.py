"""May the next request go out now? The breaker and the budgets say so, and hear what became of it.

Asked when it is a request's turn, before a socket is opened for it: what is let through is what
the shadow gets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from shadow_agent.policy.breaker import Breaker, BreakerTerms
from shadow_agent.policy.budget import Terms
from shadow_agent.policy.decision import is_write
from shadow_agent.telemetry.reasons import Outcome, Overload, Refused, Shed, Uncomparable

if TYPE_CHECKING:
    from shadow_agent.replay.replay import Replay

_TELLING: Final = frozenset({Shed.QUEUE_FULL, Shed.AGE, Shed.BACKLOG_BYTES})
_AWAY: Final = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.TIMEOUT_CONNECT})
_LATE: Final = frozenset({Outcome.TIMEOUT_FIRST_BYTE, Outcome.TIMEOUT_WHOLE})
_BUSY: Final = (429, 503)
_ANSWERED: Final = Outcome.ANSWERED


class Purse(Protocol):
    """What takes from the run's budgets; costs are in millionths."""

    def change(self, terms: Terms) -> None:
        """Other bounds from now on."""

    def take(self, cost: int) -> Refused | None:
        """Let one begin, or say why not."""

    def again(self) -> Refused | None:
        """Let it go out a second time, or say why not."""

    def end(self) -> None:
        """It is over."""

    def give_back(self, cost: int) -> None:
        """It was not sent after all."""


class Admission:
    """Either part may be absent: then it lets everything through."""

    __slots__ = ("_purse", "breaker", "on_open")

    def __init__(
        self,
        breaker: Breaker | None = None,
        purse: Purse | None = None,
    ) -> None:
        """Of one pool, which says what is to be done ``on_open``: when the breaker has opened."""
        self.breaker = breaker
        self._purse = purse
        self.on_open: Callable[[], object] = lambda: None

    def change(self, terms: BreakerTerms, longest_s: float, budget: Terms, now: float) -> None:
        """Other bounds under way; who was let through already is, and ends as it would have."""
        if self.breaker is not None:
            self.breaker.change(terms, longest_s, now)
        elif terms.enabled:
            self.breaker = Breaker(terms, longest_s)
        if self._purse is not None:
            self._purse.change(budget)

    @property
    def keeps_alive(self) -> bool:
        """Whether idle connections are worth keeping: an overloaded shadow has enough of them."""
        return self.breaker is None or self.breaker.closed

    def admit(self, replay: Replay, now: float) -> Refused | Shed | None:
        """Why it may not go out, or None: then it has to, or be told of as ``dropped``."""
        breaker, purse = self.breaker, self._purse
        if breaker is not None and not breaker.closed and not _lets(breaker, replay, now):
            return Shed.BREAKER
        if purse is not None:
            refused = purse.take(replay.cost)
            if refused is not None:
                return refused
        if breaker is not None:
            replay.ticket = breaker.enter(now)
        replay.admitted = True
        return None

    def again(self, replay: Replay) -> bool:
        """Whether it may go out a second time."""
        if self.breaker is not None and not self.breaker.closed:
            return False
        return self._purse is None or self._purse.again() is None

    def ended(self, replay: Replay, now: float) -> None:
        """It was sent, and is over."""
        if not replay.admitted:
            return
        replay.admitted = False
        if self._purse is not None:
            self._purse.end()
        breaker = self.breaker
        if breaker is None:
            return
        reply = replay.reply
        # As nearly all end; and enums are slow to hash.
        well = reply is not None and reply.outcome is _ANSWERED and reply.status not in _BUSY
        if replay.broken is None and well:
            cause = None  # whatever it says
        elif says_nothing(replay):
            breaker.forget(replay.ticket)
            return
        else:
            cause = overload(replay)
        if breaker.ended(replay.ticket, cause, now):
            self.on_open()

    def dropped(self, replay: Replay) -> None:
        """It was not sent after all, or never let through."""
        if not replay.admitted:
            return
        replay.admitted = False
        if self._purse is not None:
            self._purse.give_back(replay.cost)
        if self.breaker is not None:
            self.breaker.forget(replay.ticket)

    def shed(self, reason: Shed, now: float) -> None:
        """One that waited was given up."""
        if self.breaker is not None and reason in _TELLING and self.breaker.shed(now):
            self.on_open()

    def tick(self, now: float) -> None:
        """Go on where time alone decides."""
        if self.breaker is not None:
            self.breaker.tick(now)

    def watch(self, behind: int, now: float) -> None:
        """What production has answered and the shadow has not, now and then."""
        if self.breaker is not None and self.breaker.watch(behind, now):
            self.on_open()


def overload(replay: Replay) -> Overload | None:
    """Whether what became of it says that the shadow cannot keep up, or is not there.

    An answer in time does not, however wrong it is.
    """
    if replay.broken is Uncomparable.BACKLOG:
        return Overload.SHED
    reply = replay.reply
    if reply is None:
        return None
    outcome = reply.outcome
    if outcome in _AWAY:
        return Overload.UNREACHABLE
    if outcome in _LATE:
        return Overload.TIMEOUT
    head = reply.head
    if outcome is not _ANSWERED or head is None or head.status not in _BUSY:
        return None
    production = replay.exchange.response
    if production is not None and production.status == head.status:
        return None  # production says so too
    return Overload.BUSY if any(n.lower() == b"retry-after" for n, _ in head.headers) else None


def says_nothing(replay: Replay) -> bool:
    """Whether its end is no sign, good or bad."""
    if replay.broken is not None:
        return replay.broken is not Uncomparable.BACKLOG
    late = replay.reply is not None and replay.reply.outcome in _LATE
    # Production has not answered it either: a request that takes its time.
    return late and not replay.production_ended


def _lets(breaker: Breaker, replay: Replay, now: float) -> bool:
    return breaker.lets(now, safe=not is_write(replay.exchange.request))
