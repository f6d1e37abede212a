"""A pool that looks at the clock itself, against a shadow on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shadow_agent.http.exchange import Exchange
from shadow_agent.offline.timed import TimedPool
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.reasons import Outcome, Uncomparable
from tests.unit.replay.bed import LOOPS, OK, Peer, at, exchange, post, request

Script = Callable[[Peer], Awaitable[None]]


class Stage:
    """A timed pool and what it reports."""

    def __init__(self, port: int, limits: PoolLimits) -> None:
        self.done: list[tuple[Replay, Timeline]] = []
        self.rooms = 0
        loop = asyncio.get_running_loop()
        self.pool = TimedPool(at(port), limits, loop, self._on_done, self._on_room)

    def ask(self, raw: bytes, flow: int = 1, *, whole: bool = True) -> tuple[Exchange, Replay]:
        """A request, whole unless its body is still to come."""
        made = exchange(raw, flow)
        replay = self.pool.submit(made)
        if whole:
            self.pool.end_request(replay, whole=True)
        return made, replay

    async def until(self, true: Callable[[], object]) -> None:
        """Let the loop turn until something is true."""
        async with asyncio.timeout(20):
            while not true():  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)

    def _on_done(self, replay: Replay, timeline: Timeline) -> None:
        self.done.append((replay, timeline))

    def _on_room(self) -> None:
        self.rooms += 1


def play(
    scenario: Callable[[Stage], Awaitable[None]],
    script: Script = Peer.answer_all,
    limits: PoolLimits | None = None,
    loop_name: str = "uvloop",
) -> None:
    """Run a scenario; at its end nothing is under way."""

    async def whole() -> None:
        tasks: set[asyncio.Task[Any]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.current_task())  # type: ignore[arg-type]
            try:
                await script(Peer(reader, writer))
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        stage = Stage(server.sockets[0].getsockname()[1], limits or PoolLimits())
        try:
            await scenario(stage)
        finally:
            stage.pool.drain()
            assert stage.pool.alive == stage.pool.due == 0
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    loop = LOOPS[loop_name]()
    try:
        loop.run_until_complete(whole())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.mark.parametrize("loop_name", LOOPS)
def test_times_of_a_request_and_its_answer(loop_name: str) -> None:
    """In order, between before and after; each request on a connection has its own."""

    async def scenario(stage: Stage) -> None:
        before = time.monotonic_ns()
        for number in range(2):
            stage.ask(request(target=f"/{number}"))
            await stage.until(lambda n=number: len(stage.done) > n)  # type: ignore[misc]
        after = time.monotonic_ns()
        passed = []
        for replay, timeline in stage.done:
            reply = replay.reply
            assert reply is not None
            assert replay.request_end is not None
            assert reply.first_offset is not None
            assert reply.end_offset is not None
            assert timeline.based
            assert not timeline.resent(replay.request_end, reply.first_offset)
            passed.append(timeline.request_passed(replay.request_end))
            passed.append(timeline.answer_passed(reply.first_offset))
            passed.append(timeline.answer_passed(reply.end_offset - 1))
        assert None not in passed
        times = [one for one in passed if one is not None]
        assert [before, *times, after] == sorted([before, *times, after])

    play(scenario, loop_name=loop_name)


def test_the_last_byte_of_a_request_counts() -> None:
    """Not its head, when the body comes later; nor the answer's first byte for its last."""

    async def in_two(peer: Peer) -> None:
        await peer.head()
        await peer.body(4)
        peer.say(OK[:-1])
        await asyncio.sleep(0.01)
        peer.say(OK[-1:])

    async def scenario(stage: Stage) -> None:
        _, replay = stage.ask(post(4), whole=False)
        await stage.until(lambda: stage.pool.in_flight)
        headed = time.monotonic_ns()
        stage.pool.add_body(replay, b"body")
        stage.pool.end_request(replay, whole=True)
        await stage.until(lambda: stage.done)
        timeline, reply = stage.done[0][1], replay.reply
        assert replay.request_end is not None
        assert reply is not None
        assert reply.first_offset is not None
        assert reply.end_offset is not None
        asked = timeline.request_passed(replay.request_end)
        first = timeline.answer_passed(reply.first_offset)
        last = timeline.answer_passed(reply.end_offset - 1)
        assert asked is not None
        assert first is not None
        assert last is not None
        assert headed <= asked <= first < last

    play(scenario, in_two)


def test_what_is_due() -> None:
    """A request that still streams waits for us, a whole one for the shadow."""

    async def scenario(stage: Stage) -> None:
        pool = stage.pool
        _, streaming = stage.ask(post(4), 1, whole=False)
        stage.ask(request(), 2)
        assert (pool.due, pool.alive) == (1, 2)
        await stage.until(lambda: stage.done)
        assert (pool.due, pool.alive) == (0, 1)
        assert stage.rooms > 0
        pool.end_request(streaming, whole=False)
        assert streaming.broken is Uncomparable.REQUEST_INCOMPLETE
        assert pool.alive == 0

    play(scenario)


def test_what_is_shed_is_not_due() -> None:
    """Neither at once nor later."""

    async def scenario(stage: Stage) -> None:
        for _ in range(3):
            stage.ask(request())
        assert stage.pool.alive == stage.pool.due == 2
        assert sum(stage.pool.counts.shed.values()) == 1

    play(scenario, limits=PoolLimits(max_queue=2))


def test_the_backlog() -> None:
    """What waits for its turn, and what the kernel does not take; room is told when it does."""
    size = 16 << 20
    go_on = asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.head()
        await go_on.wait()
        await peer.body(size)
        peer.say(OK)

    async def scenario(stage: Stage) -> None:
        pool = stage.pool
        _, replay = stage.ask(post(size), whole=False)
        pool.add_body(replay, bytes(1000))
        assert pool.backlog() == 1000
        await stage.until(lambda: pool.in_flight)
        pool.add_body(replay, bytes(size - 1000))
        pool.end_request(replay, whole=True)
        assert pool.backlog() > 0
        before = stage.rooms
        go_on.set()
        await stage.until(lambda: stage.done)
        assert stage.rooms > before + 1
        assert pool.backlog() == 0
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.ANSWERED

    play(scenario, slow, PoolLimits(max_backlog_bytes=32 << 20))
