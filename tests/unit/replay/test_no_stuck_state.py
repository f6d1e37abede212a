"""Whatever state a connection is in, a request on it ends: each wait has its deadline.

Every way in which a shadow can keep us waiting, met by every shape of request, on a clock that runs
as fast as there is nothing to do.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest

from shadow_agent.policy.breaker import Breaker, BreakerTerms
from shadow_agent.replay.admission import Admission
from shadow_agent.replay.channel import State
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.replay.sockets import Endpoint
from tests.unit.replay.bed import OK, Bed, Peer, at, post, request

LIMITS = PoolLimits(max_connections=2, max_queue=4, max_backlog_bytes=1 << 16)
# All deadlines one after the other, and the turn of whoever waits behind; twice as long.
LONGEST_S = 2 * (LIMITS.connect_timeout + LIMITS.whole_timeout + LIMITS.max_queue_age) * 4
STEP_S = 0.5
TURNS = 30  # of the loop, for what the kernel has brought, between two steps of the clock


class FastLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    ahead = 0.0

    def time(self) -> float:
        """Monotonic, seconds."""
        return super().time() + self.ahead


async def wait_for_ever() -> None:
    """Until the scenario is over."""
    await asyncio.Event().wait()


async def silent(peer: Peer) -> None:
    """Accepts, and that is all."""
    del peer
    await wait_for_ever()


async def mute(peer: Peer) -> None:
    """Reads the head, says nothing."""
    await peer.head()
    await wait_for_ever()


async def drips(peer: Peer) -> None:
    """A whole head at once, and a byte now and then for ever."""
    await peer.head()
    peer.say(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        peer.say(b"x")
        await asyncio.sleep(1)


async def drips_a_head(peer: Peer) -> None:
    """A head that goes on and on."""
    await peer.head()
    peer.say(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        peer.say(b"x")
        await asyncio.sleep(1)


async def interim(peer: Peer) -> None:
    """One interim response after the other."""
    await peer.head()
    while True:
        peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(1)


async def half_a_head(peer: Peer) -> None:
    """Begins to answer, and falls silent."""
    await peer.head()
    peer.say(b"HTTP/1.1 200 OK\r\nContent-")
    await wait_for_ever()


async def early(peer: Peer) -> None:
    """Answers before it has read the body, and reads no more."""
    await peer.head()
    peer.say(OK)
    await wait_for_ever()


async def half_early(peer: Peer) -> None:
    """Begins to answer before it has read the body."""
    await peer.head()
    peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
    await wait_for_ever()


async def idle_close(peer: Peer) -> None:
    """Answers once and closes as the next one comes; the one after that is mute."""
    await peer.head()
    peer.say(OK)
    await peer.head()
    peer.close()


async def speaks_first(peer: Peer) -> None:
    """An answer to nothing."""
    peer.say(OK)
    await wait_for_ever()


SHADOWS: dict[str, list[Callable[[Peer], Awaitable[None]]]] = {
    "silent": [silent],
    "mute": [mute],
    "drips": [drips],
    "drips a head": [drips_a_head],
    "interim for ever": [interim],
    "half a head": [half_a_head],
    "early": [early],
    "half early": [half_early],
    "idle close": [idle_close, mute],
    "speaks first": [speaks_first],
    "well": [Peer.answer_all],
}


def whole(bed: Bed, flow: int) -> list[Replay]:
    """A request without a body."""
    return [bed.submit(request(), flow)]


def several(bed: Bed, flow: int) -> list[Replay]:
    """More than may wait."""
    return [bed.submit(request(), flow) for _ in range(6)]


def upload(bed: Bed, flow: int) -> list[Replay]:
    """A body that is larger than all buffers on the way, piece by piece."""
    replay = bed.submit(post(8 << 20), flow, whole=False)
    for number in range(16):
        bed.loop.call_later(2 + number, bed.pool.add_body, replay, bytes(1 << 19))
    bed.loop.call_later(20, lambda: bed.pool.end_request(replay, whole=True))
    return [replay]


def cut(bed: Bed, flow: int) -> list[Replay]:
    """A body of which production's client sent only the beginning, and another request."""
    replay = bed.submit(post(100), flow, whole=False)
    bed.pool.add_body(replay, b"x")
    bed.pool.end_request(replay, whole=False)
    return [replay, bed.submit(request(), flow)]


