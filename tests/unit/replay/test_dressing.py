"""What is sent instead of what was captured, and whose turn waits for it, over real sockets."""

from __future__ import annotations

import asyncio
import time

from shadow_agent.policy.alias import Pair
from shadow_agent.policy.identity import Marks
from shadow_agent.policy.outgoing import Outgoing, OutgoingLimits, Settings
from shadow_agent.policy.rule import Change, Edit, Part, Place
from shadow_agent.replay.dressing import Dressing
from shadow_agent.replay.pool import PoolLimits
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.telemetry.reasons import Outcome, Refused, Shed, Uncomparable
from tests.unit.replay.bed import OK, Bed, Peer, Play, request

GET = request()
JSON = "Content-Type: application/json\r\nContent-Length: %d\r\n"
OFF = Marks(marker="", request_id="", idempotency_key="")
PREFIX = Edit(Place(Part.JSON, "$.id"), Change.PREFIX, "ns-")


def told(bed: Bed, marks: Marks = OFF, *edits: Edit, most: int = 1000) -> Outgoing:
    """What is to be done to the bed's requests."""
    made = Outgoing(Settings(marks, edits, limits=OutgoingLimits(max_body=most)), "run")
    bed.pool.dressing = Dressing(made)
    return made


def upload(bed: Bed, length: int = 8, *, age_s: float = 0) -> Replay:
    """A POST whose body is still to come."""
    return bed.submit(request("POST", fields=JSON % length), whole=False, age_s=age_s)


def test_marks_are_added(play: Play) -> None:
    """Offsets count what was sent; a request that is sent again is the same again."""
    seen: list[bytes] = []

    async def once_only(peer: Peer) -> None:
        seen.append(await peer.head())
        peer.say(OK)
        await peer.head()
        peer.close()

    async def listen(peer: Peer) -> None:
        seen.append(await peer.head())
        peer.say(OK)

    async def scenario(bed: Bed) -> None:
        told(bed, Marks())
        first = await bed.ask(GET)
        marked = GET[:-2] + b"X-Shadow-Request: 1\r\nX-Shadow-Request-Id: run-1\r\n\r\n"
        assert seen == [marked]
        assert first.request_end == len(marked)
        again = await bed.ask(GET)
        assert again.retried
        assert seen == [marked, marked]

    play(scenario, once_only, listen)


def test_a_loop_is_refused_and_the_next_goes_out(play: Play) -> None:
    """Counted by name; nothing of it is sent."""

    async def scenario(bed: Bed) -> None:
        told(bed, Marks())
        loop = bed.submit(request(fields="X-Shadow-Request: 1\r\n"))
        assert (await bed.ask(GET)).reply is not None
        assert loop.phase is Phase.DROPPED
        assert bed.pool.counts.refused == {Refused.LOOP: 1}
        assert bed.pool.counts.replayed == 1

    play(scenario)


def test_a_body_that_is_edited_goes_out_when_it_is_whole(play: Play) -> None:
    """Not a byte before, in order, and with its length."""
    seen: list[bytes] = []

    async def take(peer: Peer) -> None:
        seen.append(await peer.head())
        seen.append(await peer.body(13))
        peer.say(OK)
        seen.append(await peer.head())
        peer.say(OK)

    async def scenario(bed: Bed) -> None:
        told(bed, OFF, PREFIX)
        replay = upload(bed)
        bed.pool.add_body(replay, b'{"id"')
        bed.later(0)
        assert bed.accepted == 0
        assert replay.phase is Phase.QUEUED
        bed.pool.add_body(replay, b":7}")
        bed.pool.end_request(replay, whole=True)
        after = bed.submit(GET)
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert await bed.ended(after) is Outcome.ANSWERED
        assert seen[0].endswith(b"Content-Length: 13\r\n\r\n")
        assert seen[1:] == [b'{"id":"ns-7"}', GET]

    play(scenario, take)


def test_too_large_or_too_late_is_refused(play: Play) -> None:
    """By one name, and what comes behind it goes out."""

    async def scenario(bed: Bed) -> None:
        told(bed, OFF, PREFIX, most=100)
        large = upload(bed, 99_999)
        bed.pool.add_body(large, b"x" * 5000)
        assert large.phase is Phase.DROPPED
        bed.pool.add_body(large, b"more")
        bed.pool.end_request(large, whole=True)
        late = upload(bed, age_s=9)
        bed.later(0)
        assert late.phase is Phase.DROPPED
        bed.pool.end_request(late, whole=True)
        too_much = upload(bed, 120)
        bed.pool.add_body(too_much, b"y" * 120)
        bed.pool.end_request(too_much, whole=True)
        assert (await bed.ask(GET)).reply is not None
        assert bed.pool.counts.refused == {Refused.UNEDITABLE: 3}

    play(scenario, limits=PoolLimits(max_backlog_bytes=4000))


def test_a_body_that_ends_early(play: Play) -> None:
    """Is named as the loss of a pair, and holds up nobody."""

    async def scenario(bed: Bed) -> None:
        told(bed, OFF, PREFIX)
        cut = upload(bed)
        bed.pool.end_request(cut, whole=False)
        assert cut.broken is Uncomparable.REQUEST_INCOMPLETE
        assert (await bed.ask(GET)).reply is not None

    play(scenario)


def test_an_alias_that_is_to_come(play: Play) -> None:
    """Its request waits, others' connections do not; then it goes out with the shadow's value."""
    seen: list[bytes] = []

    async def listen(peer: Peer) -> None:
        seen.append(await peer.head())
        peer.say(OK)
        await asyncio.Event().wait()

    async def scenario(bed: Bed) -> None:
        out = told(bed)
        out.aliases.expect("s", None, b"token", 0, time.monotonic_ns())
        waits = bed.submit(request(fields="X: token\r\n"))
        assert (await bed.ask(GET, flow=2)).reply is not None
        assert waits.phase is Phase.QUEUED
        out.aliases.learn("s", Pair(None, b"token", b"other"), 1)
        bed.pool.dressing.release()
        assert await bed.ended(waits) is Outcome.ANSWERED
        assert seen == [GET, request(fields="X: other\r\n")]
        out.aliases.expect("s", None, b"never", 0, time.monotonic_ns())
        old = bed.submit(request(fields="X: never\r\n"), flow=3, age_s=9)
        bed.later(0)
        assert old.phase is Phase.DROPPED
        assert bed.pool.counts.shed == {Shed.AGE: 1}

    play(scenario, listen)


def test_what_is_dropped_is_told(play: Play) -> None:
    """So that a write that the shadow lacks is known."""
    dropped: list[object] = []

    async def scenario(bed: Bed) -> None:
        told(bed, Marks())
        bed.pool._on_dropped = dropped.append
        loop = bed.submit(request(fields="X-Shadow-Request: 1\r\n"))
        await bed.until(lambda: bool(dropped))
        assert dropped == [loop.exchange]

    play(scenario)


def test_a_flow_that_ends_while_its_request_waits(play: Play) -> None:
    """The drain names it, and nothing is held any more."""

    async def scenario(bed: Bed) -> None:
        told(bed, OFF, PREFIX)
        upload(bed)
        bed.pool.retire((1).to_bytes(36, "big"))
        bed.pool.drain()
        assert bed.pool.dressing.held == set()

    play(scenario)
