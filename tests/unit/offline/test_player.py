"""A capture's segments to a shadow on loopback, and what becomes of them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest
import uvloop

from shadow_agent.config import Config, Limits, ShadowUrl
from shadow_agent.daemon.mirror import Mirror
from shadow_agent.flow.segment import Segment
from shadow_agent.offline.player import Player
from shadow_agent.telemetry.ledger import Ledger, imbalances, left_over
from shadow_agent.telemetry.reasons import Refused
from tests.property.wire import GET, Wire, response
from tests.unit.offline.captures import conversation
from tests.unit.replay.bed import LOOPBACK, OK, Peer, at

MS = 1_000_000
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


class Played:
    """What one replay came to."""

    def __init__(self, one: Player, ledger: Ledger, said: list[str], shown: int) -> None:
        self.player = one
        self.ledger = ledger
        self.said = said
        self.shown = shown
        self.snapshot = one.tally.snapshot(ledger)


def play(
    segments: Iterable[Segment | None],
    script: Callable[[Peer], Awaitable[None]] = Peer.answer_all,
    *,
    begin: Callable[[Player, asyncio.AbstractEventLoop], object] = lambda *_: None,
    loop_address: bytes = b"",
    limits: Limits | None = None,
    **changed: Any,
) -> Played:
    """Replay them; the books must balance and nothing be left."""
    config = Config(
        interfaces=(), ports=(), shadow=ShadowUrl("s", 1), target="t", limits=limits or Limits(),
        **{"speed": math.inf, **changed},
    )  # fmt: skip
    loop = uvloop.new_event_loop()
    tasks: set[asyncio.Task[Any]] = set()
    said: list[str] = []
    shown: list[None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await script(Peer(reader, writer))
        finally:
            writer.close()

    async def end(server: asyncio.Server) -> None:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    endpoint = at(server.sockets[0].getsockname()[1])
    one = Player(config, endpoint, loop_address, loop, said.append, lambda: shown.append(None))
    begin(one, loop)
    try:
        one.run(iter(segments))
    finally:
        loop.run_until_complete(end(server))
        loop.close()
    ledger = one.mirror.ledger()
    found = [line for line in imbalances(ledger) if not line.startswith(("packets", "records"))]
    assert found + left_over(ledger) == []
    assert not [line for line in said if "defect" in line]
    return Played(one, ledger, said, len(shown))


def spread(segments: Iterable[Segment], step: int) -> list[Segment]:
    """Captured so many ns apart."""
    return [one._replace(ts=number * step) for number, one in enumerate(segments)]


def test_flat_out() -> None:
    """Everything is compared, however much the capture holds; both latencies are known."""
    segments = [one for port in range(1, 9) for one in conversation(300, port=port)]
    played = play(segments)
    assert played.ledger.pairs.compared == 2400
    assert played.ledger.replay.shed == {}
    assert played.snapshot.different == 0
    assert played.snapshot.latency_unknown == {}
    assert played.snapshot.shadow_first.count == played.snapshot.production_first.count == 2400
    assert played.snapshot.dispatch_lag.count == 0
    assert played.snapshot.network_rtt_us is None or played.snapshot.network_rtt_us >= 0
    assert played.shown >= 1


def test_packets_of_others_hold_up_no_answer() -> None:
    """While they are read the loop has its turn: nothing is lost, and what is due is done."""
    turns = 0

    def others() -> Iterator[Segment | None]:
        loop = asyncio.get_running_loop()
        for one in conversation(3):
            before = turns
            loop.call_soon(turned)
            yield None
            yield None
            assert turns > before
            yield one

    def turned() -> None:
        nonlocal turns
        turns += 1

    assert play(others()).ledger.pairs.compared == 3


def test_production_s_latency_is_the_capture_s() -> None:
    """Whatever the speed."""
    wire = Wire()
    opened = wire.open()
    asked, answer = wire.client(GET % 1), wire.server(response(b"ok"))
    segments = [*opened, asked, answer._replace(ts=asked.ts + 77 * MS)]
    for speed in (1.0, 4.0, math.inf):
        first = play(segments, speed=speed).snapshot.production_first
        assert first.percentile(50) == pytest.approx(77_000, rel=0.02)


def test_as_captured() -> None:
    """Requests go out as far apart as they came in, by a factor; the lag is against that."""
    at_times: list[float] = []

    async def note(peer: Peer) -> None:
        while True:
            await peer.head()
            at_times.append(time.monotonic())
            peer.say(OK)

    segments = spread(conversation(3), 20 * MS)  # a request every 40 ms
    began = time.monotonic()
    played = play(segments, note, speed=2.0)
    assert played.ledger.pairs.compared == 3
    assert played.snapshot.dispatch_lag.count == 3
    assert at_times[-1] - began >= 0.04  # a loaded machine is late, never early


def test_a_stamp_from_the_far_future_stops_nothing() -> None:
    """Its successor shows it for what it is."""
    segments = spread(conversation(3), 1000)
    segments[4] = segments[4]._replace(ts=10**18)
    assert play(segments, speed=1.0).ledger.pairs.compared == 3


def test_a_capture_without_a_segment() -> None:
    """Is done at once."""
    assert play([]).ledger.requests.started == 0


def test_what_policy_refuses() -> None:
    """By the default rule no POST; by address nothing that comes from the shadow."""
    wire = Wire()
    segments = [*wire.open(), wire.client(POST % 0), wire.server(response()), wire.client(GET % 1)]
    segments.append(wire.server(response(b"ok")))
    assert play(segments).ledger.replay.refused == {Refused.METHOD: 1}
    assert play(segments, methods=None, unguarded=True).ledger.pairs.compared == 2
    ours = [one._replace(key=LOOPBACK + one.key[16:]) for one in segments]
    assert play(ours, loop_address=LOOPBACK).ledger.replay.refused == {
        Refused.METHOD: 1,
        Refused.LOOP: 1,
    }


def test_so_many_requests() -> None:
    """And then it ends, with every pair that began compared."""
    played = play(spread(conversation(2000), 1000), requests=7, speed=1e-3)
    assert played.ledger.pairs.compared == played.ledger.replay.replayed == 7
    assert played.player.stopped == "7 requests replayed"


def test_so_long() -> None:
    """And then it ends, also when the capture sleeps for a year."""
    segments = conversation(2)
    segments = segments[:4] + [one._replace(ts=one.ts + 10**16) for one in segments[4:]]
    played = play(segments, duration_s=0.1, speed=1.0)
    assert played.player.stopped == "duration reached (0.1 s)"
    assert played.ledger.pairs.compared == 1
    assert played.said[-1] == "duration reached (0.1 s): waiting for what is under way"
    assert play(conversation(2), duration_s=1000.0).player.stopped is None


def test_stop_twice() -> None:
    """The first waits for what is under way, the second for nothing."""

    async def silent(peer: Peer) -> None:
        await peer.head()
        await peer.body(1)

    def begin(one: Player, loop: asyncio.AbstractEventLoop) -> None:
        def look() -> None:
            if one.mirror.unsettled:
                one.stop("SIGINT")
                loop.call_later(0.1, one.stop, "SIGINT")
            else:
                loop.call_later(0.01, look)

        loop.call_soon(look)

    played = play(conversation(2), silent, begin=begin, limits=Limits(drain_s=1000))
    assert played.player.stopped == "SIGINT"
    assert played.ledger.pairs.uncomparable == {"drained": 1}


def test_nothing_goes_out_after_a_stop() -> None:
    """What is read on to find production's answers is refused."""
    segments = spread(conversation(100), 1 * MS)

    def begin(one: Player, loop: asyncio.AbstractEventLoop) -> None:
        def look() -> None:
            if one.pool.counts.replayed:
                one.stop("x")
            else:
                loop.call_later(0.001, look)

        loop.call_soon(look)

    played = play(segments, begin=begin, speed=1)
    assert 0 < played.ledger.replay.replayed < 100
    assert played.ledger.pairs.compared == played.ledger.replay.replayed


