"""What the workers' breakers are doing and have done, added up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from shadow_agent.policy.breaker import Breaker, BreakerState
from shadow_agent.telemetry.check import count, counts, exact_keys, number
from shadow_agent.telemetry.reasons import Overload

__all__ = ["Breakers", "breakers_of", "merge_breakers"]

_MOST_S: Final = 1e11  # what a thousand workers are open for in three years
_MOST_WORKERS: Final = 1000
_KEYS: Final = ("open", "half_open", "open_s", "cause")


@dataclass(frozen=True, slots=True)
class Breakers:
    """Of one worker, or of several after ``merge_breakers``."""

    open: int = 0  # workers whose breaker is open now
    half_open: int = 0  # and of those that are probing
    open_s: float = 0.0  # seconds in which one was not closed, added up
    cause: dict[str, int] = field(default_factory=dict)  # how often one opened, by Overload

    @property
    def state(self) -> BreakerState:
        """The worst of them."""
        if self.open:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN if self.half_open else BreakerState.CLOSED

    @property
    def opened(self) -> int:
        """How often one opened."""
        return sum(self.cause.values())

    def ended(self) -> Breakers:
        """Its worker died: it is in no state any more."""
        return Breakers(open_s=self.open_s, cause=self.cause)

    def as_dict(self) -> dict[str, Any]:
        """For the supervisor."""
        return {
            "open": self.open,
            "half_open": self.half_open,
            "open_s": self.open_s,
            "cause": self.cause,
        }

    def summary(self) -> dict[str, Any]:
        """For the summary and ``status``."""
        return {
            "state": str(self.state),
            "open_workers": self.open + self.half_open,
            "opened": self.opened,
            "open_s": round(self.open_s, 3),
            "cause": dict(self.cause),
        }

    @classmethod
    def from_dict(cls, data: object) -> Breakers:
        """What ``as_dict`` described; ValueError, one line, for anything else."""
        given = exact_keys(data, _KEYS, "breaker")
        return cls(
            count(given["open"], "breaker.open", most=_MOST_WORKERS),
            count(given["half_open"], "breaker.half_open", most=_MOST_WORKERS),
            number(given["open_s"], "breaker.open_s", most=_MOST_S),
            counts(given["cause"], Overload, "breaker.cause"),
        )


def breakers_of(breaker: Breaker | None, now: float) -> Breakers:
    """One worker's, now; without a breaker it is closed for ever."""
    if breaker is None:
        return Breakers()
    return Breakers(
        int(breaker.state is BreakerState.OPEN),
        int(breaker.state is BreakerState.HALF_OPEN),
        breaker.open_s(now),
        {str(cause): n for cause, n in breaker.causes.items()},
    )


def merge_breakers(parts: Iterable[Breakers]) -> Breakers:
    """All of them together."""
    whole = list(parts)
    cause: dict[str, int] = {}
    for part in whole:
        for name, n in part.cause.items():
            cause[name] = cause.get(name, 0) + n
    return Breakers(
        sum(part.open for part in whole),
        sum(part.half_open for part in whole),
        sum(part.open_s for part in whole),
        cause,
    )
