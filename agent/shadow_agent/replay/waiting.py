"""The requests that wait for their turn on one shadow connection, bounded three ways.

What is over a bound is shed by name: too many requests, too many body bytes, too old.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.outgoing import Ready
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.telemetry.reasons import Failed, Refused, Shed, Uncomparable

if TYPE_CHECKING:
    from shadow_agent.replay.pool import ShadowPool

Chosen: TypeAlias = Callable[[Exchange], bool]

# Enum members as module names: a look-up on the class costs 60 ns, and there are many.
_QUEUED: Final = Phase.QUEUED
_READY: Final = Ready.YES
_BODY: Final = Ready.BODY
_ONCE_SENT: Final = {
    Failed.DRAINED: Uncomparable.DRAINED,
    Failed.LINK_DOWN: Uncomparable.LINK_DOWN,
}


class Waiting:
    """In production's order. Only a request that is sent a second time was sent before."""

    __slots__ = ("_pool", "_queue")

    def __init__(self, pool: ShadowPool) -> None:
        """Empty; the pool counts what leaves it by another way than its turn."""
        self._pool = pool
        self._queue: deque[Replay] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, replay: Replay) -> bool:
        """Wait; False when there are too many already."""
        if len(self._queue) >= self._pool.limits.max_queue:
            self._pool.shed(replay, Shed.QUEUE_FULL)
            return False
        self._queue.append(replay)
        return True

    def put_back(self, replay: Replay) -> None:
        """Sent once for nothing: first again."""
        self._queue.appendleft(replay)

    def take(self) -> Replay | None:
        """The next one, however old."""
        return self._queue.popleft() if self._queue else None

    def admit(self) -> bool:
        """Whether the next one may go out; what may not leaves by the name of what forbids it.

        One that cannot be sent as it has to be yet holds up those behind it.
        """
        queue, pool = self._queue, self._pool
        while queue:
            replay = queue[0]
            if replay.admitted:
                return True
            ready = _READY
            if replay.phase is _QUEUED:
                ready = pool.dressing.ready(replay)
                if pool.too_old(replay):
                    queue.popleft()
                    if ready is _BODY:
                        pool.refuse(replay, Refused.UNEDITABLE)
                    else:
                        pool.shed(replay, Shed.AGE)
                    continue
            if ready is not _READY:
                return False
            if pool.admit(replay):
                return True
            queue.popleft()
        return False

    def take_fresh(self) -> Replay | None:
        """The next one whose answer still speaks of production's moment."""
        while self._queue:
            replay = self._queue.popleft()
            if replay.phase is not Phase.QUEUED or not self._pool.too_old(replay):
                return replay
            self._pool.shed(replay, Shed.AGE)
        return None

    def add_body(self, replay: Replay, raw: bytes) -> None:
        """More of its body; with too much of it the request is shed."""
        replay.pending.append(raw)
        replay.backlog += len(raw)
        if replay.backlog > self._pool.limits.max_backlog_bytes:
            self._queue.remove(replay)
            if replay.connection in self._pool.dressing.held:
                self._pool.refuse(replay, Refused.UNEDITABLE)
            else:
                self._pool.shed(replay, Shed.BACKLOG_BYTES)

    def cut(self, replay: Replay) -> None:
        """The rest of its body never comes: policy let it through, its loss is named as a pair."""
        self._queue.remove(replay)
        self._pool.sent(replay)
        self._pool.broken(replay, Uncomparable.REQUEST_INCOMPLETE)

    def refuse(self, reason: Refused, chosen: Chosen | None = None) -> None:
        """Policy changed its mind: what has not gone out, or what is chosen of it, does not."""
        kept: deque[Replay] = deque()
        for replay in self._queue:
            wanted = chosen is None or chosen(replay.exchange)
            if replay.phase is Phase.QUEUED and wanted:
                self._pool.refuse(replay, reason)
            else:
                kept.append(replay)
        self._queue = kept

    def shed(self, reason: Shed) -> None:
        """Nothing that waits goes out: the shadow is too slow."""
        breaker = reason is Shed.BREAKER
        again = Uncomparable.NOT_RESENT if breaker else Uncomparable.INTERNAL
        while self._queue:
            replay = self._queue.popleft()
            if replay.phase is Phase.QUEUED:
                self._pool.shed(replay, reason)
            else:
                self._pool.broken(replay, again)

    def fail(self, reason: Failed) -> None:
        """Nothing that waits goes out: our own fault, or the end of the run."""
        again = once_sent(reason)
        while self._queue:
            replay = self._queue.popleft()
            if replay.phase is Phase.QUEUED:
                self._pool.fail(replay, reason)
            else:
                self._pool.broken(replay, again)


def once_sent(why: Failed) -> Uncomparable:
    """The same loss of what had been sent already: it counts as a pair."""
    return _ONCE_SENT.get(why, Uncomparable.INTERNAL)
