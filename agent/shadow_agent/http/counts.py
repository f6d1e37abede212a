"""Where every request and every exchange went: two lines of the ledger."""

from __future__ import annotations

from enum import Enum

from shadow_agent.telemetry.reasons import Unanswered


class RequestOutcome(Enum):
    """How a request that started ended."""

    COMPLETE = "complete"  # every byte was seen
    GAP = "gap"  # bytes of its head or body are lost to us
    MALFORMED = "malformed"  # the head or the chunked framing breaks RFC 9112
    OVERSIZE = "oversize"  # the head is longer than the limit
    EVICTED = "evicted"  # its flow was evicted, drained or replaced while it was open
    ABORTED = "aborted"  # the connection ended, or switched protocols, in the middle of it


class RequestCounts:
    """started = complete + gap + malformed + oversize + evicted + aborted + open, always."""

    __slots__ = (
        "aborted",
        "complete",
        "evicted",
        "gap",
        "heads",  # request heads parsed; each is one Exchange
        "malformed",
        "open",  # gauge: started and not ended
        "oversize",
        "started",  # requests whose first byte was seen
        "unexplained_gaps",  # gaps where no started request was open: requests may hide in them
    )

    def __init__(self) -> None:
        """All zero."""
        self.started = 0
        self.complete = 0
        self.gap = 0
        self.malformed = 0
        self.oversize = 0
        self.evicted = 0
        self.aborted = 0
        self.open = 0
        self.heads = 0
        self.unexplained_gaps = 0

    def count(self, outcome: RequestOutcome) -> None:
        """One open request ended with this outcome."""
        self.open -= 1
        if outcome is RequestOutcome.COMPLETE:
            self.complete += 1
        elif outcome is RequestOutcome.GAP:
            self.gap += 1
        elif outcome is RequestOutcome.MALFORMED:
            self.malformed += 1
        elif outcome is RequestOutcome.OVERSIZE:
            self.oversize += 1
        elif outcome is RequestOutcome.EVICTED:
            self.evicted += 1
        else:
            self.aborted += 1

    def as_dict(self) -> dict[str, int]:
        """Every counter by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class ExchangeCounts:
    """heads = answered + sum(unanswered) + open, always (heads are in RequestCounts)."""

    __slots__ = (
        "answered",  # a final response was paired, complete or as far as it was seen
        "open",  # gauge: waits for the rest of its response
        "unanswered",  # by reason
    )

    def __init__(self) -> None:
        """All zero."""
        self.answered = 0
        self.open = 0
        self.unanswered: dict[Unanswered, int] = dict.fromkeys(Unanswered, 0)

    def as_dict(self) -> dict[str, int | dict[str, int]]:
        """Every counter by name; `unanswered` by reason, zeros left out."""
        return {
            "answered": self.answered,
            "unanswered": {why.value: n for why, n in self.unanswered.items() if n},
            "open": self.open,
        }
