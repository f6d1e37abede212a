"""What looks after something while a target is attached."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Called four times a second by the supervisor, which has one thread: it must not block."""

    def tick(self, now: float) -> None:
        """``now`` is CLOCK_MONOTONIC, seconds."""
