"""Admission: what breaker and budgets let out, and what they hear of its end."""

from __future__ import annotations

import asyncio

import pytest

from shadow_agent.http.head import ResponseHead, parse_response
from shadow_agent.policy.breaker import Breaker, BreakerState, BreakerTerms
from shadow_agent.policy.budget import COST_OF_ONE, Bucket, Budget, Spent, Terms, words
from shadow_agent.replay.admission import Admission, overload, says_nothing
from shadow_agent.replay.channel import State
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase, Replay
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import Outcome, Overload, Refused, Shed, Uncomparable
from tests.unit.replay.bed import OK, Bed, Peer, Play, exchange, post, request

GET = request()
TERMS = BreakerTerms(min_requests=4, pause_s=5.0)


class Clockwork:
    """A purse of one worker whose clock stands still."""

    def __init__(self, **terms: object) -> None:
        """With these terms, and nothing spent."""
        self.shared = [0] * words(1)
        self.budget = Budget(Terms(**terms), self.shared, 0)  # type: ignore[arg-type]
        self.now = 0

    @property
    def spent(self) -> Spent:
        """So far."""
        return Spent.read(self.shared)

    def change(self, terms: Terms) -> None:
        """Other bounds."""
        self.budget.terms = terms

    def take(self, cost: int) -> Refused | None:
        """Let one request begin."""
        return self.budget.take(self.now, cost)

    def again(self) -> Refused | None:
        """Let it go out a second time."""
        return self.budget.again(self.now)

    def end(self) -> None:
        """It is over."""
        self.budget.end()

    def give_back(self, cost: int) -> None:
        """It was not sent after all."""
        self.budget.give_back(cost)


def admission(purse: Clockwork | None = None, *, breaker: bool = True) -> Admission:
    """With a quick breaker."""
    return Admission(Breaker(TERMS, 60.0) if breaker else None, purse)


async def never(peer: Peer) -> None:
    """Reads, and says nothing."""
    await peer.head()
    await asyncio.Event().wait()


def saying(answer: bytes):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """A shadow that gives everybody this answer."""

    async def script(peer: Peer) -> None:
        try:
            while True:
                await peer.head()
                peer.say(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    return script


def test_without_either_all_goes_out(play: Play) -> None:
    """Nothing is asked, nothing held back."""

    async def scenario(bed: Bed) -> None:
        for flow in range(3):
            await bed.ask(GET, flow)
        bed.pool.admission.watch(1000, 1.0)

    play(scenario)


def test_falling_behind_is_told_once() -> None:
    """To the pool, which gives up what waits; later looks find an open breaker."""
    made = admission()
    opened: list[bool] = []
    made.on_open = lambda: opened.append(made.keeps_alive)
    for second in range(1, 20):
        made.watch(100 * second, second)
    assert opened == [False]


def test_over_the_rate(play: Play) -> None:
    """Refused by that name when its turn comes, and no socket is opened for it."""
    purse = Clockwork(bucket=Bucket.of(1, 2))

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(GET, flow) for flow in range(4)]
        assert [one.phase for one in replays[2:]] == [Phase.DROPPED] * 2
        for one in replays[:2]:
            await bed.ended(one)
        assert bed.pool.counts.refused == {Refused.RATE: 2}
        assert bed.accepted == 2
        purse.now += 10**9
        await bed.ask(GET)
        assert purse.spent.in_flight == 0

    play(scenario, admission=admission(purse))


def test_no_more_at_a_time(play: Play) -> None:
    """Under way is what has been sent and has not ended; the next waits for its turn first."""
    purse = Clockwork(concurrent=2)

    async def scenario(bed: Bed) -> None:
        one, _, three = (bed.submit(GET, flow) for flow in (1, 1, 2))
        await bed.until(lambda: bed.pool.in_flight == 2)
        assert purse.spent.in_flight == 2
        bed.submit(GET, 3)
        assert bed.pool.counts.refused == {Refused.CONCURRENT: 1}
        bed.later(15)
        await bed.ended(one)
        await bed.ended(three)
        await bed.until(lambda: bed.pool.in_flight == 1)

    play(scenario, never, limits=PoolLimits(max_queue_age=60), admission=admission(purse))
    assert purse.spent.in_flight == 0


def test_a_body_is_never_cut(play: Play) -> None:
    """What began within the budget is sent to its end, whatever is spent meanwhile."""
    purse = Clockwork(requests=1)

    async def scenario(bed: Bed) -> None:
        one = bed.submit(post(4), whole=False)
        await bed.until(lambda: one.phase is Phase.SENT)
        other = bed.submit(post(4), 2, whole=False)
        assert other.phase is Phase.DROPPED
        for body in (b"ab", b"cd"):
            for replay in (one, other):
                bed.pool.add_body(replay, body)
        for replay in (one, other):
            bed.pool.end_request(replay, whole=True)
        assert await bed.ended(one) is Outcome.ANSWERED
        assert bed.pool.counts.refused == {Refused.REQUEST_LIMIT: 1}

    async def reads(peer: Peer) -> None:
        await peer.head()
        assert await peer.body(4) == b"abcd"
        peer.say(OK)

    play(scenario, reads, admission=admission(purse))


