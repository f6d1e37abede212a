"""When less than the configured sample was mirrored, why, and for how long: bounded, and pure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from shadow_agent.policy.governor import Cause, Change

__all__ = ["MAX_CHANGES", "Lowered"]

# Rises in a row are one entry, so this is some fifty times down and up again; older ones go first,
# and their number is said.
MAX_CHANGES: Final = 200


class Lowered:
    """What the summary and the records say of the governor."""

    def __init__(self) -> None:
        """Nothing was ever lowered."""
        self.seconds = 0.0
        self.least = 1.0
        # Of the packets that were sampled out, those that the configured sample would have had:
        # an expectation, as sampling is by a hash of the flow and the kernel counts one number.
        self.packets = 0.0
        self._changes: deque[dict[str, Any]] = deque(maxlen=MAX_CHANGES)
        self._dropped = 0

    def passed(self, seconds: float, factor: float, ceiling: float, sampled_out: int) -> None:
        """So long this factor on that ceiling was in force, and so many packets sampled out."""
        if factor >= 1.0:
            return
        self.seconds += seconds
        mirrored = ceiling * factor
        if mirrored < 1.0:
            self.packets += sampled_out * (ceiling - mirrored) / (1.0 - mirrored)

    def changed(self, at: float, change: Change) -> None:
        """``at``: epoch seconds."""
        self.least = min(self.least, change.after)
        last = self._changes[-1] if self._changes else None
        rises = change.cause is Cause.RECOVERING
        if rises and last is not None and last["cause"] == change.cause:
            last.update(until=at, to=round(change.after, 4), steps=last["steps"] + 1)
            return
        self._dropped += len(self._changes) == MAX_CHANGES
        self._changes.append(
            {
                "at": at,
                "until": at,
                "from": round(change.before, 4),
                "to": round(change.after, 4),
                "steps": 1,
                "cause": str(change.cause),
                "value": change.value,
                "limit": change.limit,
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Ready for orjson."""
        return {
            "changes": [dict(change) for change in self._changes],
            "changes_dropped": self._dropped,
            "lowered_s": round(self.seconds, 1),
            "min_factor": round(self.least, 4),
            "sampled_out_estimate": round(self.packets),
        }
