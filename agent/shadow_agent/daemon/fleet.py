"""The workers: forked, listened to, restarted when they die, drained at the end."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, NoReturn

import orjson

from shadow_agent.config import Config
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.cage import Cage
from shadow_agent.daemon.channel import ChildChannel
from shadow_agent.daemon.claims import ClaimPage
from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.live import live_of, message_of
from shadow_agent.daemon.settings import WorkerSettings
from shadow_agent.daemon.worker_process import run_worker
from shadow_agent.kernel.tap import Tap
from shadow_agent.telemetry.cost import Rollups

_DRAIN: Final = b'{"command":"drain"}'
_WRITES_OPEN: Final = b'{"command":"writes","open":true}'
_WRITES_CLOSED: Final = b'{"command":"writes","open":false}'
# A worker that dies at once is not restarted in a tight loop.
_RESTART_S: Final = 1.0
# A busy worker reports twice a second; one that is silent for this long hangs.
_SILENT_S: Final = 30.0
# Between two ticks: we were stopped, or the machine was, and heard nobody.
_AWAY_S: Final = 5.0


class _Seat:
    """One shard's place, whoever sits in it."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self.claims = ClaimPage()
        self.pid = 0  # 0: nobody
        self.channel: ChildChannel | None = None
        self.heard = 0.0
        self.started = 0.0
        self.restart_at: float | None = None


class Fleet:
    """One worker per shard. Forks from the supervisor, whose one thread beside waits meanwhile."""

    def __init__(
        self, tap: Tap, settings: WorkerSettings, selector: selectors.BaseSelector, books: Books,
        say: Callable[[str], None], alert: Callable[[str], None],
        on_death: Callable[[int], None] = lambda _: None,
        fork: Callable[[Callable[[], NoReturn]], int] = fork_here,
        cage: Cage | None = None,
    ) -> None:  # fmt: skip
        """``settings`` are shard 0's; nobody is started yet.

        ``on_death`` gets a dead's shard; ``fork`` decides where workers live, ``cage`` holds them.
        """
        self._fork_child = fork
        self._alert = alert
        self._cage = cage
        self._tap = tap
        self._settings = settings
        self._selector = selector
        self._books = books
        self._say = say
        self._on_death = on_death
        self._seats = [_Seat(shard) for shard in range(settings.shards)]
        self._draining = False
        self._ticked = 0.0
        self.memory = Rollups()

    @property
    def pids(self) -> list[int]:
        """Of the living."""
        return [seat.pid for seat in self._seats if seat.pid]

    def start(self) -> None:
        """Fork all workers."""
        for seat in self._seats:
            self._fork(seat)

    def drain(self) -> None:
        """Ask every worker to finish; those that died stay dead."""
        self._draining = True
        for seat in self._seats:
            seat.restart_at = None
        self._tell(_DRAIN)

    def allow_writes(self, allowed: bool) -> None:
        """Tell every worker, those to come too. Who cannot be told shall not go on."""
        self._settings = replace(self._settings, writes_open=allowed)
        self._tell(_WRITES_OPEN if allowed else _WRITES_CLOSED)

    def link(self, up: bool) -> None:
        """Tell every worker, those to come too, whether the shadow interface is up."""
        self._settings = replace(self._settings, link_up=up)
        self._tell(orjson.dumps({"command": "link", "up": up}))

    def change(self, config: Config) -> None:
        """What a worker can be told anew; who cannot be told makes way for one who knows it."""
        message = message_of(config)
        live = live_of(message, self._settings.pool_limits)
        self._settings = live.over(self._settings)
        self._tell(orjson.dumps({"command": "change", "settings": message}))

    def _tell(self, message: bytes) -> None:
        for seat in self._seats:
            if seat.channel is not None and not seat.channel.send(message):
                self._kill(seat)

    def tick(self, now: float) -> None:
        """Restart who died; kill who hangs."""
        away = now - self._ticked > _AWAY_S
        self._ticked = now
        for seat in self._seats:
            if away:
                seat.heard = now
            if seat.pid and seat.heard + _SILENT_S < now:
                self._say(f"worker {seat.shard} is silent for {_SILENT_S:g} s; killing it")
                self._kill(seat)
            if seat.restart_at is not None and seat.restart_at <= now:
                seat.restart_at = None
                self._fork(seat)

    def stop(self) -> None:
        """Kill whoever is left and close the books on them."""
        self._draining = True
        for seat in self._seats:
            if seat.pid:
                self._kill(seat)
                # dead before its channel is read to the end, but not yet waited for
                os.waitid(os.P_PID, seat.pid, os.WEXITED | os.WNOWAIT)
                self._listen(seat)

    def _kill(self, seat: _Seat) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(seat.pid, signal.SIGKILL)

    def _fork(self, seat: _Seat) -> None:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        seat.claims.reset()

        def child() -> NoReturn:
            ours.close()
            if not theirs.recv(1):
                os._exit(1)
            run_worker(
                replace(self._settings, shard=seat.shard),
                self._tap.ring_fds[seat.shard],
                self._tap.control_fd,
                theirs,
                seat.claims,
                parent,
            )

        pid = self._fork_child(child)
        theirs.close()
        self.memory.open(pid)
        if self._cage is not None:
            self._cage.admit(pid)
        ours.send(b"g")  # it may drop its privileges now
        seat.pid = pid
        seat.channel = ChildChannel(ours)
        seat.heard = seat.started = time.monotonic()
        self._selector.register(seat.channel, selectors.EVENT_READ, lambda: self._listen(seat))

    def _listen(self, seat: _Seat) -> None:
        """Take what a worker says; its end of file is its death."""
        channel = seat.channel
        while channel is not None:
            try:
                messages = channel.receive()
                if messages is None:
                    self._selector.unregister(channel)
                    channel.close()
                    seat.channel = None
                    self._kill(seat)  # it is exiting already, unless it is up to something
                    self._reap(seat)
                    return
                if not messages:
                    return
                for message in messages:
                    self._books.report(seat.shard, message)
                seat.heard = time.monotonic()
            except ValueError as exc:
                # no honest worker sends this
                self._say(f"worker {seat.shard} sent nonsense ({exc}); killing it")
                self._kill(seat)
                return

    def _reap(self, seat: _Seat) -> None:
        if not seat.pid:
            return
        _, status = os.waitpid(seat.pid, 0)
        self.memory.forget(seat.pid)
        seat.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            self._books.finish(seat.shard)
            return
        self._bury(seat, code)
        if not self._draining:
            quick = time.monotonic() - seat.started < _RESTART_S
            seat.restart_at = time.monotonic() + (_RESTART_S if quick else 0.0)

    def _bury(self, seat: _Seat, code: int) -> None:
        """Name what died with a worker, and skip what it had in hand: nothing is sent twice."""
        self._on_death(seat.shard)
        ring = self._tap.rings[seat.shard]
        progress = seat.claims.progress()
        claimed = ring.count(max(ring.consumed, progress.position), progress.claimed)
        if progress.claimed > ring.consumed:
            ring.skip_to(progress.claimed)
        self._books.bury(seat.shard, progress, claimed)
        if code == -signal.SIGSYS:
            # no defect that we know of ends like this: more likely the wire has a hold of it
            self._alert(f"worker {seat.shard} was killed for a system call that is forbidden to it")
        ours = None if self._cage is None else self._cage.explain(code)
        how = ours or (f"signal {-code}" if code < 0 else f"exit {code}")
        self._say(
            f"worker {seat.shard} died ({how}) with {claimed[0]} records in hand"
            + ("" if self._draining else "; starting another")
        )