def test_what_is_shed_costs_nothing(play: Play) -> None:
    """Let through, and given up before it went out: the totals have it back."""
    purse = Clockwork(requests=2, cost=2 * COST_OF_ONE)

    async def scenario(bed: Bed) -> None:
        one = bed.submit(GET, 1)
        assert one.admitted
        bed.pool.refuse_waiting(Refused.PAUSED)
        assert (one.phase, one.admitted) == (Phase.DROPPED, False)
        await bed.ask(GET, 2)
        await bed.ask(GET, 3)
        bed.submit(GET, 4)
        assert bed.pool.counts.refused == {Refused.PAUSED: 1, Refused.REQUEST_LIMIT: 1}
        assert purse.spent == Spent(2, 2 * COST_OF_ONE, 0)

    play(scenario, admission=admission(purse))


def test_a_refused_connection_is_charged(play: Play) -> None:
    """Compared with its outcome, and over."""
    purse = Clockwork(requests=1)

    async def scenario(bed: Bed) -> None:
        one = bed.submit(GET, 1)
        one.connection.connect_failed(Outcome.REFUSED)
        bed.submit(GET, 1)
        assert bed.pool.counts.replayed == 1
        assert bed.pool.counts.refused == {Refused.REQUEST_LIMIT: 1}
        assert purse.spent.in_flight == 0

    play(scenario, admission=admission(purse))


def test_sending_again_takes_from_the_rate(play: Play) -> None:
    """An idle close crossed it: over the rate it stays unsent, by that name."""

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        crossed = await bed.ask(GET)
        assert crossed.broken is Uncomparable.NOT_RESENT
        assert bed.accepted == 1

    async def closes_on_the_second(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        peer.close()

    play(
        scenario, closes_on_the_second,
        admission=admission(Clockwork(bucket=Bucket.of(1, 2))),
    )  # fmt: skip


def test_time_outs_open_the_breaker(play: Play) -> None:
    """What waits is shed by its name, nothing more goes out, and idle sockets are closed."""

    async def scenario(bed: Bed) -> None:
        idle = await bed.ask(request(target="/first"), 99)
        late = [bed.submit(GET, flow) for flow in range(5)]
        waiting = [bed.submit(GET, flow) for flow in range(3)]
        await bed.until(lambda: bed.pool.in_flight == 5)
        for one in late:
            one.production_ended = True
        for one in waiting:
            one.queued_at += 60
        bed.later(11)
        for one in late:
            assert await bed.ended(one) is Outcome.TIMEOUT_FIRST_BYTE
        await bed.until(lambda: bed.pool.open_connections == 0)
        assert idle.connection.state is State.CLOSED
        assert [one.phase for one in waiting] == [Phase.DROPPED] * 3
        bed.submit(GET, 7)
        assert bed.pool.counts.shed == {Shed.BREAKER: 4}
        assert bed.pool.open_connections == 0
        breaker = bed.pool.admission.breaker
        assert breaker is not None
        assert breaker.causes == {Overload.TIMEOUT: 1}

    async def first_only(peer: Peer) -> None:
        if b"/first" in await peer.head():
            peer.say(OK)
        await asyncio.Event().wait()

    play(scenario, first_only, admission=admission())


def test_probes_close_it_again(play: Play) -> None:
    """One at a time and a new connection for each; then all goes out."""

    async def scenario(bed: Bed) -> None:
        breaker = bed.pool.admission.breaker
        assert breaker is not None
        while breaker.closed:
            breaker.shed(bed.loop.time())
        bed.submit(GET, 1)
        assert bed.pool.counts.shed == {Shed.BREAKER: 1}
        bed.later(TERMS.pause_s)
        for flow in range(TERMS.probes):
            assert breaker.state is BreakerState.HALF_OPEN
            probe, beside = bed.submit(GET, flow), bed.submit(GET, 50)
            assert beside.phase is Phase.DROPPED
            await bed.ended(probe)
        assert str(breaker.state) == "closed"
        await asyncio.gather(*(bed.ended(bed.submit(GET, flow)) for flow in range(8)))
        assert bed.pool.counts.shed == {Shed.BREAKER: 1 + TERMS.probes}

    play(scenario, admission=admission())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"\xff\xfe\xfd and so on",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother",
    ],
    ids=["500", "503 without Retry-After", "garbage", "another body"],
)
def test_what_is_wrong_never_opens_it(play: Play, answer: bytes) -> None:
    """That is what we came to find."""

    async def scenario(bed: Bed) -> None:
        for _ in range(5 * TERMS.min_requests):
            await bed.ask(GET)
        breaker = bed.pool.admission.breaker
        assert breaker is not None
        assert breaker.closed
        assert breaker.causes == {}
        assert not bed.pool.counts.shed

    play(scenario, saying(answer), admission=admission())


