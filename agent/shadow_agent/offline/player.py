"""Player: an event loop that gives a capture's segments to a mirror when they are due."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

from shadow_agent.config import Config
from shadow_agent.config.identity import outgoing_settings
from shadow_agent.daemon.limits import flow_limits, http_limits, kept_answer, pool_limits
from shadow_agent.daemon.mirror import Mirror, Session, Sessions
from shadow_agent.daemon.settings import comparer_of, make_policy
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.segment import Direction, Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.offline.clock import CaptureClock
from shadow_agent.offline.lookahead import Lookahead
from shadow_agent.offline.pace import Pace
from shadow_agent.offline.timed import TimedPool
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.sockets import Endpoint
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.tally import Tally

_REQUEST: Final = Direction.REQUEST
# Segments handled before sockets get their turn (some 2 ms of work).
_BATCH: Final = 128
_TICK_S: Final = 0.05
_SHOW_EVERY: Final = 10  # ticks
_RTT_EVERY: Final = 20  # ticks
_LONGEST_SLEEP_S: Final = 60.0
# Flat out, reading pauses while so many requests wait for the shadow, or so many bytes of them.
# Most of what a shadow can do, it does with far fewer at once.
_MOST_DUE: Final = 256
_MOST_BACKLOG: Final = 2 << 20  # half of what one connection may hold
_LOOK_EVERY: Final = 256 << 10  # bytes of requests; to add up the backlog costs 50 µs
# One segment may hold some thousand pipelined requests.
_FLAT_OUT_QUEUE: Final = 8192
_COMPLAINTS_MAX: Final = 100


class Player:
    """From the first segment to the drain; then ``mirror`` and ``tally`` hold the result."""

    def __init__(
        self,
        config: Config,
        endpoint: Endpoint,
        loop_address: bytes,
        loop: asyncio.AbstractEventLoop,
        say: Callable[[str], None],
        show: Callable[[], None],
        run_id: str = "",
    ) -> None:
        """``say`` gets lines for the operator; ``show`` is called twice a second."""
        self._config = config
        self._loop = loop
        self._say = say
        self._show = show
        self._pace = Pace(config.speed)
        kept = kept_answer(config)
        limits = pool_limits(config.limits, kept)
        if self._pace.free:
            # nothing is shed for being slow where reading waits for the slow
            limits = limits._replace(max_queue=_FLAT_OUT_QUEUE, max_queue_age=float("inf"))
        self._limits: PoolLimits = limits
        self._left = config.most_requests
        self.tally = Tally()
        told = outgoing_settings(
            config.identity, config.aliases, config.namespaces, config.limits.max_head_bytes
        )
        outgoing = Outgoing(told, f"{run_id}-0")
        session = Session(str(config.session.kind), config.session.name)
        sessions = Sessions(session, outgoing, told.alias_limits)
        self.pool = TimedPool(
            endpoint, limits, loop, self._on_done, self._on_room, outgoing, sessions.lose
        )
        self._flow_limits = flow_limits(config.limits, acks_prove_loss=False)
        assembler = self._assembler = Assembler(
            self._flow_limits,
            http_limits(config.limits, kept),
            SegmentCounts(),
            RequestCounts(),
            ExchangeCounts(),
        )
        take = None if config.most_requests is None else self._take
        self._policy = make_policy(config, loop_address, take)
        self.mirror = Mirror(assembler, self._policy, self.pool, self.tally, sessions)
        self.mirror.compare = comparer_of(config).compare
        self.stopped: str | None = None  # why it ends before the file does
        self._ahead = Lookahead(iter(()))
        self._clock = CaptureClock()
        self._began = 0.0
        self._ticks = 0
        self._announced = 0  # when the last long pause ends
        self._step_handle: asyncio.Handle | None = None
        self._held_since: float | None = None
        self._unseen_bytes = 0  # of requests, since the backlog was added up
        self._read_all = self._settling = False
        self._end_by: float | None = None
        self._complaints: set[str] = set()

    def run(self, segments: Iterator[Segment | None]) -> None:
        """Until the file has ended and the shadow has answered, or somebody said stop.

        None among the segments: some packets were read of which none is the service's, and the
        loop is to have its turn.
        """
        self._ahead = Lookahead(segments)
        self._began = self._loop.time()
        self._loop.call_later(_TICK_S, self._tick)
        self._step_handle = self._loop.call_soon(self._step)
        self._loop.run_forever()

    def stop(self, why: str) -> None:
        """Send nothing more, finish what is under way. A second time: end at once."""
        now = self._loop.time()
        if self.stopped is None:
            self.stopped = why
            self._policy.paused = self._left != 0  # else the budget refuses, by its own name
            self._say(f"{why}: waiting for what is under way")
            self._end_by = now + self._config.limits.drain_s
        else:
            self._end_by = now

    # --- the capture ---

    def _step(self) -> None:
        """Handle what is due, then come back when more is."""
        self._step_handle = None
        try:
            self._feed()
        except Exception as exc:  # noqa: BLE001 - a defect costs one segment, not the run
            self._complain(exc)
            self._again(0)

    def _feed(self) -> None:
        for _ in range(_BATCH):
            if not self._ahead.load():
                break
            segment = self._ahead.segment
            if segment is None:
                self._end_of_file()
                return
            if self._pace.free and self._must_wait():
                return
            now = time.monotonic_ns()
            due = self._pace.due(self._ahead.stamp(segment), now)
            if due > now:
                self._sleep(due, now)
                return
            self._ahead.take()
            mirror = self.mirror
            mirror.packets += segment.final
            mirror.on_production(segment)
            if segment.direction == _REQUEST:
                self._unseen_bytes += len(segment.payload)
            clock = self._clock
            if not clock.low <= segment.ts < clock.high and clock.step(segment.ts):
                mirror.expire(clock.now)
        self._again(0)

    def _sleep(self, due: int, now: int) -> None:
        """Until more is due. If that is long it is said: a stamp may be wrong."""
        delay = (due - now) / 1e9
        if delay > _LONGEST_SLEEP_S and due != self._announced:
            self._announced = due
            self._say(f"the capture pauses for {delay:,.0f} s; --speed max does not wait")
        self._again(min(delay, _LONGEST_SLEEP_S))

    def _again(self, delay: float) -> None:
        if delay > 0:
            self._step_handle = self._loop.call_later(delay, self._step)
        else:
            self._step_handle = self._loop.call_soon(self._step)

    def _end_of_file(self) -> None:
        """Holes will not be filled any more; what waited behind them may still begin requests."""
        self._read_all = True
        self.mirror.expire(self._clock.now + self._flow_limits.hold_ns)

    # --- holding back ---

    def _must_wait(self) -> bool:
        """Flat out, whether the shadow has enough to do; then ``_on_room`` goes on."""
        if not self._crowded():
            self._held_since = None
            return False
        now = self._loop.time()
        if self._held_since is None:
            self._held_since = now
        # A shadow that does not take the rest of a request's body would hold us up for ever, and
        # that body's own limit would never be reached.
        return self.pool.due > 0 or now - self._held_since < self._limits.first_byte_timeout

    def _crowded(self) -> bool:
        pool = self.pool
        if pool.due >= _MOST_DUE or (pool.due and pool.alive >= self._limits.max_connections):
            return True
        if self._unseen_bytes < _LOOK_EVERY:
            return False
        if pool.backlog() >= _MOST_BACKLOG:
            return True
        self._unseen_bytes = 0
        return False

    def _on_room(self) -> None:
        if self._held_since is not None and self._step_handle is None and not self._read_all:
            self._step_handle = self._loop.call_soon(self._step)

    # --- the shadow ---

    def _take(self) -> bool:
        if not self._left:
            return False
        self._left -= 1
        return True

    def _on_done(self, replay: Replay, timeline: Timeline) -> None:
        if replay.sent_ns is not None:
            started = replay.exchange.request_started_ts
            # as a stamp of the capture's clock, so that the lag is that against the due time
            late = replay.sent_ns - self._pace.due(started, replay.sent_ns)
            replay.sent_ns = None if self._pace.free else started + max(late, 0)
        self.mirror.on_done(replay, timeline)
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settling = False
        for one in self.mirror.take_finished():
            try:
                self.mirror.settle([one])
            except Exception as exc:  # noqa: BLE001 - a defect costs one pair, not the run
                self._complain(exc)

    # --- time ---

    def _tick(self) -> None:
        try:
            self._ticks += 1
            ended = self._on_tick(self._loop.time())
        except Exception as exc:  # noqa: BLE001 - a defect costs one tick, not all deadlines
            self._complain(exc)
            ended = False
        if not ended:
            self._loop.call_later(_TICK_S, self._tick)

    def _on_tick(self, now: float) -> bool:
        config, pool = self._config, self.pool
        pool.tick(now)
        pool.timelines.forget(pool.timelines.departed())
        self._assembler.budget.sweep(0)  # expiry does so too, but not where stamps stand still
        self._on_room()
        if self._ticks % _RTT_EVERY == 0:
            rtt = pool.round_trip_us()
            if rtt is not None:
                self.tally.round_trip(rtt)
        if self.stopped is None:
            if config.most_seconds is not None and now - self._began >= config.most_seconds:
                self.stop(f"duration reached ({config.most_seconds:g} s)")
            elif config.most_requests is not None and pool.counts.replayed >= config.most_requests:
                self.stop(f"{config.most_requests} requests replayed")
        if self._ended(now):
            self._finish()
            return True
        if self._ticks % _SHOW_EVERY == 0:
            self._show()
        return False

    def _ended(self, now: float) -> bool:
        if self._end_by is not None and now >= self._end_by:
            return True
        if self._read_all:
            return not self.pool.due and not self._settling
        return self.stopped is not None and not self.mirror.unsettled and not self.pool.due

    def _finish(self) -> None:
        if self._step_handle is not None:
            self._step_handle.cancel()
        self._read_all = True
        self.mirror.drain(self._clock.now)
        self._show()
        self._loop.call_soon(self._loop.stop)

    def _complain(self, exc: Exception) -> None:
        """Say once for each kind of defect."""
        kind = f"{type(exc).__name__}: {exc}"[:200]
        if kind not in self._complaints and len(self._complaints) < _COMPLAINTS_MAX:
            self._complaints.add(kind)
            self._say(f"defect: {kind}")
            if self._config.debug:
                traceback.print_exception(exc)
