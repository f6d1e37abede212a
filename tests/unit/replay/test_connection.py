"""One connection to the shadow, through everything that a shadow may do to it."""

from __future__ import annotations

import asyncio

import pytest

from shadow_agent.http.preamble import Origin
from shadow_agent.replay.channel import State
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.replay import Phase
from shadow_agent.telemetry.reasons import Failed, Outcome, Refused, Shed, Uncomparable
from tests.unit.replay.bed import OK, Bed, Peer, Play, post, request

GET = request()
EARLY = b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"
# How a shadow may end a connection, and what it is called when a request was due.
ENDS = {"close": Outcome.CLOSED, "reset": Outcome.RESET}


async def keep_silent(peer: Peer) -> None:
    """Take a request and say nothing."""
    await peer.head()
    await asyncio.Event().wait()


def test_no_socket_before_the_first_request(play: Play) -> None:
    """It opens lazily, answers, stays open, and is used again."""

    async def scenario(bed: Bed) -> None:
        assert bed.pool.open_connections == 0
        replay = bed.submit(GET)
        assert replay.connection.state == "connecting"
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert replay.phase is Phase.DONE
        assert replay.connection.state is State.OPEN
        assert replay.request_end == len(GET)
        again = await bed.ask(GET)
        assert again.connection is replay.connection
        assert again.request_end == 2 * len(GET)
        assert again.reply is not None
        assert (again.reply.first_offset, again.reply.end_offset) == (len(OK), 2 * len(OK))
        assert bed.accepted == 1
        assert bed.pool.counts.reconnects == 0

    play(scenario)


def test_a_proxy_preamble_is_said_first_on_every_connection(play: Play) -> None:
    """As captured, once per socket, and offsets count it."""
    said = b"PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n"
    seen: list[bytes] = []

    async def behind_a_balancer(peer: Peer) -> None:
        seen.append(await peer.body(len(said)))
        for _ in range(2):
            seen.append(await peer.head())
            peer.say(OK)
        peer.close()

    async def scenario(bed: Bed) -> None:
        for number in range(3):
            replay = bed.submit(GET)
            replay.exchange.origin = Origin(said, None, 0)
            assert await bed.ended(replay) is Outcome.ANSWERED
            assert replay.request_end == len(said) + len(GET) * (1 + number % 2)
        assert seen[:5] == [said, GET, GET, said, GET]

    play(scenario, behind_a_balancer)


def test_the_next_request_goes_out_when_the_one_before_is_answered(play: Play) -> None:
    """In production's order, nothing pipelined; heads that wait are queued."""
    seen: list[bytes] = []

    async def one_by_one(peer: Peer) -> None:
        for _ in range(3):
            seen.append((await peer.head()).split()[1])
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(peer.body(1), 0.01)
            peer.say(OK)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(request(target=f"/{n}")) for n in range(3)]
        assert bed.pool.counts.queued == 3
        for replay in replays:
            assert await bed.ended(replay) is Outcome.ANSWERED
        assert seen == [b"/0", b"/1", b"/2"]
        assert bed.pool.counts.queued == 0

    play(scenario, one_by_one)


