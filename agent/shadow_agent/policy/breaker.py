"""Stops asking a shadow that is overloaded or away, and finds out when it is back (pure).

One per target and worker. What is wrong (500, garbage, another body, a reset) is what we came to
find and never opens it: only what says that the shadow cannot keep up does. Times are seconds of
any monotonic clock.

    CLOSED ──overloaded──▶ OPEN ──its time is over──▶ HALF_OPEN ──enough good probes──▶ CLOSED
                            ▲                             │
                            └────────a bad probe──────────┘  twice as long as before
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shadow_agent.telemetry.reasons import Overload

_SLICES: Final = 10  # of the window: it moves on by one at a time


class BreakerState(StrEnum):
    """Best first."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerTerms:
    """When it opens and for how long; times in seconds."""

    enabled: bool = True
    # Signs older than this are forgotten: refused and unanswered connections, time-outs, 503 and
    # 429 with Retry-After, requests shed because the shadow was slow; and all other ends, as good.
    window_s: float = 10.0
    # With fewer signs nothing is concluded.
    min_requests: int = 20
    # Opens when at least this share of the signs is bad.
    share: float = 0.5
    # Opens when what production has answered and the shadow has not kept growing for so long.
    behind_s: int = 3
    # How long it stays open the first time; twice as long each time that a probe is bad.
    pause_s: float = 0.5
    longest_pause_s: float = 10.0
    # Good probes, one after the other, that close it.
    probes: int = 3


class _Signs:
    """What became of requests lately: a window that moves on by a tenth of itself."""

    __slots__ = ("_slices", "_width", "bad", "causes", "good")

    def __init__(self, window_s: float) -> None:
        self._width = window_s / _SLICES
        self._slices: deque[tuple[float, list[int], dict[Overload, int]]] = deque()
        self.clear()

    def clear(self) -> None:
        self._slices.clear()
        self.good = self.bad = 0
        self.causes: dict[Overload, int] = {}

    def add(self, cause: Overload | None, now: float) -> None:
        """One more, good without a cause."""
        slices = self._slices
        if not slices or now >= slices[-1][0] + self._width:
            self._forget(now)
            slices.append((now, [0], {}))
        _, good, bad = slices[-1]
        if cause is None:
            good[0] += 1
            self.good += 1
        else:
            bad[cause] = bad.get(cause, 0) + 1
            self.bad += 1
            self.causes[cause] = self.causes.get(cause, 0) + 1

    def _forget(self, now: float) -> None:
        slices = self._slices
        while slices and slices[0][0] + _SLICES * self._width <= now:
            _, (good,), bad = slices.popleft()
            self.good -= good
            for cause, n in bad.items():
                self.bad -= n
                self.causes[cause] -= n


