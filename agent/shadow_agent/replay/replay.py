"""One request on its way to the shadow, and where the others went."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.decision import Refusal
from shadow_agent.replay.reply import Reply

if TYPE_CHECKING:
    from shadow_agent.replay.connection import ShadowConnection


class Shed(Enum):
    """Not sent because the shadow is slower than production; ``replay.shed``."""

    QUEUE_FULL = "queue_full"  # too many requests wait on one shadow connection
    CONNECTIONS = "connections"  # the cap on shadow connections is reached and none is idle
    BACKLOG_BYTES = "backlog_bytes"  # too many body bytes wait behind another request
    AGE = "age"  # it waited so long that its answer would speak of another moment


class Failed(Enum):
    """Not sent by the agent's own fault; ``replay.failed``."""

    NO_SOCKET = "no_socket"  # out of descriptors, ports or memory
    BIND = "bind"  # the socket could not be bound to the shadow interface
    INTERNAL = "internal"  # an unexpected exception
    DRAINED = "drained"  # the run ended before it was its turn


class Broken(Enum):
    """Sent, but never whole; ``pairs.uncomparable``."""

    REQUEST_INCOMPLETE = "request_incomplete"  # the rest of its body was lost or never came
    BACKLOG = "backlog"  # the shadow read its body too slowly: we cut it
    INTERNAL = "internal"  # sent once, and then our own fault
    DRAINED = "drained"  # the run ended before both answers were there


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
        self.refused: dict[Refusal, int] = {}
        self.shed: dict[Shed, int] = {}
        self.failed: dict[Failed, int] = {}
        self.reconnects = 0  # the shadow closed an idle connection and it was opened anew

    def refuse(self, reason: Refusal) -> None:
        """Policy does not let it out."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


class Replay:
    """A request head that policy let through; its body may still be streaming."""

    __slots__ = (
        "backlog",
        "broken",
        "connection",
        "exchange",
        "pending",
        "phase",
        "production_ended",
        "reply",
        "request_end",
        "request_whole",
        "retried",
        "sent_ns",
        "times",
    )

    def __init__(self, exchange: Exchange, connection: ShadowConnection) -> None:
        """Queued, nothing sent."""
        self.exchange = exchange
        self.connection = connection
        self.phase = Phase.QUEUED
        self.pending: list[bytes] = []  # body bytes that wait for their turn
        self.backlog = 0  # bytes in ``pending``
        self.request_whole = False  # no more body will come
        self.broken: Broken | None = None
        self.reply: Reply | None = None
        self.request_end: int | None = None  # offset behind its last byte on its connection
        self.sent_ns: int | None = None  # when we wrote its head, CLOCK_MONOTONIC
        self.retried = False  # sent a second time after an idle close crossed it
        self.production_ended = False  # nothing more will be known of production's answer
        # kernel times (request's last byte out, answer's first in, its last in), ns
        self.times: tuple[int | None, int | None, int | None] = (None, None, None)