def test_an_idle_connection_is_closed_by_reset_and_opened_again(play: Play) -> None:
    """The peer sees RST: no TIME_WAIT stays here. Our own close is no reconnect."""
    fates: list[str] = []

    async def answer_once(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        bed.later(14)
        assert bed.pool.open_connections == 1
        bed.later(16)
        assert bed.pool.open_connections == 0
        await bed.until(lambda: fates == ["reset"])
        assert (await bed.ask(GET)).reply is not None
        assert bed.accepted == 2
        assert bed.pool.counts.reconnects == 0

    play(scenario, answer_once)


def test_a_connection_in_use_is_not_idle(play: Play) -> None:
    """The idle close looks at connections that wait for nothing."""

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = bed.submit(post(5), whole=False)
        bed.later(16)
        assert bed.pool.open_connections == 1
        bed.pool.end_request(replay, whole=False)

    play(scenario)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("raw", [GET, request("POST", fields="Content-Length: 0\r\n")])
def test_the_shadow_closes_an_idle_connection(play: Play, end: str, raw: bytes) -> None:
    """Counted, not blamed: the next request goes out on a new one."""

    async def answer_and_end(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.body(0)
        if end == "reset":
            await asyncio.sleep(0.01)  # or the RST overtakes the answer
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        first = await bed.ask(GET)
        await bed.until(lambda: first.connection.state is State.CLOSED)
        replay = await bed.ask(raw)
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.ANSWERED
        assert bed.pool.counts.reconnects == 1
        assert not replay.retried

    play(scenario, answer_and_end, Peer.answer_all)


@pytest.mark.parametrize("end", ENDS)
def test_an_idle_close_that_crosses_a_request(play: Play, end: str) -> None:
    """What is safe and has no body is sent once more, and counted."""

    async def cross(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = await bed.ask(GET)
        assert replay.retried
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.ANSWERED
        assert replay.request_end == len(GET)
        assert bed.pool.counts.reconnects == 1
        assert bed.pool.counts.replayed == 2

    play(scenario, cross, Peer.answer_all)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "raw", [request("POST"), request("DELETE"), request(fields="Content-Length: 1\r\n")]
)
def test_what_may_not_be_sent_twice_is_not(play: Play, end: str, raw: bytes) -> None:
    """An unsafe method or a body: the close is the shadow's outcome."""

    async def cross(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = bed.submit(raw, whole=False)
        if b"Content-Length" in raw:
            bed.pool.add_body(replay, b"x")
        bed.pool.end_request(replay, whole=True)
        assert await bed.ended(replay) in set(ENDS.values())
        assert not replay.retried
        assert bed.accepted == 1

    play(scenario, cross)


@pytest.mark.parametrize("end", ENDS)
def test_a_close_of_a_new_connection_is_the_shadows_answer(play: Play, end: str) -> None:
    """It has answered nothing on it: there is no idle close that could have crossed."""

    async def refuse(peer: Peer) -> None:
        await peer.head()
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        assert replay.reply is not None
        assert replay.reply.outcome is ENDS[end]
        assert bed.accepted == 1

    play(scenario, refuse)


def test_a_request_is_sent_twice_at_most(play: Play) -> None:
    """The second close is the shadow's."""

    async def answer_then_close(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        peer.close()

    async def close(peer: Peer) -> None:
        await peer.head()
        peer.close()

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = await bed.ask(GET)
        assert replay.retried
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.CLOSED
        assert bed.accepted == 2

    play(scenario, answer_then_close, close)


def test_a_close_within_an_answer(play: Play) -> None:
    """It had begun, so it is not sent again."""

    async def half(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        peer.say(OK[:-1])
        peer.close()

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = await bed.ask(GET)
        assert not replay.retried
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.CLOSED

    play(scenario, half)


def test_an_answer_that_ends_with_the_connection(play: Play) -> None:
    """Its end is known when the shadow closes; the next request needs another socket."""

    async def until_close(peer: Peer) -> None:
        await peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        peer.close()

    async def scenario(bed: Bed) -> None:
        first, second = bed.submit(GET), bed.submit(request("POST"))
        for replay in (first, second):
            assert await bed.ended(replay) is Outcome.ANSWERED
            assert replay.reply is not None
            assert replay.reply.body == b"all of it"
            assert replay.reply.end_offset == 28
        assert bed.accepted == 2

    play(scenario, until_close)


def test_a_shadow_that_announces_its_close(play: Play) -> None:
    """After "Connection: close" nothing more goes out there: it would be blamed on the shadow."""

    async def close_each(peer: Peer) -> None:
        await peer.head()
        peer.say(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(request("POST")) for _ in range(3)]
        for replay in replays:
            assert await bed.ended(replay) is Outcome.ANSWERED
        assert bed.accepted == 3
        assert bed.pool.counts.reconnects == 2

    play(scenario, close_each)


def test_a_request_in_the_turn_of_the_shadows_close(play: Play) -> None:
    """The close was there first: nothing is written into it, so nobody is blamed."""

    async def scenario(bed: Bed) -> None:
        first = await bed.ask(GET)
        channel = first.connection._channel
        assert channel is not None
        channel.eof_received()
        assert (await bed.ask(request("POST"))).reply is not None
        assert bed.done[-1][0].reply is not None
        assert bed.done[-1][0].reply.outcome is Outcome.ANSWERED
        assert bed.pool.counts.reconnects == 1

    play(scenario)


def test_a_body_streams(play: Play) -> None:
    """Bytes go out as they come, exactly as captured; those that wait for their turn too."""
    got: list[bytes] = []

    async def read_bodies(peer: Peer) -> None:
        for _ in range(2):
            await peer.head()
            got.append(await peer.body(3))
            got.append(await peer.body(4))
            peer.say(OK)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        first, second = bed.submit(post(7), whole=False), bed.submit(post(7), whole=False)
        bed.pool.add_body(first, b"abc")
        bed.pool.add_body(second, b"hij")
        await bed.until(lambda: got == [b"abc"])
        bed.pool.add_body(second, b"klmn")
        bed.pool.end_request(second, whole=True)
        bed.pool.add_body(first, b"defg")
        bed.pool.end_request(first, whole=True)
        assert await bed.ended(first) is Outcome.ANSWERED
        assert await bed.ended(second) is Outcome.ANSWERED
        assert got == [b"abc", b"defg", b"hij", b"klmn"]
        assert second.request_end == 2 * (len(post(7)) + 7)
        assert not second.pending

    play(scenario, read_bodies)


def test_an_early_answer(play: Play) -> None:
    """It is whole before the request is: the pair ends with the request's last byte."""

    async def answer_early(peer: Peer) -> None:
        await peer.head()
        peer.say(EARLY)
        assert await peer.body(4) == b"body"
        await peer.answer_all()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(4), whole=False)
        await bed.until(lambda: replay.reply is not None and replay.reply.outcome is not None)
        assert bed.done == []
        bed.pool.add_body(replay, b"body")
        bed.pool.end_request(replay, whole=True)
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert replay.request_end == len(post(4)) + 4
        assert (await bed.ask(GET)).connection.state is State.OPEN
        assert bed.accepted == 1

    play(scenario, answer_early)


@pytest.mark.parametrize("end", ENDS)
def test_an_early_answer_and_then_a_close(play: Play, end: str) -> None:
    """The answer was whole, so it counts; the rest of the request goes nowhere."""

    async def answer_and_end(peer: Peer) -> None:
        await peer.head()
        peer.say(EARLY)
        await asyncio.sleep(0.02)
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(4), whole=False)
        await bed.until(lambda: replay.reply is not None and replay.reply.outcome is not None)
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert replay.reply is not None
        assert replay.reply.status == 413
        bed.pool.add_body(replay, b"body")
        bed.pool.end_request(replay, whole=True)
        assert len(bed.done) == 1

    play(scenario, answer_and_end)


def test_an_early_answer_that_announces_its_close(play: Play) -> None:
    """The rest of the request would be cut off by the shadow anyway: the pair ends now."""

    async def answer_early(peer: Peer) -> None:
        await peer.head()
        peer.say(EARLY.replace(b"\r\n\r\n", b"\r\nconnection: Close\r\n\r\n"))
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(4), whole=False)
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert replay.request_end is None
        bed.pool.end_request(replay, whole=True)

    play(scenario, answer_early)


def test_garbage_behind_an_early_answer(play: Play) -> None:
    """The answer stands, the connection does not."""

    async def answer_early(peer: Peer) -> None:
        await peer.head()
        peer.say(EARLY)
        await asyncio.sleep(0.01)
        peer.say(b"what?")
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(4), whole=False)
        assert await bed.ended(replay) is Outcome.ANSWERED
        assert replay.connection.state is State.CLOSED

    play(scenario, answer_early)


def test_a_request_that_stays_incomplete(play: Play) -> None:
    """Sent or still waiting: the shadow's answer to half a request means nothing."""
    fates: list[str] = []

    async def wait(peer: Peer) -> None:
        await peer.head()
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        sent, waits = bed.submit(post(9), whole=False), bed.submit(post(9), whole=False)
        await bed.until(lambda: bed.pool.counts.queued == 1)
        bed.pool.end_request(waits, whole=False)
        bed.pool.end_request(sent, whole=False)
        for replay in (sent, waits):
            await bed.ended(replay)
            assert replay.broken is Uncomparable.REQUEST_INCOMPLETE
        await bed.until(lambda: fates == ["reset"])
        bed.pool.end_request(sent, whole=True)
        assert bed.pool.counts.replayed == 2

    play(scenario, wait)


def test_a_shadow_that_does_not_read(play: Play) -> None:
    """Over the limit of unwritten bytes the request is cut."""

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(1 << 30), whole=False)
        await bed.until(lambda: replay.phase is Phase.SENT)
        for _ in range(1000):
            bed.pool.add_body(replay, bytes(100_000))
        await bed.ended(replay)
        assert replay.broken is Uncomparable.BACKLOG

    async def deaf(peer: Peer) -> None:
        peer._writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    play(scenario, deaf, limits=PoolLimits(max_backlog_bytes=1 << 20))


