"""One worker's path from segments to comparisons, against a shadow on loopback."""

from __future__ import annotations

import asyncio
import time

import pytest

from shadow_agent.daemon.mirror import Mirror, Session, Sessions
from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import ACK, SYN, Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import Limits
from shadow_agent.policy.decision import SAFE_METHODS, Policy
from shadow_agent.policy.rule import Action, Rule
from shadow_agent.policy.rules import RuleSet
from shadow_agent.replay.dressing import Dressing
from shadow_agent.replay.limits import PoolLimits
from shadow_agent.replay.pool import ShadowPool
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.ledger import Ledger, imbalances
from shadow_agent.telemetry.reasons import Refused, Unanswered, Uncomparable
from shadow_agent.telemetry.tally import Tally
from tests.property.wire import GET, Wire, response
from tests.unit.replay.bed import LOOPBACK, OK, Bed, Peer, at

SAME = response(b"ok")


class Stage:
    """A mirror whose pool sends to the bed's shadow."""

    def __init__(self, bed: Bed, port: int) -> None:
        """Nothing was read yet."""
        self.bed = bed
        self.tally = Tally()
        self.answered = asyncio.Event()
        sessions = Sessions(Session("connection", ""))
        pool = ShadowPool(
            at(port), PoolLimits(), bed.loop, (0, 1), self._on_done, None, None, sessions.lose
        )
        assembler = Assembler(
            FlowLimits(), Limits(), SegmentCounts(), RequestCounts(), ExchangeCounts()
        )
        policy = Policy(SAFE_METHODS, LOOPBACK)
        self.mirror = Mirror(assembler, policy, pool, self.tally, sessions)

    def _on_done(self, replay: Replay, timeline: Timeline) -> None:
        self.mirror.on_done(replay, timeline)
        self.answered.set()

    def see(self, *segments: Segment) -> None:
        """Records of production, now."""
        for segment in segments:
            self.mirror.packets += 1
            self.mirror.on_production(segment._replace(ts=time.monotonic_ns()))
            self.check()

    async def settled(self) -> None:
        """Until nothing is due any more."""
        while self.mirror.busy:
            self.mirror.settle(self.mirror.take_finished())
            await asyncio.sleep(0)
        self.check()

    def check(self) -> Ledger:
        """Every line balances, at every moment."""
        ledger = self.mirror.ledger()
        found = imbalances(ledger)
        assert [line for line in found if not line.startswith(("packets", "records"))] == []
        return ledger


def staged(scenario, script=Peer.answer_all):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Run a scenario; at its end everything is drained and accounted for."""
    loop = asyncio.new_event_loop()

    async def whole() -> Ledger:
        bed = Bed(loop, script)
        await bed.open(PoolLimits(), None)
        assert bed._server is not None
        stage = Stage(bed, bed._server.sockets[0].getsockname()[1])
        try:
            async with asyncio.timeout(20):
                await scenario(stage)
            stage.mirror.drain(time.monotonic_ns())
            ledger = stage.check()
            assert ledger.pairs.open == ledger.replay.queued == ledger.exchanges.open == 0
            return ledger
        finally:
            await bed.close()

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


@pytest.mark.parametrize("first", ["production", "shadow"])
def test_a_pair_is_compared(first: str) -> None:
    """Whoever answers first."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        if first == "shadow":
            await stage.settled()
        stage.see(wire.server(SAME))
        await stage.settled()
        snapshot = stage.tally.snapshot(stage.check())
        assert snapshot.status_pairs == {"200→200": 1}
        assert snapshot.body == {"matched": 1}
        assert snapshot.production_first.count == 1
        assert snapshot.latency_unknown == {"no_syn": 1}
        assert snapshot.dispatch_lag.count == 1

    ledger = staged(scenario)
    assert ledger.pairs.compared == 1
    assert ledger.exchanges.answered == 1


def test_the_shadow_s_latency_runs_to_its_first_byte() -> None:
    """From the request's last byte out to the answer's first in, by the kernel's times."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        await stage.answered.wait()
        finished = stage.mirror.take_finished()
        replay, timeline = finished[0]
        reply = replay.reply
        assert reply is not None
        assert reply.first_offset is not None
        assert reply.end_offset is not None
        assert replay.request_end is not None
        half = (reply.first_offset + reply.end_offset) // 2

        def passed(direction: int, seq: int, length: int, ts: int, flags: int = ACK) -> None:
            timeline.push(Segment(ts, b"", direction, seq, 0, flags, b"", length, final=True))

        passed(0, 99, 0, 0, SYN)
        passed(1, 499, 0, 0, SYN)
        passed(0, 100, replay.request_end, 10_000)
        passed(1, 500, half, 60_000)
        passed(1, 500 + half, reply.end_offset - half, 910_000)
        stage.mirror.settle(finished)
        stage.see(wire.server(SAME))
        snapshot = stage.tally.snapshot(stage.check())
        assert snapshot.latency_unknown == {}
        assert snapshot.shadow_first.percentile(50) == pytest.approx(50, rel=0.02)
        assert snapshot.shadow_last.percentile(50) == pytest.approx(900, rel=0.02)

    staged(scenario)


def test_what_policy_refuses() -> None:
    """Counted, and never sent."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"))
        stage.see(wire.server(SAME))
        assert stage.bed.accepted == 0

    ledger = staged(scenario)
    assert ledger.replay.refused == {Refused.METHOD: 1}
    assert ledger.pairs.replayed == 0


