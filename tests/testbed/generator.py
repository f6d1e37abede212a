"""The load generator's engine: connections, pacing, and counts that are exact.

Open loop (``rate``): requests fall due on a fixed schedule whatever the server does; latency runs
from the moment a request was *due*, so that a stall shows in every request it delayed. Closed loop
(``rate`` 0): each connection sends its next request when its last was answered.

Every request sent ends as answered or under one named error: ``sent = answered + errors``.
About 15 µs of CPU per request with uvloop, hence plain attributes and no per-request objects.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import NamedTuple

from tests.testbed.asks import Ask, cycle, wire
from tests.testbed.connection import Connection

_TICK_S = 0.001
_PACING_S = 2 * _TICK_S
_SWEEP_S = 0.1


class Plan(NamedTuple):
    """What to do. Stops at ``requests`` or after ``duration`` seconds, whichever is set and first.

    ``timeout``: seconds for one request, connection included.
    """

    host: str
    port: int
    asks: list[Ask]
    rate: float
    connections: int
    requests: int
    duration: float
    timeout: float
    keep_alive: bool


class Load:
    """One run of a plan, with its counts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.sent: Counter[int] = Counter()  # by index of the ask
        self.statuses: Counter[tuple[int, int]] = Counter()  # by (index, status)
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []  # seconds
        self.opened = 0
        self.unasked = 0  # connections that brought bytes while nothing was outstanding
        self.body_bytes = 0
        self.started = 0.0
        self.ended = 0.0
        self.stopping = False
        self._order = cycle(plan.asks)
        bracketed = f"[{plan.host}]" if ":" in plan.host else plan.host
        authority = f"{bracketed}:{plan.port}"
        self._wires = [wire(ask, authority, keep_alive=plan.keep_alive) for ask in plan.asks]
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._due: deque[float] = deque()  # open loop: due and not yet sent
        self._scheduled = 0  # fell due, sent or not
        self._issued = 0  # handed to a connection
        self._connecting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def unsent(self) -> int:
        """Requests that fell due and found no free connection until the end."""
        return len(self._due)

    async def run(self) -> None:
        """Send everything and wait for what is outstanding (each at most ``timeout``)."""
        loop = asyncio.get_running_loop()
        self.started = time.monotonic()
        sweeper = loop.create_task(self._sweep())
        try:
            if self.plan.keep_alive:
                await asyncio.gather(*(self._connect() for _ in range(self.plan.connections)))
                self.started = time.monotonic()
            await (self._open_loop() if self.plan.rate else self._closed_loop())
            while self._busy or self._connecting:  # noqa: ASYNC110  as precise as the pacing is
                await asyncio.sleep(_TICK_S)
        finally:
            self.ended = time.monotonic()
            sweeper.cancel()
            for connection in self._idle:
                connection.transport.close()

    async def _open_loop(self) -> None:
        rate = self.plan.rate
        while not self._finished():
            now = time.monotonic()
            until = int((now - self.started) * rate) + 1
            if self.plan.requests:
                until = min(until, self.plan.requests)
            while self._scheduled < until:
                due = self.started + self._scheduled / rate
                # Within our own pacing step it is not the server that is late.
                self._due.append(now if now - due < _PACING_S else due)
                self._scheduled += 1
            self._dispatch()
            await asyncio.sleep(_TICK_S)
        # What fell due may still find a connection for as long as an answer may take.
        deadline = time.monotonic() + self.plan.timeout
        while self._due and not self.stopping and time.monotonic() < deadline:
            self._dispatch()
            await asyncio.sleep(_TICK_S)

    async def _closed_loop(self) -> None:
        while not self._finished():
            self._fill()
            await asyncio.sleep(_TICK_S)

    def _finished(self) -> bool:
        plan = self.plan
        return (
            self.stopping
            or bool(plan.requests and self._scheduled >= plan.requests)
            or bool(plan.duration and time.monotonic() - self.started >= plan.duration)
        )

    def _fill(self) -> None:
        """Closed loop: one due request for every free place."""
        free = self.plan.connections - len(self._busy) - self._connecting
        for _ in range(free):
            if self._finished():
                break
            self._due.append(time.monotonic())
            self._scheduled += 1
        self._dispatch()

    def _dispatch(self) -> None:
        due, idle = self._due, self._idle
        while due:
            if idle:
                connection = idle.popleft()
                if not connection.transport.is_closing():
                    connection.send(self._next(), due.popleft())
            elif len(self._busy) + self._connecting < self.plan.connections:
                self._spawn(due.popleft())
            else:
                break

    def _next(self) -> tuple[int, bytes]:
        number = self._issued
        self._issued += 1
        index = self._order[number % len(self._order)]
        before, after = self._wires[index]
        return index, b"%b%d%b" % (before, number, after) if after else before

    def _spawn(self, due: float) -> None:
        """Send on a connection of its own: the first, or one instead of a closed one."""
        task = asyncio.get_running_loop().create_task(self._connect(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, due: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._connecting += 1
        try:
            async with asyncio.timeout(self.plan.timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self), self.plan.host, self.plan.port
                )
        except (OSError, TimeoutError):
            # Only a request makes it an error: one of the first connections is tried again when
            # its turn comes.
            if due is not None:
                self.errors["connect"] += 1
                self.sent[self._next()[0]] += 1
            return
        finally:
            self._connecting -= 1
        self.opened += 1
        if due is None:
            self._idle.append(connection)
        else:
            connection.send(self._next(), due)

    def busy(self, connection: Connection, index: int) -> None:
        """A request went out."""
        self.sent[index] += 1
        self._busy.add(connection)

    def answered(self, connection: Connection, index: int, status: int) -> None:
        """A whole response came in."""
        now = time.monotonic()
        self.statuses[index, status] += 1
        self.latencies.append(now - connection.due)
        self._busy.discard(connection)
        if not self.plan.keep_alive or connection.closing:
            connection.transport.close()
        else:
            self._idle.append(connection)
        if self.plan.rate:
            if self._due:
                self._dispatch()
        else:
            self._fill()

    def failed(self, connection: Connection, why: str) -> None:
        """The outstanding request will not be answered."""
        self.errors[why] += 1
        self._busy.discard(connection)

    def gone(self, connection: Connection) -> None:
        """A connection without an outstanding request was closed by the server."""
        if connection in self._idle:
            self._idle.remove(connection)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            oldest = time.monotonic() - self.plan.timeout
            for connection in [one for one in self._busy if one.sent_at < oldest]:
                connection.fail("timeout")