def test_a_shadow_that_says_so_is_believed(play: Play) -> None:
    """503 with Retry-After, where production answered."""

    async def scenario(bed: Bed) -> None:
        for _ in range(TERMS.min_requests):
            await bed.ask(GET)
        breaker = bed.pool.admission.breaker
        assert breaker is not None
        assert breaker.causes == {Overload.BUSY: 1}

    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    play(scenario, saying(busy), admission=admission())


def ended(
    outcome: Outcome, answer: bytes = b"", production: bytes = b"", *, answered: bool = True
) -> Replay:
    """A replay that has ended so, and what production said."""
    replay = Replay(exchange(GET), None, 0.0)  # type: ignore[arg-type]
    replay.reply = Reply(head_only=False)
    replay.reply.outcome = outcome
    for raw, take in ((answer, "shadow"), (production, "production")):
        if raw:
            head = parse_response(raw + b"Content-Length: 0\r\n\r\n")
            assert isinstance(head, ResponseHead)
            if take == "shadow":
                replay.reply.head = head
            else:
                replay.exchange.response = head
    replay.production_ended = answered
    return replay


LATER = b"HTTP/1.1 429 Slow\r\nretry-after: 9\r\n"


@pytest.mark.parametrize(
    ("replay", "cause"),
    [
        (ended(Outcome.ANSWERED), None),
        (ended(Outcome.REFUSED), Overload.UNREACHABLE),
        (ended(Outcome.UNREACHABLE), Overload.UNREACHABLE),
        (ended(Outcome.TIMEOUT_CONNECT), Overload.UNREACHABLE),
        (ended(Outcome.TIMEOUT_FIRST_BYTE), Overload.TIMEOUT),
        (ended(Outcome.TIMEOUT_WHOLE), Overload.TIMEOUT),
        (ended(Outcome.RESET), None),
        (ended(Outcome.CLOSED), None),
        (ended(Outcome.GARBAGE), None),
        (ended(Outcome.OVERSIZE), None),
        (ended(Outcome.ANSWERED, LATER), Overload.BUSY),
        (ended(Outcome.ANSWERED, LATER, b"HTTP/1.1 200 OK\r\n"), Overload.BUSY),
        (ended(Outcome.ANSWERED, LATER, b"HTTP/1.1 429 Slow\r\n"), None),
        (ended(Outcome.ANSWERED, b"HTTP/1.1 503 No\r\n"), None),
        (ended(Outcome.ANSWERED, b"HTTP/1.1 500 No\r\nRetry-After: 1\r\n"), None),
    ],
)
def test_overloaded_is_told_from_wrong(replay: Replay, cause: Overload | None) -> None:
    """By how it ended, and by what production said."""
    assert overload(replay) is cause
    assert not says_nothing(replay)


def test_what_production_has_not_answered_is_not_late() -> None:
    """A request that takes its time on both sides says nothing of either."""
    assert says_nothing(ended(Outcome.TIMEOUT_FIRST_BYTE, answered=False))
    assert not says_nothing(ended(Outcome.REFUSED, answered=False))


@pytest.mark.parametrize("why", list(Uncomparable))
def test_what_broke_on_our_side_says_nothing(why: Uncomparable) -> None:
    """But for a body that the shadow did not take in."""
    replay = ended(Outcome.ANSWERED)
    replay.broken = why
    assert says_nothing(replay) == (why is not Uncomparable.BACKLOG)
    if why is Uncomparable.BACKLOG:
        assert overload(replay) is Overload.SHED


def test_other_bounds_under_way() -> None:
    """Breaker and budget can come, change and go; what was let through ends once."""
    purse = Clockwork()
    one = Admission(None, purse)
    one.change(BreakerTerms(min_requests=1), 60.0, Terms(concurrent=0), 0.0)
    assert one.breaker is not None
    replay = Replay(exchange(GET), None, 0.0)  # type: ignore[arg-type]
    assert one.admit(replay, 0.0) is Refused.CONCURRENT
    one.change(BreakerTerms(enabled=False), 60.0, Terms(), 0.0)
    assert one.admit(replay, 0.0) is None
    one.ended(replay, 0.0)
    assert purse.spent.in_flight == 0
