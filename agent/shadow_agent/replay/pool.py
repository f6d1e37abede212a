"""All connections to one target: caps, deadlines, counts.

A second target (a baseline) is a second pool; nothing here is shared between them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.replay.admission import Admission
from shadow_agent.replay.channel import Channel, State
from shadow_agent.replay.connection import ShadowConnection
from shadow_agent.replay.dialer import Dialer
from shadow_agent.replay.dressing import Dressing
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase, Replay, ReplayCounts
from shadow_agent.replay.reply import ReplyReader
from shadow_agent.replay.sockets import Endpoint
from shadow_agent.replay.timeline import Timeline
from shadow_agent.replay.waiting import Chosen
from shadow_agent.telemetry.reasons import Failed, Refused, Shed, Uncomparable

__all__ = ["PoolLimits", "ShadowPool"]

# Enum members as module names: a look-up on the class costs 60 ns, and there are many.
_QUEUED: Final = Phase.QUEUED
_SENT: Final = Phase.SENT
_OPEN: Final = State.OPEN


class ShadowPool(Dialer):
    """One shadow connection per production flow, opened lazily, capped."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: PoolLimits,
        loop: asyncio.AbstractEventLoop,
        shard: tuple[int, int],
        on_done: Callable[[Replay, Timeline], None],
        admission: Admission | None = None,
        outgoing: Outgoing | None = None,
        on_dropped: Callable[[Exchange], None] | None = None,
    ) -> None:
        """``shard`` is (ours, how many); ``on_done`` gets each replay that was sent and ended.

        ``outgoing`` says what is sent (None: what was captured); ``on_dropped`` gets what was not.
        """
        self.admission = admission or Admission()
        self.admission.on_open = lambda: loop.call_soon(self._give_up)
        super().__init__(endpoint, limits, loop, shard)
        self._on_done = on_done
        self.dressing = Dressing(outgoing)
        self._on_dropped = on_dropped
        self.in_flight = 0  # sent and not done
        self.counts = ReplayCounts()
        self._by_flow: dict[bytes, ShadowConnection] = {}
        self._leaving: set[ShadowConnection] = set()  # their flow ended before their last answer

    # --- what the worker says ---

    def submit(self, exchange: Exchange) -> Replay:
        """Queue a request head that policy let through."""
        flow_key = exchange.flow_key
        connection = self._by_flow.get(flow_key)
        if connection is None:
            connection = self._by_flow[flow_key] = ShadowConnection(self, flow_key)
        replay = Replay(exchange, connection, self._loop.time())
        exchange.replay = replay
        self.counts.queued += 1
        self._idle.pop(connection, None)
        connection.submit(replay)
        return replay

    def add_body(self, replay: Replay, raw: bytes) -> None:
        """More of its body, as captured."""
        if replay.phase is _QUEUED or replay.phase is _SENT:
            replay.connection.add_body(replay, raw)
            self.dressing.look_again(replay.connection)

    def end_request(self, replay: Replay, *, whole: bool) -> None:
        """Its last byte is there, or never will be."""
        replay.request_whole = True
        if replay.phase is _QUEUED or replay.phase is _SENT:
            replay.connection.end_request(replay, whole=whole)
            self.dressing.look_again(replay.connection)

    def retire(self, flow_key: bytes) -> None:
        """Production's connection ended, or another one begins under its key."""
        connection = self._by_flow.pop(flow_key, None)
        if connection is not None:
            self._leaving.add(connection)
            connection.retire()

    def tick(self, now: float) -> None:
        """Deadlines and idle closes, every few tens of milliseconds; ``now`` is loop time."""
        self.admission.tick(now)
        for connection in [channel.owner for channel in self._by_key.values()]:
            if connection.deadline and connection.deadline <= now:
                connection.expire()
        self.dressing.release()
        while self._idle:
            connection = next(iter(self._idle))
            if connection.idle_since + self.limits.idle_close > now:
                break
            connection.close()

    def refuse_waiting(self, reason: Refused, chosen: Chosen | None = None) -> None:
        """Policy changed its mind: what has not gone out, or what is chosen of it, does not."""
        for connection in self._connections():
            connection.refuse_waiting(reason, chosen)

    def link(self, up: bool) -> None:
        """The shadow interface is up, or down: what is under way then is not the shadow's fault."""
        self._link_up = up
        if not up:
            for connection in self._connections():
                connection.drain(Failed.LINK_DOWN)

    def _give_up(self) -> None:
        """The breaker has opened."""
        if not self.admission.keeps_alive:
            for connection in self._connections():
                connection.give_up(Shed.BREAKER)

    def drain(self) -> None:
        """Give up whatever is still due."""
        for connection in self._connections():
            connection.drain()

    @property
    def busy(self) -> bool:
        """Something is due from the shadow or waits to be sent."""
        return self.counts.queued > 0 or self.in_flight > 0

    # --- what connections say ---

    def admit(self, replay: Replay) -> bool:
        """Whether it may go out now; if not, it has left by the name of what forbids it."""
        why = self.admission.admit(replay, self._loop.time())
        if isinstance(why, Shed):
            self.shed(replay, why)
        elif why is not None:
            self.refuse(replay, why)
        return why is None

    def take_bytes(self, replay: Replay, *, first: bool) -> bytes | None:
        """What is there of it, as the shadow gets it; None: refused at the last moment."""
        made = self.dressing.take_bytes(replay, first=first)
        if isinstance(made, Refused):
            self.refuse(replay, made)
            return None
        return made

    def sent(self, replay: Replay) -> None:
        """Its head goes out now, or would have, had the shadow let us connect."""
        if replay.phase is not _QUEUED:
            return  # for the second time
        replay.phase = _SENT
        replay.sent_ns = time.monotonic_ns()
        self.counts.queued -= 1
        self.counts.replayed += 1
        self.in_flight += 1

    def done(self, replay: Replay, timeline: Timeline) -> None:
        """It was sent, and has ended one way or another."""
        replay.phase = Phase.DONE
        self.in_flight -= 1
        self.admission.ended(replay, self._loop.time())
        self._on_done(replay, timeline)

    def broken(self, replay: Replay, why: Uncomparable) -> None:
        """It was sent, but what the shadow got is no whole request."""
        replay.broken = why
        self.done(replay, Timeline())

    def shed(self, replay: Replay, reason: Shed) -> None:
        """Not sent: the shadow is too slow."""
        self._drop(replay)
        self.admission.shed(reason, self._loop.time())
        self.counts.shed[reason] = self.counts.shed.get(reason, 0) + 1

    def refuse(self, replay: Replay, reason: Refused) -> None:
        """Not sent: policy changed its mind while it waited."""
        self._drop(replay)
        self.counts.refuse(reason)

    def fail(self, replay: Replay, reason: Failed) -> None:
        """Not sent: our own fault."""
        self._drop(replay)
        self.counts.failed[reason] = self.counts.failed.get(reason, 0) + 1

    def _drop(self, replay: Replay) -> None:
        self.admission.dropped(replay)
        replay.phase = Phase.DROPPED
        replay.pending.clear()
        replay.exchange.replay = None
        self.counts.queued -= 1
        if self._on_dropped is not None:
            self._on_dropped(replay.exchange)

    def settled(self, connection: ShadowConnection) -> None:
        """It has nothing to do."""
        if not self.admission.keeps_alive:
            connection.close()
        elif connection.state is _OPEN:
            connection.idle_since = self._loop.time()
            self._idle[connection] = None
            self._idle.move_to_end(connection)

    def closed(self, connection: ShadowConnection) -> None:
        """It is done for good."""
        self._leaving.discard(connection)
        self.dressing.held.discard(connection)
        if self._by_flow.get(connection.flow_key) is connection:
            del self._by_flow[connection.flow_key]

    def new_channel(self, owner: ShadowConnection) -> Channel:
        """For a new socket."""
        return Channel(owner, self.new_reader())

    def new_reader(self) -> ReplyReader:
        """For its answers."""
        limits = self.limits
        return ReplyReader(limits.max_reply_head, limits.max_reply_body, limits.max_kept_reply)

    def too_old(self, replay: Replay) -> bool:
        """It waited longer than its answer is worth."""
        return self._loop.time() - replay.queued_at > self.limits.max_queue_age

    def deadlines(self) -> tuple[float, float]:
        """Loop times by which the answer to what is sent now must begin, and be whole."""
        now = self._loop.time()
        return now + self.limits.first_byte_timeout, now + self.limits.whole_timeout

    def _connections(self) -> set[ShadowConnection]:
        """All: those of living flows, and those that still owe an answer to an ended one."""
        return {*self._by_flow.values(), *self._leaving}
