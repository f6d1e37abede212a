"""One socket to the shadow."""

from __future__ import annotations

from shadow_agent.replay.channel import State
from tests.unit.replay.bed import Bed, Peer, Play, request

GET = request()


def test_it_knows_what_has_passed(play: Play) -> None:
    """Bytes written, whether it has answered, and how far the shadow is away."""

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        channel = replay.connection._channel
        assert channel is not None
        assert channel.connected
        assert channel.used
        assert channel.sent == len(GET)
        assert channel.unwritten == 0
        assert len(channel.key) == 36
        assert channel.timeline is replay.connection.timeline
        rtt = channel.round_trip_us()
        assert rtt is not None
        assert 0 <= rtt < 1_000_000
        channel.abort()
        assert channel.round_trip_us() is None
        assert channel.unwritten == 0
        channel.write(b"nowhere")
        assert channel.sent == len(GET)

    play(scenario)


def test_a_closed_one_says_nothing(play: Play) -> None:
    """After an abort its connection hears no more, whatever the loop still reports."""

    async def scenario(bed: Bed) -> None:
        replay = await bed.ask(GET)
        channel = replay.connection._channel
        assert channel is not None
        bed.later(16)
        channel.eof_received()
        channel.connection_lost(ConnectionResetError())
        assert replay.connection.state is State.CLOSED
        assert (await bed.ask(GET)).phase == replay.phase
        assert bed.pool.counts.reconnects == 0

    play(scenario)


def test_each_socket_begins_anew(play: Play) -> None:
    """Offsets and timeline are those of one connection."""

    async def once(peer: Peer) -> None:
        await peer.head()
        peer.say(b"HTTP/1.0 204 X\r\n\r\n")

    async def scenario(bed: Bed) -> None:
        first, second = await bed.ask(GET), await bed.ask(GET)
        assert first.request_end == second.request_end == len(GET)
        (_, before), (_, after) = bed.done
        assert before is not after

    play(scenario, once)
