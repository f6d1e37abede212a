"""The sockets of one pool: how many there are, who waits for a place, and who makes room."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from shadow_agent.replay.channel import Channel
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.sockets import Endpoint, begin_connect, key_of, outcome_of
from shadow_agent.replay.timeline import Timelines
from shadow_agent.telemetry.reasons import Failed, Outcome, Shed

if TYPE_CHECKING:
    from shadow_agent.replay.connection import ShadowConnection


class Dialer:
    """What a pool knows of its sockets; over the cap the connection idle for longest makes room."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: PoolLimits,
        loop: asyncio.AbstractEventLoop,
        shard: tuple[int, int],
    ) -> None:
        """There is none yet."""
        self._endpoint = endpoint
        self.limits = limits
        self._link_up = True  # the shadow interface, as far as we were told
        self._loop = loop
        self._shard = shard
        self.timelines = Timelines()
        self._by_key: dict[bytes, Channel] = {}  # those with a socket
        self._idle: OrderedDict[ShadowConnection, None] = OrderedDict()  # least recent first
        self._connecting: dict[Channel, socket.socket] = {}
        self._dying = 0  # sockets that are being closed
        self._arriving: deque[Channel] = deque()  # who gets their places, never more than they
        self._tasks: set[asyncio.Task[object]] = set()

    @property
    def open_connections(self) -> int:
        """Sockets that exist now."""
        return len(self._by_key)

    def round_trip_us(self) -> int | None:
        """Smallest round trip to the shadow that the kernel knows of (TCP_INFO), µs."""
        best: int | None = None
        for channel in list(self._by_key.values())[:8]:
            seen = channel.round_trip_us()
            if seen is not None and (best is None or seen < best):
                best = seen
        return best

    def connect(self, channel: Channel) -> None:
        """Open a socket for it; its connection hears of success or failure later."""
        connection = channel.owner
        if channel.gone:
            return
        if not self._link_up:
            self._loop.call_soon(connection.socket_failed, Failed.LINK_DOWN)
            return
        if len(self._by_key) + self._dying >= self.limits.max_connections:
            if self._dying == len(self._arriving) and self._idle:
                next(iter(self._idle)).close()
            if self._dying > len(self._arriving):
                self._arriving.append(channel)  # for the place of one that is being closed
            else:
                self._loop.call_soon(connection.give_up, Shed.CONNECTIONS)
            return
        made = begin_connect(self._endpoint, self._shard)
        if isinstance(made, Outcome):
            self._loop.call_soon(connection.connect_failed, made)
        elif isinstance(made, Failed):
            self._loop.call_soon(connection.socket_failed, made)
        else:
            # The local end is known from here on, before the SYN's record can be read.
            channel.key = key_of(self._endpoint, made)
            self._by_key[channel.key] = channel
            self.timelines.add(channel.key, channel.timeline)
            connection.deadline = self._loop.time() + self.limits.connect_timeout
            self._connecting[channel] = made
            self._loop.add_writer(made.fileno(), self._connected, channel)

    def _connected(self, channel: Channel) -> None:
        sock = self._connecting.pop(channel)
        self._loop.remove_writer(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            sock.close()
            channel.owner.connect_failed(outcome_of(code))
            return
        channel.owner.deadline = 0.0  # connected; what is left is a turn of the loop
        task: asyncio.Task[object] = self._loop.create_task(self._attach(channel, sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attach(self, channel: Channel, sock: socket.socket) -> None:
        try:
            transport, _ = await self._loop.create_connection(lambda: channel, sock=sock)
        except OSError:
            sock.close()
            if not channel.gone:  # or nobody would hear of it, and no deadline runs any more
                channel.owner.socket_failed(Failed.NO_SOCKET)
        else:
            channel.attach(transport)

    def socket_gone(self, channel: Channel) -> None:
        """It is closed, or has never been open."""
        known = self._by_key.pop(channel.key, None) is not None
        if known:
            self.timelines.depart(channel.key, channel.timeline)
        self._idle.pop(channel.owner, None)
        sock = self._connecting.pop(channel, None)
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()
        elif known:
            # The loop ends an aborted transport in its next turn, and closes the socket after it.
            self._dying += 1
            self._loop.call_soon(self._loop.call_soon, self._buried)

    def _buried(self) -> None:
        self._dying -= 1
        if self._arriving:
            self.connect(self._arriving.popleft())
