"""The queue of one shadow connection; how it is used is told in ``test_connection``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase
from shadow_agent.replay.waiting import Waiting
from shadow_agent.telemetry.reasons import Failed, Refused, Shed, Uncomparable
from tests.unit.replay.bed import Bed, Play, request

if TYPE_CHECKING:
    from shadow_agent.replay.replay import Replay

GET = request()


def held(bed: Bed, count: int) -> list[Replay]:
    """Requests that wait on one connection, taken out of its queue."""
    replays = [bed.submit(GET) for _ in range(count)]
    for _ in replays:
        replays[0].connection._waiting.take()
    return replays


def test_in_order(play: Play) -> None:
    """First in, first out; what is put back is first."""

    async def scenario(bed: Bed) -> None:
        replays = held(bed, 3)
        waiting = Waiting(bed.pool)
        assert not waiting
        assert all(waiting.put(replay) for replay in replays)
        assert len(waiting) == 3
        first = waiting.take()
        assert first is replays[0]
        waiting.put_back(first)
        assert [waiting.take_fresh() for _ in range(4)] == [*replays, None]
        assert waiting.take() is None
        for replay in replays:
            waiting.put(replay)
        waiting.shed(Shed.CONNECTIONS)
        assert bed.pool.counts.shed == {Shed.CONNECTIONS: 3}

    play(scenario)


def test_what_was_sent_before_is_lost_as_a_pair(play: Play) -> None:
    """Neither shed nor failed: it counts as replayed already."""

    async def scenario(bed: Bed) -> None:
        replays = held(bed, 3)
        waiting = Waiting(bed.pool)
        for replay in replays:
            bed.pool.sent(replay)
        waiting.put_back(replays[0])
        waiting.shed(Shed.CONNECTIONS)
        waiting.put_back(replays[1])
        waiting.fail(Failed.BIND)
        waiting.put_back(replays[2])
        waiting.refuse(Refused.PAUSED)
        assert len(waiting) == 1
        waiting.fail(Failed.DRAINED)
        assert [replay.broken for replay in replays] == [
            Uncomparable.INTERNAL,
            Uncomparable.INTERNAL,
            Uncomparable.DRAINED,
        ]
        assert all(replay.phase is Phase.DONE for replay in replays)

    play(scenario, limits=PoolLimits(max_queue=3))
