"""All connections to one target: sockets, caps and deadlines.

A second target (a baseline) is a second pool; nothing here is shared between them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from shadow_agent.flow.segment import Segment
from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.decision import Refusal
from shadow_agent.replay.connection import ShadowConnection, State, enable_reset_on_close
from shadow_agent.replay.replay import Failed, Phase, Replay, ReplayCounts, Shed
from shadow_agent.replay.reply import Outcome, ReplyReader
from shadow_agent.replay.timeline import Timeline

_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EACCES, errno.EPERM}
)
_OURS: Final = frozenset(
    {errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
)
# Tries to be given a local port that names our shard: on average as many as there are shards.
_PORT_TRIES: Final = 256


class Endpoint(NamedTuple):
    """Where the shadow is and by which way."""

    family: int  # socket.AF_INET or AF_INET6
    address: tuple[str | int, ...]  # as connect(2) takes it
    key: bytes  # its address, 16 bytes, as in a flow key
    port: int
    interface: str | None  # sockets are bound to this device, so that no route leads elsewhere


class PoolLimits(NamedTuple):
    """Times in seconds, sizes in bytes. What is over one is shed or ends by its name."""

    connect_timeout: float = 1.0
    first_byte_timeout: float = 10.0
    whole_timeout: float = 30.0
    idle_close: float = 15.0  # below the keep-alive timeouts of common servers
    max_connections: int = 1024
    max_queue: int = 64
    max_queue_age: float = 5.0
    max_backlog_bytes: int = 4 << 20
    max_reply_head: int = 64 << 10
    max_reply_body: int = 1 << 30


class _Discard(asyncio.Protocol):
    """For a socket that nobody waits for any more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        cast(asyncio.Transport, transport).abort()  # uvloop's is no subclass


