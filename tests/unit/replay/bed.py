"""A pool and a scripted shadow on loopback, in one event loop; every counter balances at the end.

Time does not pass by itself: deadlines come when a test lets the pool's clock tick ahead.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.replay.admission import Admission
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.pool import ShadowPool
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.sockets import Endpoint
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.reasons import Outcome

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
LOOPBACK = bytes(10) + b"\xff\xff\x7f\0\0\1"
WAIT_S = 20.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(method: str = "GET", target: str = "/", fields: str = "") -> bytes:
    """A request's head."""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def post(length: int, target: str = "/") -> bytes:
    """The head of a POST whose body has this length."""
    return request("POST", target, f"Content-Length: {length}\r\n")


def exchange(raw: bytes, flow: int = 1) -> Exchange:
    """An exchange of which the head has just been read, on one of production's flows."""
    head = parse_request(raw)
    assert isinstance(head, RequestHead)
    started = time.monotonic_ns()
    return Exchange(1, flow.to_bytes(36, "big"), "s", head, started, 0, 0, unsure=False)


class Peer:
    """The shadow's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accepted just now."""
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """The next request's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def body(self, length: int) -> bytes:
        """That many bytes."""
        return await self._reader.readexactly(length)

    def say(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)

    def close(self) -> None:
        """Close in an orderly way."""
        self._writer.close()

    def reset(self) -> None:
        """Close by RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        self._writer.transport.abort()

    async def fate(self) -> str:
        """How the agent ends the connection: "reset", "closed", or the bytes that come instead."""
        try:
            data = await self._reader.read(1 << 16)
        except ConnectionResetError:
            return "reset"
        return repr(data) if data else "closed"

    async def answer_all(self) -> None:
        """Answer whatever has no body, as long as somebody asks."""
        try:
            while True:
                await self.head()
                self.say(OK)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


Script = Callable[[Peer], Awaitable[None]]


class Bed:
    """The pool under test; ``scripts`` play the shadow, one a connection, the last one on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *scripts: Script) -> None:
        """Not listening yet."""
        self.loop = loop
        self.pool: ShadowPool
        self.accepted = 0
        self.heads = 0
        self.done: list[tuple[Replay, Timeline]] = []
        self._scripts = scripts or (Peer.answer_all,)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._ended: dict[Replay, asyncio.Event] = {}

    async def open(
        self,
        limits: PoolLimits,
        endpoint: Endpoint | None,
        admission: Admission | None = None,
    ) -> None:
        """Listen, and make the pool."""
        if endpoint is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            port = self._server.sockets[0].getsockname()[1]
            endpoint = at(port)
        self.pool = ShadowPool(endpoint, limits, self.loop, (0, 1), self._on_done, admission)

    def submit(self, raw: bytes, flow: int = 1, *, whole: bool = True, age_s: float = 0) -> Replay:
        """A request of production, whole unless its body is still to come."""
        self.heads += 1
        replay = self.pool.submit(exchange(raw, flow))
        replay.queued_at -= age_s
        if whole:
            self.pool.end_request(replay, whole=True)
        return replay

    async def ended(self, replay: Replay) -> Outcome | None:
        """Wait until it has been sent and has ended."""
        event = self._ended.setdefault(replay, asyncio.Event())
        await asyncio.wait_for(event.wait(), WAIT_S)
        return None if replay.reply is None else replay.reply.outcome

    async def ask(self, raw: bytes, flow: int = 1) -> Replay:
        """Submit, and wait until it has ended."""
        replay = self.submit(raw, flow)
        await self.ended(replay)
        return replay

    async def until(self, true: Callable[[], bool]) -> None:
        """Let the loop turn until something is true."""
        async with asyncio.timeout(WAIT_S):
            while not true():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)

    def later(self, seconds: float) -> None:
        """Tick as if this much time had passed."""
        self.pool.tick(self.loop.time() + seconds)

    def check(self) -> None:
        """What came in is what is accounted for."""
        counts = self.pool.counts
        lost = sum([*counts.refused.values(), *counts.shed.values(), *counts.failed.values()])
        assert self.heads == counts.replayed + lost + counts.queued
        assert counts.replayed == len(self.done) + self.pool.in_flight
        assert len({replay for replay, _ in self.done}) == len(self.done)

    async def close(self) -> None:
        """Give up what is due; everything is accounted for, and no socket is left."""
        self.check()
        self.pool.drain()
        assert not self.pool.busy
        assert self.pool.open_connections == 0
        self.check()
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.until(lambda: len(asyncio.all_tasks(self.loop)) == 1)
        for _ in range(3):
            await asyncio.sleep(0)  # sockets that are being closed

    def _on_done(self, replay: Replay, timeline: Timeline) -> None:
        self.done.append((replay, timeline))
        self._ended.setdefault(replay, asyncio.Event()).set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
        self.accepted += 1
        task = asyncio.ensure_future(self._play(script, Peer(reader, writer), writer))
        self._tasks.add(task)

    async def _play(self, script: Script, peer: Peer, writer: asyncio.StreamWriter) -> None:
        try:
            await script(peer)
        finally:
            writer.close()


def at(port: int, interface: str | None = None) -> Endpoint:
    """A port on loopback."""
    return Endpoint(socket.AF_INET, ("127.0.0.1", port), LOOPBACK, port, interface)


Scenario = Callable[[Bed], Coroutine[Any, Any, None]]
Play = Callable[..., None]


def play(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    scenario: Scenario,
    *scripts: Script,
    limits: PoolLimits | None = None,
    endpoint: Endpoint | None = None,
    admission: Admission | None = None,
) -> None:
    """Run a scenario against a shadow that follows the scripts."""
    loop = new_loop()

    async def whole() -> None:
        bed = Bed(loop, *scripts)
        await bed.open(limits or PoolLimits(), endpoint, admission)
        try:
            await scenario(bed)
        finally:
            await bed.close()

    try:
        loop.run_until_complete(whole())
    finally:
        loop.close()
