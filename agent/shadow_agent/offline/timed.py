"""A pool of shadow connections that looks at the clock itself, where no tap does it.

Its times are those of user space: when we handed a request to the kernel and when we were handed
the answer, our own scheduling included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from shadow_agent.flow.segment import SYN, Direction, Segment
from shadow_agent.flow.sequence import MASK
from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.replay.channel import Channel
from shadow_agent.replay.connection import ShadowConnection
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.pool import ShadowPool
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.replay.reply import ReplyReader
from shadow_agent.replay.sockets import Endpoint
from shadow_agent.replay.timeline import Timeline

_REQUEST: Final = Direction.REQUEST
_RESPONSE: Final = Direction.RESPONSE


class TimedChannel(Channel):
    """Writes its own timeline, as if a tap had seen what it sends and receives."""

    __slots__ = ("_on_room", "_received")

    def __init__(
        self, owner: ShadowConnection, reader: ReplyReader, on_room: Callable[[], None]
    ) -> None:
        """Not connected; ``on_room`` is called when the kernel has taken what waited."""
        super().__init__(owner, reader)
        self._on_room = on_room
        self._received = 0

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """Connected: offsets count from here."""
        for direction in (_REQUEST, _RESPONSE):
            self._note(direction, -1, 0, SYN)
        super().attach(transport)

    def write(self, data: bytes) -> None:
        """Send, and remember when."""
        self._note(_REQUEST, self.sent, len(data))
        super().write(data)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._note(_RESPONSE, self._received, len(data))
        self._received += len(data)
        super().data_received(data)

    def resume_writing(self) -> None:
        """Called by the event loop."""
        self._on_room()

    def _note(self, direction: int, offset: int, length: int, flags: int = 0) -> None:
        self.timeline.push(
            Segment(
                time.monotonic_ns(), self.key, direction, offset & MASK, 0, flags, b"", length, True
            )
        )


class TimedPool(ShadowPool):
    """Knows besides how much is under way, so that a reader can wait instead of losing any."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: PoolLimits,
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[Replay, Timeline], None],
        on_room: Callable[[], None],
        outgoing: Outgoing | None = None,
        on_dropped: Callable[[Exchange], None] | None = None,
    ) -> None:
        """``on_room`` is called whenever less is under way than before."""
        super().__init__(endpoint, limits, loop, (0, 1), on_done, None, outgoing, on_dropped)
        self._on_room = on_room
        self._alive: set[Replay] = set()  # queued or sent, and not ended
        self._streaming: set[Replay] = set()  # of these, whose request is not whole yet

    @property
    def due(self) -> int:
        """Requests that wait for the shadow alone: deadlines end each of them."""
        return len(self._alive) - len(self._streaming)

    @property
    def alive(self) -> int:
        """Those, and the ones whose request still streams; each may want a connection."""
        return len(self._alive)

    def backlog(self) -> int:
        """Bytes of requests that the kernel has not taken."""
        return sum(replay.backlog for replay in self._alive) + sum(
            channel.unwritten for channel in self._by_key.values()
        )

    def submit(self, exchange: Exchange) -> Replay:
        """Queue a request head that policy let through."""
        replay = super().submit(exchange)
        if replay.phase is not Phase.DROPPED:  # there was no room to queue it
            self._alive.add(replay)
            self._streaming.add(replay)
        return replay

    def end_request(self, replay: Replay, *, whole: bool) -> None:
        """Its last byte is there, or never will be."""
        self._streaming.discard(replay)
        super().end_request(replay, whole=whole)

    def done(self, replay: Replay, timeline: Timeline) -> None:
        """It was sent, and has ended one way or another."""
        super().done(replay, timeline)
        self._forget(replay)

    def new_channel(self, owner: ShadowConnection) -> Channel:
        """For a new socket."""
        return TimedChannel(owner, self.new_reader(), self._on_room)

    def _drop(self, replay: Replay) -> None:
        super()._drop(replay)
        self._forget(replay)

    def _forget(self, replay: Replay) -> None:
        self._alive.discard(replay)
        self._streaming.discard(replay)
        self._on_room()