def retired(bed: Bed, flow: int) -> list[Replay]:
    """Production's connection is gone before the answer."""
    replays = [bed.submit(request(), flow) for _ in range(2)]
    bed.pool.retire(flow.to_bytes(36, "big"))
    return replays


def slow_body(bed: Bed, flow: int) -> list[Replay]:
    """A body that production's client sends after a while: until then only it is waited for."""
    replay = bed.submit(post(4), flow, whole=False)
    bed.loop.call_later(20, bed.pool.add_body, replay, b"body")
    bed.loop.call_later(20, lambda: bed.pool.end_request(replay, whole=True))
    return [replay, bed.submit(request(), flow)]


SHAPES = [whole, several, upload, cut, retired, slow_body]


async def all_end(bed: Bed, shape: Callable[[Bed, int], list[Replay]]) -> set[State]:
    """Ask on three flows, of which two fit, and wait; what states were seen meanwhile."""
    loop = bed.loop
    assert isinstance(loop, FastLoop)
    replays = [replay for flow in (1, 2, 3) for replay in shape(bed, flow)]
    seen = set()
    begin = loop.time()
    while any(one.phase in {Phase.QUEUED, Phase.SENT} for one in replays):
        seen |= {one.connection.state for one in replays}
        assert loop.time() - begin < LONGEST_S, [
            (one.phase, one.connection.state, one.connection.deadline) for one in replays
        ]
        for _ in range(TURNS):
            await asyncio.sleep(0)
        loop.ahead += STEP_S
        bed.pool.tick(loop.time())
    for _ in range(round(LIMITS.idle_close / STEP_S) + 1):
        loop.ahead += STEP_S
        bed.pool.tick(loop.time())
    assert bed.pool.open_connections == 0
    assert bed.pool.in_flight == bed.pool.counts.queued == 0
    return seen


def played(
    shape: Callable[[Bed, int], list[Replay]],
    scripts: list[Callable[[Peer], Awaitable[None]]],
    endpoint: Endpoint | None = None,
    *,
    breaker: bool = False,
) -> set[State]:
    """The states that were seen until the last request had ended."""
    loop = FastLoop()

    async def scenario() -> set[State]:
        bed = Bed(loop, *scripts)
        terms = BreakerTerms(min_requests=1, pause_s=1.0)
        await bed.open(LIMITS, endpoint, Admission(Breaker(terms)) if breaker else None)
        try:
            return await all_end(bed, shape)
        finally:
            await bed.close()

    try:
        return loop.run_until_complete(scenario())
    finally:
        loop.close()


@pytest.mark.parametrize("breaker", [False, True], ids=["", "breaker"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("shadow", SHADOWS)
def test_every_request_ends(
    shadow: str, shape: Callable[[Bed, int], list[Replay]], *, breaker: bool
) -> None:
    """Within the sum of its deadlines, and no socket is left behind."""
    assert State.CONNECTING in played(shape, SHADOWS[shadow], breaker=breaker)


@pytest.fixture
def deaf() -> Iterator[Endpoint]:
    """A port whose queue of connections is full: a SYN there gets no answer."""
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        first.connect(listener.getsockname())
        yield at(listener.getsockname()[1])


@pytest.mark.parametrize("breaker", [False, True], ids=["", "breaker"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_every_connect_ends(
    deaf: Endpoint, shape: Callable[[Bed, int], list[Replay]], *, breaker: bool
) -> None:
    """A shadow that answers no SYN."""
    assert played(shape, [], deaf, breaker=breaker) <= {State.CONNECTING, State.CLOSED}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_nobody_listens(shape: Callable[[Bed, int], list[Replay]]) -> None:
    """A shadow that refuses."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        played(shape, [], at(held.getsockname()[1]))
