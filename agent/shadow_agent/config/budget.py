"""``[budget]``: how much is copied, and the shadow asked. ``[breaker]``: when it is left alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, Section
from shadow_agent.policy.breaker import BreakerTerms

# Faster than a worker can be; above it a token's time is too short to be counted.
_MAX_RATE: Final = 1e6
_MAX_COST: Final = 1e9
# Above it a byte's time is too short for the kernel to count.
_MAX_BYTES: Final = 1_000_000_000_000
_MAX_PROBES: Final = 1000
_MAX_BEHIND_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """None for no bound. Over one a request is refused by its name, before its first byte."""

    # Requests that may begin in a second; over it: replay.refused.rate.
    requests_per_s: float | None = None
    # How many may begin at once after a lull; None: as many as in a second.
    burst: int | None = None
    # Requests under way at the shadow; over it: replay.refused.concurrent.
    concurrent: int | None = None
    # In all; over it: replay.refused.request_limit, and the run ends. ``--requests`` goes before.
    requests: int | None = None
    # How long the run may last, seconds; then it ends. ``--duration`` goes before.
    wall_s: float | None = None
    # In all, where a request costs 1 or what its rule says; over it: replay.refused.cost.
    cost: float | None = None
    # Payload bytes that the kernel copies in a second; over it: packets.over_budget.
    bytes_per_s: int | None = None
    # How far copying may run ahead after a lull, bytes; None: as much as in a second.
    bytes_burst: int | None = None

    def burst_or_default(self) -> int:
        """Of the bucket, at least 1."""
        if self.burst is not None:
            return self.burst
        return max(1, math.ceil(self.requests_per_s or 1))


def rate(value: object) -> float:
    """Requests a second, above zero; less than one is allowed."""
    found = parse.number(value)
    if not 0 < found <= _MAX_RATE:
        raise ValueError(f"{found:g} is out of range; give requests a second above 0, at most 1e6")
    return found


def cost(value: object) -> float:
    """What requests may cost, or what one of them does; in a unit of the operator's."""
    found = parse.number(value)
    if not 0 <= found <= _MAX_COST:
        raise ValueError(f"{found:g} is out of range; give 0 to 1e9")
    return found


BUDGET: Final = Section(
    "budget",
    Budget,
    {
        "burst": Key("burst", parse.whole(1, parse.MAX_COUNT)),
        "bytes-burst": Key("bytes_burst", parse.whole(1, _MAX_BYTES)),
        "bytes-per-s": Key("bytes_per_s", parse.whole(1, _MAX_BYTES)),
        "concurrent": Key("concurrent", parse.whole(1, parse.MAX_COUNT)),
        "cost": Key("cost", cost),
        "requests": Key("requests", parse.whole(1, parse.MAX_COUNT)),
        "requests-per-s": Key("requests_per_s", rate),
        "wall-s": Key("wall_s", parse.seconds),
    },
)


def share(value: object) -> float:
    """A share above zero."""
    found = parse.fraction(value)
    if not found:
        raise ValueError("0 would open it for nothing; give above 0 to 1, such as 0.5")
    return found


BREAKER: Final = Section(
    "breaker",
    BreakerTerms,
    {
        "behind-s": Key("behind_s", parse.whole(1, _MAX_BEHIND_S)),
        "enabled": Key("enabled", parse.flag),
        "longest-pause-s": Key("longest_pause_s", parse.seconds),
        "min-requests": Key("min_requests", parse.whole(1, parse.MAX_COUNT)),
        "pause-s": Key("pause_s", parse.seconds),
        "probes": Key("probes", parse.whole(1, _MAX_PROBES)),
        "share": Key("share", share),
        "window-s": Key("window_s", parse.seconds),
    },
)