def test_nobody_there() -> None:
    """A shadow that refuses is compared, with that outcome."""

    def begin(one: Player, loop: asyncio.AbstractEventLoop) -> None:
        one.pool._endpoint = at(1)

    played = play(conversation(3), begin=begin)
    assert played.snapshot.outcomes == {"refused": 3}
    assert played.ledger.pairs.compared == 3


def test_flat_out_waits_for_a_slow_reader() -> None:
    """Bodies far beyond every buffer arrive whole at a shadow that takes its time."""
    size, pieces = 24 << 20, 24

    async def slow(peer: Peer) -> None:
        await peer.head()
        for _ in range(pieces):
            await peer.body(size // pieces)
            await asyncio.sleep(0.002)
        peer.say(OK)

    wire = Wire()
    chunk = bytes(16 << 10)
    segments = [*wire.open(), wire.client(POST % size)]
    segments += [wire.client(chunk) for _ in range(size // len(chunk))]
    segments.append(wire.server(response(b"ok")))
    played = play(segments, slow, methods=None, unguarded=True)
    assert played.ledger.pairs.compared == 1
    assert played.snapshot.outcomes == {"answered": 1}


def test_flat_out_does_not_wait_for_ever() -> None:
    """A shadow that takes no more of a body breaks that request, and only it."""

    async def stuck(peer: Peer) -> None:
        if b"POST" in await peer.head():
            await asyncio.sleep(3600)
        peer.say(OK)
        await peer.answer_all()

    wire, other = Wire(port=1), Wire(port=2)
    size = 16 << 20
    chunk = bytes(16 << 10)
    segments = [*wire.open(), wire.client(POST % size)]
    segments += [wire.client(chunk) for _ in range(size // len(chunk))]
    segments += [*other.open(), other.client(GET % 1), other.server(response(b"ok"))]
    played = play(
        segments, stuck, methods=None, unguarded=True, limits=Limits(first_byte_timeout_s=0.2)
    )
    assert played.ledger.pairs.uncomparable == {"backlog": 1}
    assert played.ledger.pairs.compared == 1


def test_a_defect_costs_one_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, and the rest goes on."""
    handle = Mirror.on_production
    broken = [True, True]

    def on_production(self: Mirror, segment: Segment) -> None:
        if broken and b"GET /1 " in segment.payload:
            broken.pop()
            raise ZeroDivisionError("x")
        handle(self, segment)

    monkeypatch.setattr(Mirror, "on_production", on_production)
    said: list[str] = []
    segments = conversation(3)
    config = Config(
        interfaces=(), ports=(), shadow=ShadowUrl("s", 1), target="t", speed=math.inf, debug=True
    )
    loop = uvloop.new_event_loop()
    one = Player(config, at(1), b"", loop, said.append, lambda: None)
    one.run(iter([*segments, segments[4]]))
    loop.close()
    assert said == ["defect: ZeroDivisionError: x"]
    assert one.mirror.ledger().requests.started >= 1


def test_a_long_pause_is_announced_once() -> None:
    """Or a wrong stamp would look like an agent that hangs."""
    segments = spread(conversation(3), 1000)
    late = [one._replace(ts=one.ts + 10**18) for one in segments[4:]]

    def begin(player: Player, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(0.2, player._step)  # as after the longest sleep
        loop.call_later(0.2, player.stop, "enough")

    played = play(segments[:4] + late, begin=begin, speed=1.0)
    assert played.ledger.pairs.compared == 1
    assert [one for one in played.said if "pauses" in one] == [
        "the capture pauses for 1,000,000,000 s; --speed max does not wait"
    ]


def test_memory_where_stamps_stand_still() -> None:
    """Nothing expires there; who holds nothing any more is forgotten all the same."""
    segments = [one for port in range(1, 2001) for one in conversation(1, port=port)]
    played = play([one._replace(ts=0) for one in segments])
    assert played.ledger.pairs.compared == 2000
    assert len(played.player._assembler.budget._queue) <= 1024