class ShadowPool:
    """One shadow connection per production flow, opened lazily, capped."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: PoolLimits,
        loop: asyncio.AbstractEventLoop,
        shard: tuple[int, int],
        on_done: Callable[[Replay, Timeline], None],
    ) -> None:
        """``shard`` is (ours, how many); ``on_done`` gets each replay that was sent and ended."""
        self._endpoint = endpoint
        self.limits = limits
        self._loop = loop
        self._shard, self._shards = shard
        self._on_done = on_done
        self.in_flight = 0  # sent and not done
        self.counts = ReplayCounts()
        self._by_flow: dict[bytes, ShadowConnection] = {}
        self._by_key: dict[bytes, ShadowConnection] = {}  # those with a socket
        self._idle: OrderedDict[ShadowConnection, None] = OrderedDict()  # least recent first
        self._connecting: dict[ShadowConnection, socket.socket] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    # --- what the worker says ---

    def submit(self, exchange: Exchange) -> Replay:
        """Queue a request head that policy let through."""
        flow_key = exchange.flow_key
        connection = self._by_flow.get(flow_key)
        if connection is None:
            connection = self._by_flow[flow_key] = ShadowConnection(self, flow_key)
        replay = Replay(exchange, connection)
        exchange.replay = replay
        self.counts.queued += 1
        self._idle.pop(connection, None)
        connection.submit(replay)
        return replay

    def add_body(self, replay: Replay, raw: bytes) -> None:
        """More of its body, as captured."""
        if replay.phase is Phase.QUEUED or replay.phase is Phase.SENT:
            replay.connection.add_body(replay, raw)

    def end_request(self, replay: Replay, *, whole: bool) -> None:
        """Its last byte is there, or never will be."""
        replay.request_whole = True
        if replay.phase is Phase.QUEUED or replay.phase is Phase.SENT:
            replay.connection.end_request(replay, whole=whole)

    def retire(self, flow_key: bytes) -> None:
        """Production's connection ended, or another one begins under its key."""
        connection = self._by_flow.pop(flow_key, None)
        if connection is not None:
            connection.retire()

    def on_segment(self, segment: Segment) -> None:
        """A record of the shadow-side tap; those that are not of our sockets are not ours."""
        connection = self._by_key.get(segment.key)
        if connection is not None:
            connection.timeline.push(segment)

    def tick(self, now: float) -> None:
        """Deadlines and idle closes, every few tens of milliseconds; ``now`` is loop time."""
        late = [c for c in self._by_key.values() if c.deadline and c.deadline <= now]
        for connection in late:
            connection.expire()
        while self._idle:
            connection = next(iter(self._idle))
            if connection.idle_since + self.limits.idle_close > now:
                break
            connection.close()

    def refuse_waiting(self) -> None:
        """Paused: what has not gone out does not go out."""
        for connection in {*self._by_flow.values(), *self._by_key.values()}:
            connection.refuse_waiting()

    def drain(self) -> None:
        """Give up whatever is still due."""
        for connection in [*self._by_flow.values(), *self._by_key.values()]:
            connection.drain()

    @property
    def busy(self) -> bool:
        """Something is due from the shadow or waits to be sent."""
        return self.counts.queued > 0 or self.in_flight > 0

    @property
    def open_connections(self) -> int:
        """Sockets that exist now."""
        return len(self._by_key)

    def round_trip_us(self) -> int | None:
        """Smallest round trip to the shadow that the kernel knows of (TCP_INFO), µs."""
        best: int | None = None
        for connection in list(self._by_key.values())[:8]:
            seen = connection.round_trip_us()
            if seen is not None and (best is None or seen < best):
                best = seen
        return best

    # --- what connections say ---

    def sent(self, replay: Replay) -> None:
        """Its head goes out now, or would have, had the shadow let us connect."""
        replay.phase = Phase.SENT
        replay.sent_ns = time.monotonic_ns()
        self.counts.queued -= 1
        self.counts.replayed += 1
        self.in_flight += 1

    def done(self, replay: Replay, timeline: Timeline) -> None:
        """It was sent, and has ended one way or another."""
        self.in_flight -= 1
        self._on_done(replay, timeline)

    def shed(self, replay: Replay, reason: Shed) -> None:
        """Not sent: the shadow is too slow."""
        self._drop(replay)
        self.counts.shed[reason] = self.counts.shed.get(reason, 0) + 1

    def refuse(self, replay: Replay, reason: Refusal) -> None:
        """Not sent: policy changed its mind while it waited."""
        self._drop(replay)
        self.counts.refuse(reason)

    def fail(self, replay: Replay, reason: Failed) -> None:
        """Not sent: our own fault."""
        self._drop(replay)
        self.counts.failed[reason] = self.counts.failed.get(reason, 0) + 1

    def _drop(self, replay: Replay) -> None:
        replay.phase = Phase.DROPPED
        replay.pending.clear()
        replay.exchange.replay = None
        self.counts.queued -= 1

    def settled(self, connection: ShadowConnection) -> None:
        """It has nothing to do."""
        if connection.state is State.OPEN:
            connection.idle_since = self._loop.time()
            self._idle[connection] = None
            self._idle.move_to_end(connection)

    def socket_gone(self, connection: ShadowConnection) -> None:
        """It has no socket any more."""
        if connection.key:
            self._by_key.pop(connection.key, None)
            connection.key = b""
        self._idle.pop(connection, None)
        sock = self._connecting.pop(connection, None)
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()

    def closed(self, connection: ShadowConnection) -> None:
        """It is done for good."""
        if self._by_flow.get(connection.flow_key) is connection:
            del self._by_flow[connection.flow_key]

    def new_reader(self) -> ReplyReader:
        """For a new connection."""
        return ReplyReader(self.limits.max_reply_head, self.limits.max_reply_body)

    def too_old(self, replay: Replay) -> bool:
        """It waited longer than its answer is worth."""
        age = self._loop.time() - replay.exchange.request_started_ts / 1e9
        return age > self.limits.max_queue_age

    def first_byte_deadline(self) -> float:
        """Loop time by which the answer to what is sent now must begin."""
        return self._loop.time() + self.limits.first_byte_timeout

    def whole_deadline(self, replay: Replay) -> float:
        """Loop time by which its answer must be whole."""
        return (replay.sent_ns or 0) / 1e9 + self.limits.whole_timeout

    # --- sockets ---

    def connect(self, connection: ShadowConnection) -> None:
        """Open a socket for it; the connection hears of success or failure later."""
        if len(self._by_key) >= self.limits.max_connections:
            if not self._idle:
                self._loop.call_soon(connection.no_room)
                return
            next(iter(self._idle)).close()
        try:
            sock = self._open()
        except OSError as exc:
            bind = exc.errno in (errno.ENODEV, errno.EPERM, errno.EADDRINUSE)
            reason = Failed.BIND if bind else Failed.NO_SOCKET
            self._loop.call_soon(connection.socket_failed, reason)
            return
        code = sock.connect_ex(self._endpoint.address)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            if code in _OURS:
                self._loop.call_soon(connection.socket_failed, Failed.NO_SOCKET)
            else:
                self._loop.call_soon(connection.connect_failed, _outcome(code))
            return
        # The local end is known from here on, before the SYN's record can be read.
        connection.key = self._key_of(sock)
        self._by_key[connection.key] = connection
        connection.deadline = self._loop.time() + self.limits.connect_timeout
        self._connecting[connection] = sock
        self._loop.add_writer(sock.fileno(), self._connected, connection)

    def _connected(self, connection: ShadowConnection) -> None:
        sock = self._connecting.pop(connection)
        self._loop.remove_writer(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            sock.close()
            connection.connect_failed(_outcome(code))
            return
        connection.deadline = 0.0  # connected; what is left is a turn of the loop
        key = connection.key

        def protocol() -> asyncio.Protocol:
            return connection if connection.key == key else _Discard()

        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.create_connection(protocol, sock=sock)
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open(self) -> socket.socket:
        """A socket that can only leave by the shadow interface, and whose records come to us.

        The tap sends records of our connections to the ring that the local port names.
        """
        for _ in range(_PORT_TRIES):
            sock = socket.socket(self._endpoint.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                enable_reset_on_close(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._endpoint.interface is not None:
                    # allowed to an unprivileged process, once per socket, since Linux 5.7
                    device = os.fsencode(self._endpoint.interface) + b"\0"
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
                if self._shards == 1:
                    return sock
                sock.bind(("", 0))
                if sock.getsockname()[1] % self._shards == self._shard:
                    return sock
            except OSError:
                sock.close()
                raise
            sock.close()
        raise OSError(errno.EADDRINUSE, "no local port of our shard")

    def _key_of(self, sock: socket.socket) -> bytes:
        host, port = sock.getsockname()[:2]
        if self._endpoint.family == socket.AF_INET:
            local = bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, host)
        else:
            local = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        return (
            self._endpoint.key
            + local
            + self._endpoint.port.to_bytes(2, "big")
            + int(port).to_bytes(2, "big")
        )


def _outcome(code: int) -> Outcome:
    if code == errno.ECONNREFUSED:
        return Outcome.REFUSED
    if code == errno.ETIMEDOUT:
        return Outcome.TIMEOUT_CONNECT
    if code in _UNREACHABLE:
        return Outcome.UNREACHABLE
    return Outcome.RESET
