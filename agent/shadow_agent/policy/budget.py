"""How much the shadow may be asked: requests in all and a second, at a time, and their cost (pure).

Over budget a request is refused by the budget's name, before its first byte goes out: never in the
middle of a body. Times are CLOCK_MONOTONIC, ns. Costs are counted in millionths, so that sums of
them are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

from shadow_agent.telemetry.reasons import Refused

_NS: Final = 1_000_000_000
_MILLIONTHS: Final = 1_000_000
COST_OF_ONE: Final = _MILLIONTHS  # a request that no rule gives another cost

# Of 64 bits each: a plain list, or memory that several processes have mapped.
Words: TypeAlias = "list[int] | memoryview[int]"

# Where things stand in the words that all workers share; behind them one word for each worker.
_TAT: Final = 0  # when the bucket will be full again, ns
_REQUESTS: Final = 1  # taken so far
_COST: Final = 2  # taken so far
_FLYING: Final = 3  # requests that the first worker has under way


def millionths(cost: float) -> int:
    """A cost as it is counted; rounded up, so that no budget is overdrawn by rounding."""
    return math.ceil(cost * _MILLIONTHS)


def words(workers: int) -> int:
    """How many words so many workers share."""
    return _FLYING + workers


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket as one time (GCRA): when it would be full again. Full, it holds ``burst``.

    In any time t no more than rate × t + burst are let through.
    """

    interval: int  # ns between two tokens
    burst: int

    @classmethod
    def of(cls, rate: float, burst: int) -> Bucket:
        """``rate`` tokens a second; the interval is rounded up, so that it is never faster."""
        return cls(math.ceil(_NS / rate), burst)

    def after(self, full_at: int, now: int) -> int | None:
        """When it is full again once a token is taken ``now``; None when there is none."""
        later = max(full_at, now) + self.interval
        return later if later - now <= self.interval * self.burst else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What bounds a run; None for no bound."""

    requests: int | None = None
    cost: int | None = None  # millionths
    concurrent: int | None = None
    bucket: Bucket | None = None

    @property
    def bounds(self) -> bool:
        """Whether there is any."""
        return self != _BOUNDLESS


_BOUNDLESS: Final = Terms()


class Budget:
    """One worker's view of words that all of them share.

    ``take`` changes what others change too: only one may be in it at a time. The rest is the
    worker's own and needs no such care.
    """

    __slots__ = ("_owed_cost", "_owed_requests", "_place", "_words", "terms")

    def __init__(self, terms: Terms, shared: Words, worker: int) -> None:
        """``shared`` are ``words`` integers of 64 bits, zero at first; ``worker`` counts from 0."""
        self.terms = terms  # others may come under way
        self._words = shared
        self._place = _FLYING + worker
        # Taken for what was not sent after all; below zero: not noted yet, as nothing was bounded.
        self._owed_requests = 0
        self._owed_cost = 0

    def take(self, now: int, cost: int) -> Refused | None:
        """Let one request begin, or say which budget does not allow it: then nothing is taken."""
        terms, shared = self.terms, self._words
        requests = shared[_REQUESTS] - self._owed_requests
        spent = shared[_COST] - self._owed_cost
        if terms.requests is not None and requests >= terms.requests:
            return Refused.REQUEST_LIMIT
        if terms.cost is not None and spent + cost > terms.cost:
            return Refused.COST
        if terms.concurrent is not None and sum(shared[_FLYING:]) >= terms.concurrent:
            return Refused.CONCURRENT
        if terms.bucket is not None:
            full_at = terms.bucket.after(shared[_TAT], now)
            if full_at is None:
                return Refused.RATE
            # What is spent is written first: a worker that dies in here overdraws nothing.
            shared[_TAT] = full_at
        shared[_REQUESTS] = requests + 1
        shared[_COST] = spent + cost
        shared[self._place] += 1
        self._owed_requests = self._owed_cost = 0
        return None

    def note(self, cost: int) -> None:
        """One begins while nothing is bounded; only the worker's own is touched."""
        self._words[self._place] += 1
        self._owed_requests -= 1
        self._owed_cost -= cost

    def again(self, now: int) -> Refused | None:
        """One that was taken goes out a second time: only the rate is asked."""
        bucket = self.terms.bucket
        if bucket is not None:
            full_at = bucket.after(self._words[_TAT], now)
            if full_at is None:
                return Refused.RATE
            self._words[_TAT] = full_at
        return None

    def end(self) -> None:
        """One that was taken is over."""
        self._words[self._place] -= 1

    def give_back(self, cost: int) -> None:
        """One that was taken was not sent after all. What the rate gave for it stays spent."""
        self.end()
        self._owed_requests += 1
        self._owed_cost += cost


@dataclass(frozen=True, slots=True)
class Spent:
    """What has been taken so far, by all workers."""

    requests: int
    cost: int  # millionths
    in_flight: int

    @classmethod
    def read(cls, shared: Words) -> Spent:
        """From the shared words."""
        return cls(shared[_REQUESTS], shared[_COST], sum(shared[_FLYING:]))


def bury(shared: Words, worker: int) -> None:
    """A worker died, and its connections with it: nothing of it is under way."""
    shared[_FLYING + worker] = 0