def test_too_much_body_behind_another_request(play: Play) -> None:
    """It is shed by that name, and the others go on."""

    async def scenario(bed: Bed) -> None:
        first, second = bed.submit(post(4), whole=False), bed.submit(post(99), whole=False)
        third = bed.submit(GET)
        bed.pool.add_body(second, bytes(10))
        bed.pool.add_body(second, bytes(1))
        assert second.phase is Phase.DROPPED
        assert bed.pool.counts.shed == {Shed.BACKLOG_BYTES: 1}
        assert second.exchange.replay is None
        bed.pool.add_body(second, bytes(10))
        bed.pool.end_request(second, whole=True)
        bed.pool.end_request(first, whole=False)
        assert await bed.ended(third) is Outcome.ANSWERED

    play(scenario, limits=PoolLimits(max_backlog_bytes=10))


def test_the_queue_is_full(play: Play) -> None:
    """Beyond ``max_queue`` requests that wait, the next is shed."""

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(GET) for _ in range(4)]
        assert [replay.phase for replay in replays] == [Phase.QUEUED] * 2 + [Phase.DROPPED] * 2
        assert bed.pool.counts.shed == {Shed.QUEUE_FULL: 2}
        assert await bed.ended(replays[1]) is Outcome.ANSWERED
        await bed.ask(GET)

    play(scenario, limits=PoolLimits(max_queue=2))


