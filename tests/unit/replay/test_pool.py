"""Caps, deadlines and what becomes of a connect, over all connections to one target."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from shadow_agent.flow.segment import ACK, SYN, Direction, Segment
from shadow_agent.policy.breaker import Breaker, BreakerTerms
from shadow_agent.replay.admission import Admission
from shadow_agent.replay.channel import State
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase
from shadow_agent.replay.sockets import Endpoint, begin_connect
from shadow_agent.telemetry.reasons import Failed, Outcome, Shed, Uncomparable
from tests.unit.replay.bed import LOOPBACK, OK, Bed, Peer, Play, at, request

GET = request()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a SYN there gets no answer."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_connection_for_each_flow(play: Play) -> None:
    """Production's connections are told apart on the shadow's side too."""

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(GET, flow) for flow in (1, 2, 1)]
        for replay in replays:
            await bed.ended(replay)
        assert replays[0].connection is replays[2].connection
        assert replays[0].connection is not replays[1].connection
        assert bed.accepted == bed.pool.open_connections == 2
        assert bed.pool.round_trip_us() is not None

    play(scenario)


def test_nothing_is_known_before_a_connection(play: Play) -> None:
    """No round trip, nothing busy."""

    async def scenario(bed: Bed) -> None:
        assert bed.pool.round_trip_us() is None
        assert not bed.pool.busy

    play(scenario)


def test_refused(play: Play, closed_port: int) -> None:
    """Each request asks again, and each is compared with the refusal."""

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(GET) for _ in range(3)]
        for replay in replays:
            assert await bed.ended(replay) is Outcome.REFUSED
            assert replay.sent_ns is not None
        assert not bed.pool.busy

    play(scenario, endpoint=at(closed_port))


def test_no_route(play: Play) -> None:
    """The kernel says so before a packet leaves: our own fault."""
    endpoint = at(9)._replace(address=("127.255.255.255", 9))

    async def scenario(bed: Bed) -> None:
        bed.submit(GET)
        await bed.until(lambda: bed.pool.counts.queued == 0)
        assert bed.pool.counts.failed == {Failed.NO_ROUTE: 1}
        assert bed.done == []
        assert bed.pool.open_connections == 0

    play(scenario, endpoint=endpoint)


def test_no_answer_to_a_connect(play: Play, deaf_port: int) -> None:
    """One request is charged with it; the next one tries again."""

    async def scenario(bed: Bed) -> None:
        first, second = bed.submit(GET), bed.submit(GET)
        bed.later(0.9)
        assert first.phase is Phase.QUEUED
        bed.later(1.1)
        assert await bed.ended(first) is Outcome.TIMEOUT_CONNECT
        assert second.connection.state is State.CONNECTING
        assert bed.pool.open_connections == 1
        bed.pool.retire(second.exchange.flow_key)
        bed.later(1.1)
        assert await bed.ended(second) is Outcome.TIMEOUT_CONNECT
        assert bed.pool.open_connections == 0

    play(scenario, endpoint=at(deaf_port))


def test_an_interface_that_is_not_there(play: Play) -> None:
    """The agent's own fault, by the name of the bind; the next request tries again."""

    async def scenario(bed: Bed) -> None:
        for flow in (1, 1, 2):
            bed.submit(GET, flow)
        await bed.until(lambda: bed.pool.counts.queued == 0)
        bed.submit(GET)
        await bed.until(lambda: bed.pool.counts.queued == 0)
        assert bed.pool.counts.failed == {Failed.BIND: 4}
        assert bed.done == []

    play(scenario, endpoint=at(9, "nope0"))


def test_the_link_goes_down_and_up(play: Play) -> None:
    """What waits fails, what was sent is no pair, and the breaker hears of nothing bad."""
    breaker = Breaker(BreakerTerms())

    async def hold(peer: Peer) -> None:
        await peer.head()
        assert await peer.fate() == "reset"

    async def scenario(bed: Bed) -> None:
        sent, waiting = bed.submit(GET), bed.submit(GET)
        await bed.until(lambda: sent.phase is Phase.SENT)
        connecting = bed.submit(GET, 2)
        bed.pool.link(False)
        assert sent.broken is Uncomparable.LINK_DOWN
        assert waiting.phase is connecting.phase is Phase.DROPPED
        assert bed.pool.open_connections == 0
        bed.submit(GET, 3)
        await bed.until(lambda: bed.pool.counts.queued == 0)
        assert bed.pool.counts.failed == {Failed.LINK_DOWN: 3}
        assert breaker.closed
        bed.pool.link(True)
        answered = await bed.ask(GET)
        assert answered.reply is not None
        assert answered.reply.outcome is Outcome.ANSWERED

    play(scenario, hold, Peer.answer_all, admission=Admission(breaker))