def test_production_does_not_answer() -> None:
    """Then there is nothing to compare with."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        await stage.settled()
        stage.see(wire.reset(1))
        await stage.settled()

    ledger = staged(scenario)
    assert ledger.pairs.uncomparable == {Uncomparable.PRODUCTION_UNANSWERED: 1}
    assert ledger.exchanges.unanswered == {Unanswered.SERVER_CLOSED: 1}


def test_production_falls_silent() -> None:
    """Its flow is given up in the end, and with it the pair."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        await stage.settled()
        stage.mirror.expire(time.monotonic_ns() + 86_400_000_000_000)
        assert stage.check().pairs.uncomparable == {Uncomparable.PRODUCTION_UNANSWERED: 1}

    staged(scenario)


def test_what_was_learned_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request that waits for it may be another connection's."""
    released: list[Dressing] = []

    def release(dressing: Dressing) -> None:
        released.append(dressing)

    monkeypatch.setattr(Dressing, "release", release)

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        stage.mirror._sessions.taught = True
        await stage.answered.wait()
        assert (len(released), stage.mirror._sessions.taught) == (1, False)

    staged(scenario)


def test_a_pause() -> None:
    """What is open ends by that name, what comes is refused by it, and then it goes on."""

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1))
        stage.mirror.pause(time.monotonic_ns())
        await stage.settled()
        again = Wire(port=5)
        stage.see(*again.open(), again.client(GET % 2), again.server(SAME))
        stage.mirror.resume()
        stage.see(again.client(GET % 3), again.server(SAME))
        await stage.settled()

    ledger = staged(scenario)
    assert ledger.exchanges.unanswered == {Unanswered.PAUSED: 1}
    assert ledger.replay.refused[Refused.PAUSED] >= 1
    assert ledger.pairs.compared == 1


def test_a_drain() -> None:
    """Whatever is open gets its name: sent, answered by one side, or by none."""

    async def silent(peer: Peer) -> None:
        await peer.head()
        await peer.body(1)

    async def scenario(stage: Stage) -> None:
        wire, other = Wire(port=1), Wire(port=2)
        stage.see(*wire.open(), wire.client(GET % 1), wire.server(SAME))
        stage.see(*other.open(), other.client(GET % 1 + GET % 2))
        while stage.check().pairs.replayed < 2:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0)

    ledger = staged(scenario, silent)
    assert ledger.pairs.uncomparable == {Uncomparable.DRAINED: 2}
    assert sum(ledger.replay.failed.values()) == 1


def test_a_shadow_that_hangs_up() -> None:
    """It is compared, with that outcome."""

    async def hang_up(peer: Peer) -> None:
        await peer.head()
        peer.say(OK[:10])
        peer.close()

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1), wire.server(SAME))
        await stage.settled()
        assert stage.tally.snapshot(stage.check()).status_pairs == {"200→closed": 1}

    assert staged(scenario, hang_up).pairs.compared == 1


def test_a_changed_rule_reaches_what_still_waits() -> None:
    """It has not gone out, so it does not; others go on, and the new rules judge the next."""
    drop = Rule(name="no", action=Action.DROP, path="/2")

    async def scenario(stage: Stage) -> None:
        wire = Wire()
        stage.see(*wire.open(), wire.client(GET % 1 + GET % 2 + GET % 3))
        stage.mirror.change(SAFE_METHODS, RuleSet([drop], SAFE_METHODS))
        ledger = stage.check()
        assert ledger.replay.refused == {"rule": 1}
        stage.see(wire.server(SAME), wire.server(SAME), wire.server(SAME))
        stage.see(wire.client(GET % 2), wire.server(SAME))
        await stage.settled()

        assert stage.mirror.rules == {"no": {"rule": 1}}

    ledger = staged(scenario)
    assert ledger.replay.refused == {"rule": 2}
    assert ledger.pairs.compared == 2