def test_a_request_that_waited_too_long(play: Play) -> None:
    """When its turn comes its answer would speak of another moment."""

    async def scenario(bed: Bed) -> None:
        old = bed.submit(GET, age_s=6)
        fresh = bed.submit(GET, age_s=4)
        assert await bed.ended(fresh) is Outcome.ANSWERED
        assert old.phase is Phase.DROPPED
        assert bed.pool.counts.shed == {Shed.AGE: 1}
        assert fresh.connection.state is State.OPEN

    play(scenario)


def test_deadline_of_the_first_byte(play: Play) -> None:
    """From the request's last byte on; the next request goes out on another socket."""

    async def scenario(bed: Bed) -> None:
        replay, after = bed.submit(GET), bed.submit(GET)
        await bed.until(lambda: replay.phase is Phase.SENT)
        bed.later(9)
        assert replay.phase is Phase.SENT
        bed.later(11)
        assert await bed.ended(replay) is Outcome.TIMEOUT_FIRST_BYTE
        assert await bed.ended(after) is Outcome.ANSWERED

    play(scenario, keep_silent, Peer.answer_all)


def test_an_interim_response_is_no_first_byte(play: Play) -> None:
    """102 keeps nobody waiting for ever."""

    async def process(peer: Peer) -> None:
        await peer.head()
        peer.say(b"HTTP/1.1 102 Processing\r\n\r\n")
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(GET)
        await bed.until(lambda: any(c.reader.offset for c in bed.pool._by_key.values()))
        bed.later(11)
        assert await bed.ended(replay) is Outcome.TIMEOUT_FIRST_BYTE

    play(scenario, process)


def test_deadline_of_the_last_byte(play: Play) -> None:
    """It has begun, so it has longer."""

    async def half(peer: Peer) -> None:
        await peer.head()
        peer.say(OK[:-1])
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(GET)
        await bed.until(lambda: replay.reply is not None and replay.reply.head is not None)
        bed.later(29)
        assert replay.phase is Phase.SENT
        bed.later(31)
        assert await bed.ended(replay) is Outcome.TIMEOUT_WHOLE
        assert replay.reply is not None
        assert replay.reply.status == 200

    play(scenario, half)


def test_production_s_own_slowness_is_not_the_shadow_s(play: Play) -> None:
    """While the request is still coming no deadline runs, however early the shadow answers."""

    async def answer_early(peer: Peer) -> None:
        await peer.head()
        peer.say(EARLY)
        await peer.body(4)
        await peer.answer_all()

    async def scenario(bed: Bed) -> None:
        early = bed.submit(post(4), whole=False)
        await bed.until(lambda: early.reply is not None and early.reply.outcome is not None)
        silent = bed.submit(post(4), 2, whole=False)
        await bed.until(lambda: silent.phase is Phase.SENT)
        bed.later(1000)
        assert bed.done == []
        for replay in (early, silent):
            bed.pool.add_body(replay, b"body")
            bed.pool.end_request(replay, whole=True)
        assert await bed.ended(early) is Outcome.ANSWERED
        bed.later(9)
        assert silent.phase is Phase.SENT
        bed.later(11)
        assert await bed.ended(silent) is Outcome.TIMEOUT_FIRST_BYTE

    play(scenario, answer_early, keep_silent)