def test_the_cap_closes_who_was_idle_longest(play: Play) -> None:
    """The least recently used makes room, without a word in the ledger."""

    async def scenario(bed: Bed) -> None:
        one, two = await bed.ask(GET, 1), await bed.ask(GET, 2)
        await bed.ask(GET, 1)
        await bed.ask(GET, 3)
        assert two.connection.state is State.CLOSED
        assert one.connection.state is State.OPEN
        assert bed.pool.open_connections == 2
        assert (await bed.ask(GET, 2)).connection is not two.connection
        assert not bed.pool.counts.shed

    play(scenario, limits=PoolLimits(max_connections=2))


def test_the_cap_holds_at_every_moment(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts of flows: no socket is opened before the one that makes room for it is closed."""
    made: list[socket.socket] = []
    most = 0

    def watched(endpoint: Endpoint, shard: tuple[int, int]) -> socket.socket | Outcome | Failed:
        nonlocal most
        result = begin_connect(endpoint, shard)
        if isinstance(result, socket.socket):
            made.append(result)
            most = max(most, sum(_is_open(sock) for sock in made))
        return result

    monkeypatch.setattr("shadow_agent.replay.dialer.begin_connect", watched)

    async def scenario(bed: Bed) -> None:
        for flow in (1, 2, 3):
            await bed.ask(GET, flow)
        for flows in ((4, 5, 6), (7, 8, 9)):
            burst = [bed.submit(GET, flow) for flow in flows]
            for replay in burst:
                assert await bed.ended(replay) is Outcome.ANSWERED
        assert len(made) == 9

    play(scenario, limits=PoolLimits(max_connections=3))
    assert most == 3


def _is_open(sock: socket.socket) -> bool:
    return sock.fileno() >= 0


def test_the_cap_sheds_when_none_is_idle(play: Play) -> None:
    """All that wait on the connection that found no room."""

    async def silent(peer: Peer) -> None:
        await peer.head()
        await peer.body(1)

    async def scenario(bed: Bed) -> None:
        busy = bed.submit(GET, 1)
        await bed.until(lambda: busy.phase is Phase.SENT)
        shed = [bed.submit(GET, 2) for _ in range(2)]
        await bed.until(lambda: bed.pool.counts.queued == 0)
        assert bed.pool.counts.shed == {Shed.CONNECTIONS: 2}
        assert [replay.phase for replay in shed] == [Phase.DROPPED] * 2
        bed.later(11)
        assert await bed.ended(busy) is Outcome.TIMEOUT_FIRST_BYTE
        again = bed.submit(GET, 2)
        await bed.until(lambda: again.phase is Phase.SENT)

    play(scenario, silent, limits=PoolLimits(max_connections=1))


def test_a_drain_reaches_those_that_wait_for_room(play: Play) -> None:
    """Also when production's connection has ended and there never was a socket."""

    async def silent(peer: Peer) -> None:
        await peer.head()
        await peer.body(1)

    async def scenario(bed: Bed) -> None:
        busy = bed.submit(GET, 1)
        await bed.until(lambda: busy.phase is Phase.SENT)
        left = bed.submit(GET, 2)
        bed.pool.retire(left.exchange.flow_key)
        await bed.until(lambda: bed.pool.counts.queued == 0)
        assert left.connection not in bed.pool._connections()
        left = bed.submit(GET, 2)
        bed.pool.retire(left.exchange.flow_key)
        bed.pool.drain()
        assert bed.pool.counts.queued == 0
        assert bed.pool.counts.failed == {Failed.DRAINED: 1}

    play(scenario, silent, limits=PoolLimits(max_connections=1))


def test_records_of_a_socket_reach_its_timeline(play: Play) -> None:
    """By its key, also those that are read after it closed; others are nobody's."""

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        (key,) = bed.pool._by_key
        assert key[:16] == LOOPBACK
        bed.later(16)
        assert bed.pool.open_connections == 0
        push = bed.pool.timelines.push
        push(record(key, Direction.REQUEST, 99, flags=SYN))
        push(record(key, Direction.RESPONSE, 999, flags=SYN | ACK))
        push(record(bytes(36), Direction.REQUEST, 0, len(GET), ts=1))
        push(record(key, Direction.REQUEST, 100, len(GET), ts=5))
        push(record(key, Direction.RESPONSE, 1000, len(OK), ts=7))
        ((_, timeline),) = bed.done
        assert replay.request_end is not None
        assert timeline.based
        assert timeline.request_passed(replay.request_end) == 5
        assert timeline.answer_passed(0) == 7

    play(scenario)


def record(
    key: bytes, direction: Direction, seq: int, length: int = 0, *, flags: int = ACK, ts: int = 0
) -> Segment:
    """What the shadow-side tap says of one packet."""
    return Segment(ts, key, direction, seq, 0, flags, b"", length, final=True)


def test_when_it_was_sent(play: Play) -> None:
    """By the clock that the kernel's timestamps use."""

    async def scenario(bed: Bed) -> None:
        before = time.monotonic_ns()
        replay = await bed.ask(GET)
        assert replay.sent_ns is not None
        assert before <= replay.sent_ns <= time.monotonic_ns()

    play(scenario)
