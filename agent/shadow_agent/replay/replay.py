"""One request on its way to the shadow, and where the others went."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.budget import COST_OF_ONE, millionths
from shadow_agent.policy.rule import SAFE_METHODS
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import Failed, Refused, Shed, Uncomparable

if TYPE_CHECKING:
    from shadow_agent.replay.connection import ShadowConnection


class Phase(Enum):
    """QUEUED → SENT → DONE, or QUEUED → DROPPED (shed, failed, refused)."""

    QUEUED = "queued"
    SENT = "sent"
    DONE = "done"
    DROPPED = "dropped"


class ReplayCounts:
    """heads = replayed + refused + shed + failed + queued, always (heads: the http room)."""

    __slots__ = ("failed", "queued", "reconnects", "refused", "replayed", "shed")

    def __init__(self) -> None:
        """All zero."""
        self.replayed = 0
        self.queued = 0  # gauge
        self.refused: dict[Refused, int] = {}
        self.shed: dict[Shed, int] = {}
        self.failed: dict[Failed, int] = {}
        self.reconnects = 0  # the shadow closed an idle connection and it was opened anew

    def refuse(self, reason: Refused) -> None:
        """Policy does not let it out."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


class Replay:
    """A request head that policy let through; its body may still be streaming."""

    __slots__ = (
        "admitted",
        "backlog",
        "broken",
        "connection",
        "cost",
        "dressed",
        "exchange",
        "handed",
        "pending",
        "phase",
        "production_ended",
        "queued_at",
        "reply",
        "request_end",
        "request_whole",
        "retried",
        "sent_ns",
        "ticket",
        "times",
    )

    def __init__(self, exchange: Exchange, connection: ShadowConnection, queued_at: float) -> None:
        """Queued, nothing sent; ``queued_at`` is loop time."""
        self.queued_at = queued_at
        self.exchange = exchange
        self.connection = connection
        self.phase = Phase.QUEUED
        self.pending: list[bytes] = []  # body bytes that wait for their turn
        self.backlog = 0  # bytes in ``pending``
        self.dressed: bytes | None = None  # as it was sent first, where that is not as captured
        self.handed: Any = None  # of the policy room: what the shadow's answer hands out
        self.request_whole = False  # no more body will come
        self.broken: Uncomparable | None = None
        self.reply: Reply | None = None
        self.request_end: int | None = None  # offset behind its last byte on its connection
        self.sent_ns: int | None = None  # when we wrote its head, CLOCK_MONOTONIC
        self.retried = False  # sent a second time after an idle close crossed it
        self.admitted = False  # breaker and budgets let it through, and wait to hear of its end
        rule = exchange.rule
        # millionths, from the run's budget of cost
        self.cost = COST_OF_ONE if rule is None else millionths(rule.cost)
        self.ticket = 0  # the breaker's
        self.production_ended = False  # nothing more will be known of production's answer
        # kernel times (request's last byte out, answer's first in, its last in), ns
        self.times: tuple[int | None, int | None, int | None] = (None, None, None)

    def take_bytes(self, head: bytes, *, first: bool = False) -> bytes:
        """``head``, and what waited behind it, once it is its turn.

        `first` on its connection: the shadow is configured as production is, so where that heard a
        PROXY preamble, the shadow does too.
        """
        if first:
            head = self.exchange.preamble + head
        if not self.pending:
            return head
        joined = b"".join((head, *self.pending))
        self.drop_pending()
        return joined

    def drop_pending(self) -> None:
        """Nothing of it waits any more."""
        self.pending.clear()
        self.backlog = 0

    @property
    def may_retry(self) -> bool:
        """Sent whole, safe to send again, and nothing of an answer has come."""
        reply = self.reply
        return (
            not self.retried
            and self.exchange.method in SAFE_METHODS
            and self.request_end is not None
            and not self.exchange.request.framing
            and reply is not None
            and reply.head is None
            and reply.first_offset is None
        )