def test_the_last_byte_is_due_from_the_end_of_the_request(play: Play) -> None:
    """An upload of a minute leaves the shadow as long to answer as any other request."""

    async def half(peer: Peer) -> None:
        await peer.head()
        await peer.body(4)
        peer.say(OK[:-1])
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(post(4), whole=False)
        await bed.until(lambda: replay.phase is Phase.SENT)
        assert replay.sent_ns is not None
        replay.sent_ns -= 60_000_000_000
        bed.pool.add_body(replay, b"body")
        bed.pool.end_request(replay, whole=True)
        await bed.until(lambda: replay.reply is not None and replay.reply.head is not None)
        bed.later(29)
        assert replay.phase is Phase.SENT
        bed.later(31)
        assert await bed.ended(replay) is Outcome.TIMEOUT_WHOLE

    play(scenario, half)


def test_drain(play: Play) -> None:
    """What was sent is broken off, what waits has failed, each by the name of the drain."""
    fates: list[str] = []

    async def silent(peer: Peer) -> None:
        await peer.head()
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        sent, waits = bed.submit(GET), bed.submit(GET)
        await bed.until(lambda: sent.phase is Phase.SENT)
        bed.pool.drain()
        assert sent.broken is Uncomparable.DRAINED
        assert waits.phase is Phase.DROPPED
        assert bed.pool.counts.failed == {Failed.DRAINED: 1}
        assert not bed.pool.busy
        await bed.until(lambda: fates == ["reset"])

    play(scenario, silent)


def test_drain_while_connecting(play: Play) -> None:
    """The socket that comes too late is closed at once."""
    fates: list[str] = []

    async def silent(peer: Peer) -> None:
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        bed.submit(GET)
        bed.pool.drain()
        assert bed.pool.counts.failed == {Failed.DRAINED: 1}
        bed.submit(GET, 2)
        await bed.until(lambda: not bed.pool._connecting)  # the handshake is done, no more
        bed.pool.drain()
        await bed.until(lambda: "reset" in fates)

    play(scenario, silent)


def test_pause(play: Play) -> None:
    """What waits is refused; what is out comes back."""

    async def on_signal(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(0.01)
        peer.say(OK)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        sent, waits = bed.submit(GET), bed.submit(GET)
        await bed.until(lambda: sent.phase is Phase.SENT)
        bed.pool.refuse_waiting(Refused.PAUSED)
        assert waits.phase is Phase.DROPPED
        assert bed.pool.counts.refused == {Refused.PAUSED: 1}
        assert await bed.ended(sent) is Outcome.ANSWERED

    play(scenario, on_signal)


@pytest.mark.parametrize("how", ["pause", "drain"])
def test_a_request_that_waits_for_its_second_try(play: Play, how: str) -> None:
    """It has been sent, so it is not refused: a pause lets it go out, a drain ends it."""

    async def cross(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await peer.head()
        peer.close()

    async def scenario(bed: Bed) -> None:
        await bed.ask(GET)
        replay = bed.submit(GET)
        await bed.until(lambda: replay.retried)
        assert len(replay.connection._waiting) == 1
        if how == "pause":
            bed.pool.refuse_waiting(Refused.PAUSED)
            assert await bed.ended(replay) is Outcome.ANSWERED
        else:
            bed.pool.drain()
            assert replay.broken is Uncomparable.DRAINED
        assert not bed.pool.counts.refused
        assert not bed.pool.counts.failed

    play(scenario, cross, Peer.answer_all)


def test_garbage_behind_a_whole_answer(play: Play) -> None:
    """The answer counts, and nothing more is believed of that connection."""

    async def too_much(peer: Peer) -> None:
        await peer.head()
        peer.say(OK + OK)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replays = [bed.submit(GET), bed.submit(GET)]
        for replay in replays:
            assert await bed.ended(replay) is Outcome.ANSWERED
        assert bed.accepted == 2

    play(scenario, too_much)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"SSH-2.0-OpenSSH\r\n", Outcome.GARBAGE),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", Outcome.GARBAGE),
        (b"HTTP/1.1 200 OK\r\nA: " + bytes(100).replace(b"\0", b"a"), Outcome.OVERSIZE),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(11), Outcome.OVERSIZE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", Outcome.GARBAGE),
    ],
)
def test_an_answer_that_cannot_be_read(play: Play, answer: bytes, outcome: Outcome) -> None:
    """It is the shadow's outcome, and the connection ends with it."""
    fates: list[str] = []

    async def babble(peer: Peer) -> None:
        await peer.head()
        peer.say(answer)
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        assert replay.reply is not None
        assert replay.reply.outcome is outcome
        await bed.until(lambda: fates == ["reset"])

    play(scenario, babble, limits=PoolLimits(max_reply_head=64, max_reply_body=10))


