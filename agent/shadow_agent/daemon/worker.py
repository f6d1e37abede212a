"""One worker process: a ring in, comparisons out. Unprivileged, and the only one that parses.

It polls its ring on a timer, because the kernel wakes it only when a ring fills quickly: a wake-up
for every record would be paid by production.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Final

from shadow_agent.daemon.claims import ClaimPage
from shadow_agent.daemon.kept import keep
from shadow_agent.daemon.live import live_of
from shadow_agent.daemon.mirror import Mirror, Sessions
from shadow_agent.daemon.process import end_if_out_of_memory
from shadow_agent.daemon.settings import (
    WorkerSettings,
    admission,
    comparer_of,
    longest_s,
    make_policy,
    rules_of,
)
from shadow_agent.daemon.uplink import Uplink, complain
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.kernel.control import ControlPage
from shadow_agent.kernel.ring import RingReader
from shadow_agent.kernel.sampling import sampled
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.replay.pool import ShadowPool
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.breakers import breakers_of
from shadow_agent.telemetry.snapshot import encode
from shadow_agent.telemetry.tally import Tally

# What came in since the last poll goes out in one burst, and a burst queues at the shadow: with
# equal builds its p95 was 0.26 ms at 2 ms, 0.55 at 5 and 1.2 at 10, production's 0.09; our own cost
# was the same. The kernel wakes us sooner when a ring fills quickly.
_POLL_S: Final = 0.002
# Without traffic for a while: 50 wake-ups a second cost 0.1 % of a core.
_IDLE_POLL_S: Final = 0.02
_IDLE_POLLS: Final = 500
# Bytes of the ring handled before other sockets get their turn (some 5 ms of work).
_BATCH: Final = 512 << 10
_TICK_S: Final = 0.05
_SNAPSHOT_S: Final = 0.5
# Endpoints are the bulk of a snapshot and cost the supervisor 20 ms to check.
_ENDPOINTS_EVERY: Final = 10
_COMPLAINTS_MAX: Final = 100


class Worker:
    """The event loop around a Mirror."""

    def __init__(
        self, settings: WorkerSettings, ring: RingReader, ring_fd: int, control: ControlPage,
        claims: ClaimPage, loop: asyncio.AbstractEventLoop,
    ) -> None:  # fmt: skip
        """Everything it needs is open already."""
        self._settings = settings
        self._ring = ring
        self._ring_fd = ring_fd
        self._control = control
        self._claims = claims
        self._loop = loop
        self._tally = Tally()
        policy = make_policy(settings, settings.loop_address)
        self._admission = admission(settings)
        # the process belongs to the name: whoever is restarted counts from 1 again
        run = f"{settings.run_id}-{settings.shard}.{os.getpid()}"
        outgoing = Outgoing(settings.outgoing, run)
        sessions = Sessions(settings.session, outgoing, settings.outgoing.alias_limits)
        self._pool = ShadowPool(
            settings.endpoint,
            settings.pool_limits,
            loop,
            (settings.shard, settings.shards),
            self._on_done,
            self._admission,
            outgoing,
            sessions.lose,
        )
        assembler = Assembler(
            settings.flow_limits,
            settings.http_limits,
            SegmentCounts(),
            RequestCounts(),
            ExchangeCounts(),
        )
        self._mirror = Mirror(assembler, policy, self._pool, self._tally, sessions)
        self._comparer = comparer_of(settings)
        self._mirror.compare = self._comparer.compare
        self._pool.link(settings.link_up)
        self._uplink = Uplink(
            self.begin_drain, self._mirror.allow_writes, self._change, self._pool.link
        )
        self._close_kept = keep(settings, self._mirror, self._complain)
        self._state = control.state()
        self._changes = control.changes()
        self._paused = False
        self._complaints: set[str] = set()
        self._empty_polls = 0
        self._ticks = 0
        self._snapshots = 0
        self._drain_by: float | None = None
        self._poll_handle: asyncio.TimerHandle | None = None

    def run(self, channel: socket.socket) -> None:
        """Until drained, or the supervisor goes away."""
        channel.setblocking(False)
        self._loop.run_until_complete(
            self._loop.create_connection(lambda: self._uplink, sock=channel)
        )
        self._loop.add_reader(self._ring_fd, self._wake)
        self._loop.call_soon(self._poll)
        self._loop.call_later(_TICK_S, self._tick)
        self._send_snapshot(final=False)
        self._loop.run_forever()

    def begin_drain(self) -> None:
        """The tap is off: read what is left, wait for answers that are due, then end."""
        if self._drain_by is None:
            self._drain_by = self._loop.time() + self._settings.drain_s

    def _change(self, settings: dict[str, Any]) -> None:
        """The supervisor has read its configuration again."""
        live = live_of(settings, self._pool.limits)
        self._settings = live.over(self._settings)
        self._pool.limits = live.pool_limits
        longest = longest_s(live.pool_limits)
        self._admission.change(live.breaker, longest, live.terms, self._loop.time())
        self._mirror.change(live.methods, rules_of(self._settings))

    def _on_done(self, replay: Replay, timeline: Timeline) -> None:
        self._mirror.on_done(replay, timeline)

    # --- the ring ---

    def _wake(self) -> None:
        if self._poll_handle is not None:
            self._poll_handle.cancel()
        self._poll()

    def _poll(self) -> None:
        mirror, ring = self._mirror, self._ring
        # These ended before the ring is read, so their records are in what is read now.
        finished = mirror.take_finished()
        timelines = self._pool.timelines
        departed = timelines.departed()
        before, target = ring.packets, ring.produced
        try:
            self._read(target if finished else min(target, ring.consumed + _BATCH))
        except Exception as exc:  # noqa: BLE001 - a defect costs one record, not the agent
            self._complain(exc)
        if ring.consumed >= target:
            self._settle(finished)
            timelines.forget(departed)
        else:
            # a record before theirs is still being written on another processor
            mirror.put_back(finished)
        if self._control.changes() != self._changes:
            self._follow_control()
        idle = ring.packets == before and not finished
        self._empty_polls = self._empty_polls + 1 if idle else 0
        if ring.consumed < ring.produced:
            delay = 0.0
        else:
            delay = _POLL_S if self._empty_polls < _IDLE_POLLS else _IDLE_POLL_S
        self._poll_handle = self._loop.call_later(delay, self._poll)

    def _read(self, target: int) -> None:
        """Handle the ring up to about ``target``, in batches that are claimed one by one."""
        mirror, ring = self._mirror, self._ring
        while True:
            start = ring.consumed
            ring.drain(
                self._claims.claim,
                self._done,
                mirror.on_production,
                self._pool.timelines.push,
                _BATCH,
                mirror.on_numbered,
            )
            if ring.consumed >= target or ring.consumed == start:
                return

    def _done(self, position: int) -> None:
        self._mirror.packets = self._ring.packets
        self._claims.done(position, self._ring.packets, self._mirror.started)

    def _settle(self, finished: list[tuple[Replay, Timeline]]) -> None:
        for one in finished:
            try:
                self._mirror.settle([one])
            except Exception as exc:  # noqa: BLE001 - a defect costs one pair, not the agent
                self._complain(exc)

    def _complain(self, exc: Exception) -> None:
        """Say once for each kind of defect; standard error is the supervisor's."""
        end_if_out_of_memory(exc)
        kind = f"{type(exc).__name__}: {exc}"[:200]
        if kind not in self._complaints and len(self._complaints) < _COMPLAINTS_MAX:
            self._complaints.add(kind)
            complain(f"worker {self._settings.shard}: defect: {kind}")
            if self._settings.debug:
                traceback.print_exception(exc)

    def _follow_control(self) -> None:
        self._changes = self._control.changes()
        state = self._control.state()
        before, self._state = self._state, state
        paused = state.paused or state.tripped
        if paused and not self._paused:
            self._mirror.pause(time.monotonic_ns())
        elif self._paused and not paused:
            self._mirror.resume()
        self._paused = paused
        if state.sample_below < before.sample_below:
            self._mirror.let_go(
                lambda key: not sampled(key, state.salt, state.sample_below), time.monotonic_ns()
            )

    # --- time ---

    def _tick(self) -> None:
        try:
            self._ticks += 1
            ended = self._on_tick()
        except Exception as exc:  # noqa: BLE001 - a defect costs one tick, not all deadlines
            self._complain(exc)
            ended = False
        if not ended:
            self._loop.call_later(_TICK_S, self._tick)

    def _on_tick(self) -> bool:
        """Deadlines, reports; whether the worker has finished."""
        self._pool.tick(self._loop.time())
        if self._ticks % round(1 / _TICK_S) == 0:
            self._mirror.expire(time.monotonic_ns())
            self._comparer.on(datetime.now(UTC).date())
            self._admission.watch(self._mirror.behind, self._loop.time())
            rtt = self._pool.round_trip_us()
            if rtt is not None:
                self._tally.round_trip(rtt)
        if self._drain_by is not None and self._drained():
            self._finish()
            return True
        if self._ticks % round(_SNAPSHOT_S / _TICK_S) == 0:
            self._send_snapshot(final=False)
        return False

    def _drained(self) -> bool:
        late = self._drain_by is not None and self._loop.time() >= self._drain_by
        return late or (self._ring.consumed >= self._ring.produced and not self._mirror.busy)

    def _finish(self) -> None:
        if self._poll_handle is not None:
            self._poll_handle.cancel()
        self._loop.remove_reader(self._ring_fd)
        self._mirror.drain(time.monotonic_ns())
        self._close_kept()
        self._send_snapshot(final=True)
        self._loop.call_later(0, self._stop_when_sent)

    def _stop_when_sent(self) -> None:
        if self._uplink.pending:
            self._loop.call_later(0.01, self._stop_when_sent)
        else:
            self._loop.stop()

    def _send_snapshot(self, *, final: bool) -> None:
        if self._uplink.pending and not final:
            return  # the supervisor is behind; the next snapshot says all that this one would
        snapshot = self._tally.snapshot(self._mirror.ledger(), rules=self._mirror.rules)
        snapshot.breakers = breakers_of(self._admission.breaker, self._loop.time())
        snapshot.with_endpoints = final or self._snapshots % _ENDPOINTS_EVERY == 0
        self._snapshots += 1
        self._uplink.send(encode(snapshot))