class Breaker:
    """Asked before each request (``lets``, then ``enter``), told what became of it."""

    __slots__ = (
        "_answered",
        "_behind",
        "_closed_at",
        "_grown",
        "_looked_at",
        "_opened_at",
        "_pause_s",
        "_probe_by",
        "_probe_s",
        "_probing",
        "_signs",
        "_since",
        "_terms",
        "_ticket",
        "causes",
        "closed",
        "good_probes",
        "past_open_s",
        "state",
    )

    def __init__(self, terms: BreakerTerms, probe_s: float = 60.0) -> None:
        """Closed. A probe that has not ended in ``probe_s`` counts as bad, whatever holds it."""
        self._terms = terms
        self._probe_s = probe_s
        self.state = BreakerState.CLOSED
        self.closed = True  # requests go out; looked at for each of them
        self.causes: dict[Overload, int] = {}  # how often it opened, by cause
        self.past_open_s = 0.0  # between leaving CLOSED and being back there
        self.good_probes = 0
        self._signs = _Signs(terms.window_s)
        self._ticket = 0  # a request with another one was sent under other circumstances
        self._since = 0.0  # when it went to this state
        self._opened_at = 0.0
        self._closed_at = float("-inf")
        self._pause_s = terms.pause_s
        self._probing = False
        self._probe_by = 0.0
        self._behind = 0
        self._grown = 0
        self._answered = 0  # since the last look
        self._looked_at = 0.0

    def open_s(self, now: float) -> float:
        """Seconds in which it was not closed, so far."""
        return self.past_open_s + (0.0 if self.closed else max(now - self._opened_at, 0.0))

    def change(self, terms: BreakerTerms, probe_s: float, now: float) -> None:
        """Other terms under way: what was seen is forgotten, and how often it opened is not."""
        self._probe_s = probe_s
        if terms == self._terms:
            return
        if not terms.enabled and not self.closed:
            self._close(now)
        self._terms = terms
        self._signs = _Signs(terms.window_s)
        self._pause_s = min(self._pause_s, terms.longest_pause_s)

    # --- before a request ---

    def lets(self, now: float, *, safe: bool) -> bool:
        """Whether a request may go out; ``safe``: a probe that is lost changes nothing.

        A shadow that is never asked anything safe is probed by what there is, after a while.
        """
        if self.closed:
            return True
        self.tick(now)
        if self.state is BreakerState.OPEN or self._probing:
            return False
        return safe or now >= self._since + self._terms.longest_pause_s

    def enter(self, now: float) -> int:
        """It goes: the ticket by which its end is told. ``lets`` has just said so."""
        if not self.closed:
            self._ticket += 1
            self._probing = True
            self._probe_by = now + self._probe_s
        return self._ticket

    # --- after it ---

    def ended(self, ticket: int, cause: Overload | None, now: float) -> bool:
        """What it says of the shadow; True when that opened the breaker, or kept it open."""
        if ticket != self._ticket:
            return False
        if self.closed:
            self._answered += 1
            return self._sign(cause, now)
        if not self._probing:
            return False
        self._probing = False
        if cause is not None:
            self._go(BreakerState.OPEN, now)
            self._pause_s = min(2 * self._pause_s, self._terms.longest_pause_s)
            return True
        self.good_probes += 1
        if self.good_probes >= self._terms.probes:
            self._close(now)
        return False

    def forget(self, ticket: int) -> None:
        """It ended without saying anything of the shadow."""
        if ticket == self._ticket:
            self._probing = False

    def shed(self, now: float) -> bool:
        """One was not even sent: the shadow was too slow. True when that opened the breaker."""
        return self.closed and self._sign(Overload.SHED, now)

    # --- time ---

    def watch(self, behind: int, now: float) -> bool:
        """Once in a while; ``behind``: what production has answered and the shadow has not.

        True when that opened the breaker: it grew each second, faster than the shadow answers.
        """
        if not (self.closed and self._terms.enabled) or now < self._looked_at + 1:
            return False
        slow = behind >= self._terms.min_requests and behind > max(self._behind, self._answered)
        self._grown = self._grown + 1 if slow else 0
        self._behind, self._answered, self._looked_at = behind, 0, now
        if self._grown < self._terms.behind_s:
            return False
        self._open(Overload.BEHIND, now)
        return True

    def tick(self, now: float) -> None:
        """Go on where time alone decides."""
        if self.state is BreakerState.OPEN and now >= self._since + self._pause_s:
            self._go(BreakerState.HALF_OPEN, now)
        elif self._probing and now >= self._probe_by:
            self.ended(self._ticket, Overload.TIMEOUT, now)

    # --- inside ---

    def _sign(self, cause: Overload | None, now: float) -> bool:
        signs, terms = self._signs, self._terms
        signs.add(cause, now)
        if cause is None or not terms.enabled:
            return False
        seen = signs.good + signs.bad
        if seen < terms.min_requests or signs.bad < terms.share * seen:
            return False
        self._open(max(signs.causes, key=lambda one: signs.causes[one]), now)
        return True

    def _open(self, cause: Overload, now: float) -> None:
        terms = self._terms
        self.causes[cause] = self.causes.get(cause, 0) + 1
        # Closed only a moment ago: it had not recovered.
        again = now < self._closed_at + terms.window_s
        self._pause_s = min(2 * self._pause_s, terms.longest_pause_s) if again else terms.pause_s
        self._opened_at = now
        self._go(BreakerState.OPEN, now)

    def _close(self, now: float) -> None:
        self.past_open_s += max(now - self._opened_at, 0.0)
        self._closed_at = now
        self._go(BreakerState.CLOSED, now)

    def _go(self, state: BreakerState, now: float) -> None:
        self.state, self._since = state, now
        self.closed = state is BreakerState.CLOSED
        self._signs.clear()
        self._ticket += 1
        self._probing = False
        self.good_probes = 0
        self._behind = self._grown = self._answered = 0
        self._looked_at = now