def test_a_switch_of_protocols(play: Play) -> None:
    """101 is an answer, and the end of HTTP on that connection."""

    async def switch(peer: Peer) -> None:
        await peer.head()
        peer.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        assert replay.reply is not None
        assert (replay.reply.outcome, replay.reply.status) == (Outcome.ANSWERED, 101)
        assert replay.connection.state is State.CLOSED

    play(scenario, switch)


def test_bytes_that_nobody_asked_for(play: Play) -> None:
    """They end the connection; the next request has a new one."""

    async def talk(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        await asyncio.sleep(0.01)
        peer.say(OK)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        await bed.until(lambda: replay.connection.state is State.CLOSED)
        assert len(bed.done) == 1
        assert (await bed.ask(GET)).reply is not None
        assert bed.accepted == 2

    play(scenario, talk, Peer.answer_all)


def test_bytes_before_the_first_request(play: Play) -> None:
    """A shadow that speaks first answers, badly, the one that wanted the connection; none hangs."""

    async def scenario(bed: Bed) -> None:
        first, second = bed.submit(GET), bed.submit(GET)
        channel = first.connection._channel
        assert channel is not None
        # As when they come in the turn of the connect, before the transport is ours.
        channel.data_received(OK)
        channel.data_received(OK)
        assert await bed.ended(first) is Outcome.GARBAGE
        assert await bed.ended(second) is Outcome.ANSWERED

    play(scenario)


def test_an_answer_to_head_has_no_body(play: Play) -> None:
    """Whatever its framing says; the next answer begins behind its head."""

    async def heads(peer: Peer) -> None:
        for _ in range(2):
            await peer.head()
            peer.say(OK[:-2])
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        for _ in range(2):
            replay = await bed.ask(request("HEAD"))
            assert replay.reply is not None
            assert (replay.reply.outcome, replay.reply.body_len) == (Outcome.ANSWERED, 0)
        assert bed.accepted == 1

    play(scenario, heads)


@pytest.mark.parametrize("idle", [True, False])
def test_production_s_connection_ends(play: Play, idle: bool) -> None:
    """Ours does too, once the last answer is there."""
    fates: list[str] = []

    async def once(peer: Peer) -> None:
        await peer.head()
        peer.say(OK)
        fates.append(await peer.fate())

    async def scenario(bed: Bed) -> None:
        replay = bed.submit(GET)
        if idle:
            await bed.ended(replay)
        bed.pool.retire(replay.exchange.flow_key)
        assert await bed.ended(replay) is Outcome.ANSWERED
        await bed.until(lambda: bed.pool.open_connections == 0 and fates == ["reset"])
        bed.pool.retire(replay.exchange.flow_key)

    play(scenario, once)


@pytest.mark.parametrize("chunk", [1, 7])
def test_an_answer_in_pieces(play: Play, chunk: int) -> None:
    """However it is cut."""

    async def dribble(peer: Peer) -> None:
        await peer.head()
        for at in range(0, len(OK), chunk):
            peer.say(OK[at : at + chunk])
            await asyncio.sleep(0)
        await peer.fate()

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        assert replay.reply is not None
        assert replay.reply.outcome is Outcome.ANSWERED
        assert replay.reply.body_len == 2

    play(scenario, dribble)


@pytest.mark.parametrize("end", ENDS)
def test_a_shadow_that_closes_what_it_accepts(play: Play, end: str) -> None:
    """One outcome a request, and no end of sockets."""

    async def slam(peer: Peer) -> None:
        getattr(peer, end)()

    async def scenario(bed: Bed) -> None:
        for raw in (GET, request("POST")):
            assert (await bed.ask(raw)).reply is not None
        outcomes = {replay.reply and replay.reply.outcome for replay, _ in bed.done}
        assert outcomes <= set(ENDS.values())
        assert bed.accepted == 2

    play(scenario, slam)
