"""One connection to the shadow for one connection of production.

Requests go out in production's order, the next when the one before is answered: nothing is
pipelined that production's client may not have pipelined. While one is served the others
wait, bounded. The sockets come and go underneath: there is one while there is something to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.replay.channel import Channel, State
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.replay.reply import Reply
from shadow_agent.replay.timeline import Timeline
from shadow_agent.replay.waiting import Chosen, Waiting, once_sent
from shadow_agent.telemetry.reasons import Failed, Outcome, Refused, Shed, Uncomparable

if TYPE_CHECKING:
    from shadow_agent.replay.pool import ShadowPool

# A look-up on the class costs 60 ns, and there are many.
_QUEUED: Final = Phase.QUEUED
_ANSWERED: Final = Outcome.ANSWERED


class ShadowConnection:
    """Lazy: a socket exists from the first request on, and not while idle for long."""

    __slots__ = ("_channel", "_closed_by_shadow", "_current", "_pool", "_retired", "_waiting",
                 "_whole_by", "deadline", "flow_key", "idle_since", "timeline")  # fmt: skip

    def __init__(self, pool: ShadowPool, flow_key: bytes) -> None:
        """For the production flow of that key."""
        self._pool = pool
        self.flow_key = flow_key
        self.deadline = 0.0  # loop time when the current wait is over; 0 for none
        self.idle_since = 0.0
        self.timeline = Timeline()  # of the socket, or of the last one
        self._waiting = Waiting(pool)
        self._current: Replay | None = None
        self._channel: Channel | None = None
        self._whole_by = 0.0  # loop time by which the answer that is due must be whole
        self._retired = False  # production's connection is gone: close when nothing waits
        self._closed_by_shadow = False  # the last socket, while it was idle

    @property
    def state(self) -> State:
        """What its socket is doing."""
        if self._channel is None:
            return State.CLOSED
        return State.OPEN if self._channel.connected else State.CONNECTING

    @property
    def idle(self) -> bool:
        """Nothing is due and nothing waits."""
        return self._current is None and not self._waiting

    # --- what production does ---

    def submit(self, replay: Replay) -> None:
        """A request head that policy let through."""
        if self._waiting.put(replay):
            self.pump()

    def add_body(self, replay: Replay, raw: bytes) -> None:
        """More of a request's body, as captured."""
        if replay is not self._current:
            self._waiting.add_body(replay, raw)
        elif self._channel is not None:
            self._channel.write(raw)
            if self._channel.unwritten > self._pool.limits.max_backlog_bytes:
                self._break(replay, Uncomparable.BACKLOG)

    def end_request(self, replay: Replay, *, whole: bool) -> None:
        """Its last byte is there, or (not ``whole``) never will be."""
        if replay is self._current:
            if whole:
                self._request_sent(replay)
            else:
                self._break(replay, Uncomparable.REQUEST_INCOMPLETE)
        elif not whole:
            self._waiting.cut(replay)

    def retire(self) -> None:
        """Production's connection ended: finish what is due, then close."""
        self._retired = True
        if self.idle:
            self.close()

    # --- what the pool says ---

    def connect_failed(self, outcome: Outcome) -> None:
        """The shadow's fault: the request that wanted the connection is compared with it."""
        self._drop_channel()
        replay = self._waiting.take() if self._waiting.admit() else None
        if replay is not None:
            self._pool.sent(replay)
            self._finish(replay, outcome)
        self.pump()

    def socket_failed(self, reason: Failed) -> None:
        """Our own fault: nothing that waits here is sent."""
        self._drop_channel()
        self._waiting.fail(reason)
        self.pump()

    def give_up(self, reason: Shed) -> None:
        """What waits is shed, and no socket stays without an answer due."""
        self._waiting.shed(reason)
        if self._current is None:
            self._drop_channel()
        self.pump()

    def refuse_waiting(self, reason: Refused, chosen: Chosen | None = None) -> None:
        """Policy changed its mind: what has not gone out, or what is chosen of it, does not."""
        self._waiting.refuse(reason, chosen)
        self.pump()

    def expire(self) -> None:
        """Its deadline passed: whatever it waited for did not come."""
        replay = self._current
        if self.state is State.CONNECTING:
            self.connect_failed(Outcome.TIMEOUT_CONNECT)
        elif replay is not None:
            begun = replay.reply is not None and replay.reply.first_offset is not None
            self._drop_channel()
            self._finish(replay, Outcome.TIMEOUT_WHOLE if begun else Outcome.TIMEOUT_FIRST_BYTE)
            self.pump()

    def drain(self, why: Failed = Failed.DRAINED) -> None:
        """No packet leaves any more: what has not been sent fails, what was is no pair."""
        self._waiting.fail(why)
        if self._current is not None:
            self._break(self._current, once_sent(why))
        self.close()

    def close(self) -> None:
        """Close for good, by RST: production's host keeps no TIME_WAIT for us."""
        self._drop_channel()
        self._pool.closed(self)

    # --- what its socket says ---

    def opened(self) -> None:
        """Connected."""
        self.deadline = 0.0
        self.pump()

    def received(self, data: bytes) -> None:
        """Bytes of the shadow's answer."""
        replay, channel = self._current, self._channel
        if replay is None or replay.reply is None or channel is None:
            self.connect_failed(Outcome.GARBAGE)  # unasked: an answer to whoever waits, if any
            return
        clean = channel.reader.feed(data)
        reply = replay.reply
        if reply.outcome is not None:
            self._answered(replay, reply.outcome, reusable=clean)
        elif reply.first_offset is not None and replay.request_end is not None:
            self.deadline = self._whole_by

    def ended(self) -> None:
        """The shadow closed its side in an orderly way."""
        replay, channel = self._current, self._channel
        if replay is None or replay.reply is None or channel is None:
            if self.state is State.OPEN:
                self.lost(Outcome.CLOSED)  # at once: the next request needs another socket
            return
        if replay.may_retry and channel.used:
            self._retry(replay)
            return
        replay.reply.closed()
        if replay.reply.outcome is not None:
            replay.reply.end_offset = channel.reader.offset
            self._answered(replay, replay.reply.outcome, reusable=False)

    def lost(self, outcome: Outcome) -> None:
        """The socket is gone, and not by our doing."""
        if self.state is State.CONNECTING:
            self.connect_failed(outcome)  # accepted, and closed before we could say a word
            return
        replay = self._current
        used = self._channel is not None and self._channel.used
        self._drop_channel()
        if replay is None:
            self._closed_by_shadow = True
        elif replay.may_retry and used:
            self._retry(replay)
            return
        else:
            early = replay.reply is not None and replay.reply.outcome is _ANSWERED
            self._finish(replay, _ANSWERED if early else outcome)
        self.pump()

    # --- inside ---

    def pump(self) -> None:
        """Send the next request if there is one and the connection is free."""
        while self._current is None and self._waiting.admit():
            channel = self._channel
            if channel is None:
                self._connect()
                return
            if not channel.connected:
                return
            replay = self._waiting.take_fresh()
            if replay is not None:
                self._send(replay, channel)
        if not self.idle:
            return
        if self._retired or (self._channel is None and not self._closed_by_shadow):
            self.close()  # without a socket there is nothing to remember
        else:
            self._pool.settled(self)

    def _connect(self) -> None:
        self._pool.counts.reconnects += self._closed_by_shadow
        self._closed_by_shadow = False
        self._channel = self._pool.new_channel(self)
        self.timeline = self._channel.timeline
        self._pool.connect(self._channel)

    def _send(self, replay: Replay, channel: Channel) -> None:
        data = self._pool.take_bytes(replay, first=not channel.sent)
        if data is None:
            return
        self._current = replay
        replay.reply = channel.reader.expect(head_only=replay.exchange.method == "HEAD")
        self._pool.sent(replay)
        channel.write(data)
        if replay.request_whole:
            self._request_sent(replay)

    def _request_sent(self, replay: Replay) -> None:
        """The shadow has all it needs to answer: its time runs from here."""
        if self._channel is not None:
            replay.request_end = self._channel.sent
        reply = replay.reply
        if reply is not None and reply.outcome is _ANSWERED:
            self._finish(replay, _ANSWERED)  # it had answered early
            self.pump()
            return
        first_byte_by, self._whole_by = self._pool.deadlines()
        late = reply is None or reply.first_offset is None
        self.deadline = first_byte_by if late else self._whole_by

    def _answered(self, replay: Replay, outcome: Outcome, *, reusable: bool) -> None:
        if self._channel is not None:
            self._channel.used = True
        head = replay.reply.head if replay.reply is not None else None
        if outcome is not _ANSWERED or head is None or head.status == 101:
            reusable = False
        elif not head.keep_alive:
            reusable, self._closed_by_shadow = False, True
        if not reusable:
            self._drop_channel()
        elif replay.request_end is None:
            return  # an early answer: the rest of the request is still to be sent
        self._finish(replay, outcome)
        self.pump()

    def _retry(self, replay: Replay) -> None:
        """The shadow's idle close crossed the request: nobody's fault, so send it once more."""
        if not self._pool.admission.again(replay):
            self._break(replay, Uncomparable.NOT_RESENT)
            return
        self._drop_channel()
        self._pool.counts.reconnects += 1
        replay.retried = True
        replay.request_end = None
        self._current = None
        self._waiting.put_back(replay)
        self.pump()

    def _break(self, replay: Replay, why: Uncomparable) -> None:
        """What the shadow got is no whole request: its answer means nothing."""
        self._drop_channel()
        self._current = None
        self._pool.broken(replay, why)
        self.pump()

    def _finish(self, replay: Replay, outcome: Outcome) -> None:
        self._current = None
        self.deadline = 0.0
        replay.reply = replay.reply or Reply(head_only=True)  # there never was a socket
        replay.reply.outcome = outcome
        self._pool.done(replay, self.timeline)

    def _drop_channel(self) -> None:
        self.deadline = 0.0
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()
            self._pool.socket_gone(channel)
