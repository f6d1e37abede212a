"""One connection to the shadow for one connection of production.

Requests go out in production's order, the next when the one before is answered: nothing is
pipelined that production's client may not have pipelined. While one is served the others
queue, bounded, and what is over the bound is shed by name.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, cast

from shadow_agent.policy.decision import Refusal
from shadow_agent.replay.replay import Broken, Failed, Phase, Replay, Shed
from shadow_agent.replay.reply import Outcome, ReplyReader
from shadow_agent.replay.timeline import Timeline

if TYPE_CHECKING:
    from shadow_agent.replay.pool import ShadowPool


# struct tcp_info, include/uapi/linux/tcp.h
_TCP_INFO_SIZE: Final = 256
_MIN_RTT_AT: Final = 148
_UNKNOWN_RTT: Final = 0xFFFFFFFF


class State(Enum):
    """CLOSED → CONNECTING → OPEN → CLOSED, as often as needed."""

    CLOSED = "closed"
    CONNECTING = "connecting"
    OPEN = "open"


class ShadowConnection(asyncio.Protocol):
    """Lazy: a socket exists from the first request on, and not while idle for long."""

    __slots__ = (
        "_closed_by_shadow",
        "_current",
        "_pool",
        "_queue",
        "_reader",
        "_sent",
        "_transport",
        "_used",
        "deadline",
        "flow_key",
        "idle_since",
        "key",
        "retired",
        "state",
        "timeline",
    )

    def __init__(self, pool: ShadowPool, flow_key: bytes) -> None:
        """For the production flow of that key."""
        self._pool = pool
        self.flow_key = flow_key
        self.state = State.CLOSED
        self.key = b""  # of our own flow as the shadow-side tap reports it; b"" without a socket
        self.timeline = Timeline()
        self.deadline = 0.0  # loop time when the current wait is over; 0 for none
        self.idle_since = 0.0
        self.retired = False  # production's connection is gone: close when the queue is empty
        self._queue: deque[Replay] = deque()
        self._current: Replay | None = None
        self._reader: ReplyReader = pool.new_reader()
        self._transport: asyncio.Transport | None = None
        self._sent = 0  # bytes written since the connection opened
        self._used = False  # it has answered at least one request
        self._closed_by_shadow = False  # the last socket, while idle

    @property
    def idle(self) -> bool:
        """Nothing is due and nothing waits."""
        return self._current is None and not self._queue

    # --- what production does ---

    def submit(self, replay: Replay) -> None:
        """A request head that policy let through."""
        if len(self._queue) >= self._pool.limits.max_queue:
            self._pool.shed(replay, Shed.QUEUE_FULL)
            return
        self._queue.append(replay)
        self._pump()

    def add_body(self, replay: Replay, raw: bytes) -> None:
        """More of a request's body, as captured."""
        if replay is self._current and self._transport is not None:
            self._write(raw)
            if self._transport.get_write_buffer_size() > self._pool.limits.max_backlog_bytes:
                self._break(replay, Broken.BACKLOG)
        elif replay.phase is Phase.QUEUED:
            replay.pending.append(raw)
            replay.backlog += len(raw)
            if replay.backlog > self._pool.limits.max_backlog_bytes:
                self._queue.remove(replay)
                self._pool.shed(replay, Shed.BACKLOG_BYTES)

    def end_request(self, replay: Replay, *, whole: bool) -> None:
        """Its last byte is there, or (not ``whole``) never will be."""
        replay.request_whole = True
        if replay is self._current:
            if whole:
                self._request_sent(replay)
            else:
                self._break(replay, Broken.REQUEST_INCOMPLETE)
        elif not whole and replay.phase is Phase.QUEUED:
            replay.broken = Broken.REQUEST_INCOMPLETE
            if replay in self._queue:
                self._queue.remove(replay)
            self._pool.sent(replay)  # it was let through: its loss is named once, as a pair
            self._done(replay)

    def retire(self) -> None:
        """Production's connection ended: finish what is due, then close."""
        self.retired = True
        if self.idle:
            self.close()

    # --- the socket ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)
        self.state = State.OPEN
        self.deadline = 0.0
        self._pump()

    def connect_failed(self, outcome: Outcome) -> None:
        """The shadow's fault: the request that wanted the connection is compared with it."""
        self._forget_socket()
        replay = self._current or (self._queue.popleft() if self._queue else None)
        if replay is not None:
            if replay.phase is Phase.QUEUED:
                self._pool.sent(replay)
            self._finish(replay, outcome)
        self._pump()

    def socket_failed(self, reason: Failed) -> None:
        """Our own fault: everything queued here is not sent."""
        self._forget_socket()
        self._give_up(reason)

    def no_room(self) -> None:
        """The cap on connections is reached and no other is idle."""
        self._forget_socket()
        while self._queue:
            self._pool.shed(self._queue.popleft(), Shed.CONNECTIONS)

    def refuse_waiting(self) -> None:
        """Paused: what has not gone out does not go out."""
        while self._queue:
            self._pool.refuse(self._queue.popleft(), Refusal.PAUSED)

    def round_trip_us(self) -> int | None:
        """The kernel's smallest round-trip time of this connection, µs (TCP_INFO tcpi_min_rtt)."""
        if self._transport is None:
            return None
        sock = self._transport.get_extra_info("socket")
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        except OSError:
            return None
        if len(info) < _MIN_RTT_AT + 4:
            return None
        (smallest,) = struct.unpack_from("=I", info, _MIN_RTT_AT)
        return int(smallest) if smallest != _UNKNOWN_RTT else None

    def data_received(self, data: bytes) -> None:
        """Called by the event loop: bytes of the shadow's answer, from here on hostile."""
        replay = self._current
        if replay is None or replay.reply is None:
            # bytes that nobody asked for: whatever comes next cannot be trusted
            self._abort()
            return
        clean = self._reader.feed(data)
        reply = replay.reply
        if reply.outcome is not None:
            self._answered(replay, reply.outcome, reusable=clean)
        elif reply.first_offset is not None:
            self.deadline = self._pool.whole_deadline(replay)

    def eof_received(self) -> bool:
        """Called by the event loop: the shadow closed its side."""
        replay = self._current
        if replay is not None and replay.reply is not None:
            if self._crossed(replay):
                self._retry(replay)
                return False
            replay.reply.closed()
            if replay.reply.outcome is not None:
                replay.reply.end_offset = self._reader.offset
                self._answered(replay, replay.reply.outcome, reusable=False)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: the socket is gone, by either side."""
        if self._transport is None:
            return  # we aborted it, or have a newer one
        replay = self._current
        self._forget_socket()
        if replay is None:
            self._closed_by_shadow = True
        elif self._crossed(replay):
            self._retry(replay)
            return
        else:
            reset = isinstance(exc, ConnectionResetError | BrokenPipeError)
            self._finish(replay, Outcome.RESET if reset else Outcome.CLOSED)
        self._pump()

    def expire(self) -> None:
        """Its deadline passed: whatever it waited for did not come."""
        if self.state is State.CONNECTING:
            self._abort()
            self.connect_failed(Outcome.TIMEOUT_CONNECT)
            return
        replay = self._current
        if replay is None:
            self.deadline = 0.0
            return
        begun = replay.reply is not None and replay.reply.first_offset is not None
        self._abort()
        self._finish(replay, Outcome.TIMEOUT_WHOLE if begun else Outcome.TIMEOUT_FIRST_BYTE)
        self._pump()

    def drain(self) -> None:
        """The run ends: what has not been sent is not sent any more."""
        self._give_up(Failed.DRAINED)
        if self._current is not None:
            self._break(self._current, Broken.DRAINED)
        self.close()

    def close(self) -> None:
        """Close for good, by RST: production's host keeps no TIME_WAIT for us."""
        self._abort()
        self._pool.closed(self)

    # --- inside ---

    def _pump(self) -> None:
        """Send the next request if there is one and the connection is free."""
        while self._current is None and self._queue:
            if self.state is State.CLOSED:
                if self._closed_by_shadow:
                    self._closed_by_shadow = False
                    self._pool.counts.reconnects += 1
                self._used = False
                self._sent = 0
                self.timeline = Timeline()
                self._reader = self._pool.new_reader()
                self.state = State.CONNECTING
                self._pool.connect(self)
                return
            if self.state is State.CONNECTING:
                return
            replay = self._queue.popleft()
            if replay.phase is Phase.QUEUED and self._pool.too_old(replay):
                self._pool.shed(replay, Shed.AGE)
                continue
            self._send(replay)
        if self.idle:
            if self.retired:
                self.close()
            else:
                self._pool.settled(self)

    def _send(self, replay: Replay) -> None:
        self._current = replay
        replay.reply = self._reader.expect(head_only=replay.exchange.method == "HEAD")
        if replay.phase is Phase.QUEUED:
            self._pool.sent(replay)
        self.deadline = self._pool.first_byte_deadline()
        if replay.pending:
            self._write(b"".join((replay.exchange.raw_head, *replay.pending)))
            replay.pending.clear()
            replay.backlog = 0
        else:
            self._write(replay.exchange.raw_head)
        if replay.request_whole:
            self._request_sent(replay)

    def _request_sent(self, replay: Replay) -> None:
        replay.request_end = self._sent
        reply = replay.reply
        if reply is not None and reply.outcome is Outcome.ANSWERED:
            self._finish(replay, Outcome.ANSWERED)  # it had answered early
            self._pump()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._sent += len(data)
            self._transport.write(data)

    def _answered(self, replay: Replay, outcome: Outcome, *, reusable: bool) -> None:
        self._used = True
        if outcome is Outcome.ANSWERED and replay.request_end is None and reusable:
            self.deadline = self._pool.whole_deadline(replay)
            return  # an early answer: the rest of the request is still to be sent
        head = replay.reply.head if replay.reply is not None else None
        if outcome is not Outcome.ANSWERED or not reusable or (head and head.status == 101):
            self._abort()
        self._finish(replay, outcome)
        self._pump()

    def _crossed(self, replay: Replay) -> bool:
        """Its idle close crossed our request: nobody's fault, and safe to send once more."""
        reply = replay.reply
        return (
            self._used
            and not replay.retried
            and replay.exchange.method in ("GET", "HEAD", "OPTIONS")
            and replay.request_end is not None
            and not replay.exchange.request.framing
            and reply is not None
            and reply.head is None
            and reply.first_offset is None
        )

    def _retry(self, replay: Replay) -> None:
        self._abort()
        self._pool.counts.reconnects += 1
        replay.retried = True
        replay.request_end = None
        self._current = None
        self._queue.appendleft(replay)
        self._pump()

    def _break(self, replay: Replay, why: Broken) -> None:
        """What the shadow got is no whole request: its answer means nothing."""
        replay.broken = why
        self._abort()
        self._current = None
        self._done(replay)
        self._pump()

    def _finish(self, replay: Replay, outcome: Outcome) -> None:
        self._current = None
        self.deadline = 0.0
        if replay.reply is None:
            replay.reply = self._reader.expect(head_only=True)
        replay.reply.outcome = outcome
        self._done(replay)

    def _done(self, replay: Replay) -> None:
        replay.phase = Phase.DONE
        self._pool.done(replay, self.timeline)

    def _give_up(self, reason: Failed) -> None:
        """By our own fault nothing that waits here goes out."""
        while self._queue:
            replay = self._queue.popleft()
            if replay.phase is Phase.QUEUED:
                self._pool.fail(replay, reason)
            else:
                replay.broken = Broken.INTERNAL
                self._done(replay)

    def _abort(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        self._forget_socket()

    def _forget_socket(self) -> None:
        self._transport = None
        self.state = State.CLOSED
        self.deadline = 0.0
        self._pool.socket_gone(self)


def enable_reset_on_close(sock: socket.socket) -> None:
    """Close by RST, so that neither TIME_WAIT nor conntrack entries pile up here."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
