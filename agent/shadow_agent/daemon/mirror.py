"""One worker's path from segments to comparisons: assemble, decide, replay, compare, count."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Final

from shadow_agent.compare.comparison import Comparison, compare
from shadow_agent.daemon.observed import observed
from shadow_agent.daemon.sessions import Session, Sessions
from shadow_agent.flow.segment import Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import RequestOutcome
from shadow_agent.http.exchange import (
    Event,
    Exchange,
    ExchangeEnded,
    FlowClosed,
    RequestBodySeen,
    RequestEnded,
    RequestHeadSeen,
)
from shadow_agent.policy.decision import Policy, is_write
from shadow_agent.policy.rules import RuleSet
from shadow_agent.replay.pool import ShadowPool
from shadow_agent.replay.replay import Replay
from shadow_agent.replay.reply import Reply
from shadow_agent.replay.timeline import Timeline
from shadow_agent.telemetry.ledger import Ledger, Pairs
from shadow_agent.telemetry.ledger import Replay as ReplayLine
from shadow_agent.telemetry.reasons import (
    LatencyUnknown,
    Outcome,
    Refused,
    Unanswered,
    Uncomparable,
)
from shadow_agent.telemetry.tally import Tally

_Times = tuple[int | None, int | None, int | None]
_ANSWERED: Final = Outcome.ANSWERED
_COMPLETE: Final = RequestOutcome.COMPLETE
_NO_TIMES: Final[_Times] = (None, None, None)

__all__ = ["Mirror", "Session", "Sessions"]


class Mirror:
    """Composes the rooms; owns no socket and no clock."""

    def __init__(
        self,
        assembler: Assembler,
        policy: Policy,
        pool: ShadowPool,
        tally: Tally,
        sessions: Sessions,
    ) -> None:
        """The pool must report what it dropped to ``sessions.lose``, its finished replays here."""
        self._assembler = assembler
        self._policy = policy
        self._pool = pool
        self._tally = tally
        self._sessions = sessions
        self._finished: list[tuple[Replay, Timeline]] = []
        self._answered: set[Replay] = set()  # by the shadow, and production is still at it
        self._compared = 0
        self.compare = compare  # or that of a `Comparer`
        self._uncomparable: dict[Uncomparable, int] = {}
        self.on_compared: Callable[[Exchange, Reply, Comparison], None] | None = None
        self.on_ended: Callable[[Exchange], None] | None = None
        self.on_closed: Callable[[bytes], None] | None = None  # a flow, by its key
        self.packets = 0  # of the service, read from the ring

    @property
    def started(self) -> int:
        """Requests whose first byte was seen."""
        return self._assembler.requests.started

    @property
    def busy(self) -> bool:
        """Some pair may still become whole without another packet of production."""
        return bool(self._finished) or self._pool.busy

    @property
    def rules(self) -> dict[str, dict[str, int]]:
        """By a rule's name: what became of the requests that it decided."""
        return self._policy.counts

    @property
    def unsettled(self) -> int:
        """Requests that were sent and not compared yet, nor named as lost."""
        return self._pool.in_flight + len(self._finished) + len(self._answered)

    @property
    def behind(self) -> int:
        """What production has answered and the shadow has not, at least."""
        due = self._pool.counts.queued + self._pool.in_flight
        return max(due - self._assembler.exchanges.open, 0)

    def on_production(self, segment: Segment) -> None:
        """A record of the production-side tap."""
        for event in self._assembler.push(segment):
            self._handle(event)

    def on_numbered(self, segment: Segment, number: int) -> None:
        """The same, where the kernel skips requests and numbers what it copies."""
        for event in self._assembler.follow(segment, number):
            self._handle(event)

    def on_done(self, replay: Replay, timeline: Timeline) -> None:
        """The pool: a replay that was sent has ended. Its records may still be in the ring."""
        self._finished.append((replay, timeline))
        self._sessions.shadow_ended(replay)  # before the next request of its connection goes out
        self._release()

    def take_finished(self) -> list[tuple[Replay, Timeline]]:
        """Replays that ended before now; ``settle`` them once the ring has been read."""
        finished, self._finished = self._finished, []
        return finished

    def put_back(self, finished: list[tuple[Replay, Timeline]]) -> None:
        """Their records could not be read yet."""
        self._finished = finished + self._finished

    def settle(self, finished: list[tuple[Replay, Timeline]]) -> None:
        """Look up their kernel times and compare those that production has answered."""
        for replay, timeline in finished:
            replay.times = self._times(replay, timeline)
            if replay.production_ended:
                self._pair(replay)
            else:
                self._answered.add(replay)

    def expire(self, now: int) -> None:
        """Once a second or so; ``now`` is CLOCK_MONOTONIC ns."""
        for event in self._assembler.expire(now):
            self._handle(event)

    def pause(self, now: int) -> None:
        """The off switch: production's open exchanges end unseen, nothing more goes out."""
        self._policy.paused = True
        self._pool.refuse_waiting(Refused.PAUSED)
        for event in self._assembler.close(Unanswered.PAUSED, now):
            self._handle(event)

    def let_go(self, gone: Callable[[bytes], bool], now: int) -> None:
        """A smaller sample: flows outside it end unseen, by the same name as in a pause."""
        for event in self._assembler.close(Unanswered.PAUSED, now, gone):
            self._handle(event)

    def resume(self) -> None:
        """Mirroring goes on with the next request of each flow."""
        self._policy.paused = False

    def allow_writes(self, allowed: bool) -> None:
        """The guard came or went: writes go out from now on, or none that still waits."""
        self._policy.writes_open = allowed
        if not allowed:
            self._pool.refuse_waiting(Refused.UNGUARDED, lambda one: is_write(one.request))

    def change(self, methods: frozenset[str] | None, rules: RuleSet | None) -> None:
        """Other rules: for the next requests, and for those that still wait."""
        self._policy.change(methods, rules)
        self._pool.refuse_waiting(Refused.RULE, self._policy.drops)

    def drain(self, now: int) -> None:
        """The end: whatever is open is named and closed."""
        self._pool.drain()
        for event in self._assembler.close(Unanswered.DRAINED, now):
            self._handle(event)
        self.settle(self.take_finished())
        for replay in list(self._answered):
            self._pair(replay)

    def ledger(self) -> Ledger:
        """The user side of the ledger, now."""
        self._tally.aliases = self._sessions.counts()
        heads = self._assembler.requests.heads
        replay = self._pool.counts
        return dataclasses.replace(
            observed(self._assembler, self.packets),
            replay=ReplayLine(
                heads=heads,
                replayed=replay.replayed,
                refused={why.value: n for why, n in replay.refused.items()},
                shed={why.value: n for why, n in replay.shed.items()},
                failed={why.value: n for why, n in replay.failed.items()},
                queued=replay.queued,
            ),
            pairs=Pairs(
                replayed=replay.replayed,
                compared=self._compared,
                uncomparable={why.value: n for why, n in self._uncomparable.items()},
                open=self.unsettled,
            ),
        )

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestHeadSeen):
            self._begin(event.exchange)
        elif isinstance(event, RequestEnded):
            replay = event.exchange.replay
            if replay is not None:
                self._pool.end_request(replay, whole=event.outcome is _COMPLETE)
        elif isinstance(event, ExchangeEnded):
            if self.on_ended is not None:
                self.on_ended(event.exchange)
            replay = event.exchange.replay
            self._sessions.production_ended(event.exchange)
            if replay is not None:
                replay.production_ended = True
                if replay in self._answered:
                    self._pair(replay)
        elif isinstance(event, RequestBodySeen):
            replay = event.exchange.replay
            if replay is not None:
                self._pool.add_body(replay, event.raw)
        elif isinstance(event, FlowClosed):
            self._pool.retire(event.flow_key)
            if self.on_closed is not None:
                self.on_closed(event.flow_key)

    def _begin(self, exchange: Exchange) -> None:
        self._sessions.begin(exchange)
        refusal = self._policy.refuse(exchange)
        if refusal is None:
            self._pool.submit(exchange)
        else:
            self._pool.counts.refuse(refusal)
            self._sessions.lose(exchange)

    def _release(self) -> None:
        """What was learned may be what a request of another connection waits for."""
        if self._sessions.taught:
            self._sessions.taught = False
            self._pool.dressing.release()

    def _times(self, replay: Replay, timeline: Timeline) -> _Times:
        """Kernel times of an answered replay; why they are unknown is counted."""
        reply, request_end = replay.reply, replay.request_end
        if (
            reply is None
            or request_end is None
            or reply.first_offset is None
            or reply.end_offset is None
            or reply.outcome is not _ANSWERED
        ):
            return _NO_TIMES
        if not timeline.based:
            self._tally.latency_unknown(LatencyUnknown.NO_SYN)
            return _NO_TIMES
        resent = timeline.resent(request_end, reply.first_offset)
        asked = timeline.request_passed(request_end)
        first = timeline.answer_passed(reply.first_offset)
        last = timeline.answer_passed(reply.end_offset - 1)
        if resent:
            self._tally.latency_unknown(LatencyUnknown.RETRANSMITTED)
            return _NO_TIMES
        if asked is None or first is None or last is None:
            self._tally.latency_unknown(LatencyUnknown.NO_SEGMENT)
        return asked, first, last

    def _pair(self, replay: Replay) -> None:
        """Both sides are settled: a comparison, or a named loss."""
        self._answered.discard(replay)
        exchange, reply = replay.exchange, replay.reply
        exchange.replay = None
        if replay.broken is not None:
            self._lose(replay.broken)
        elif not exchange.answered or reply is None:
            self._lose(Uncomparable.PRODUCTION_UNANSWERED)
        else:
            self._compared += 1
            seen = self.compare(exchange, reply, replay.times)
            tally = self._tally
            tally.differ(seen.result)
            diverged = self._sessions.diverged(exchange)
            tally.diverged += diverged
            tally.add(
                exchange.method,
                exchange.target,
                seen.production_status,
                seen.shadow_status,
                outcome=seen.outcome,
                bodies_equal=seen.bodies_equal,
                production_first_us=seen.production_first_us,
                shadow_first_us=seen.shadow_first_us,
                production_last_us=seen.production_last_us,
                shadow_last_us=seen.shadow_last_us,
                eligible=not diverged,
            )
            if self.on_compared is not None:
                self.on_compared(exchange, reply, seen)
            if replay.sent_ns is not None:
                tally.dispatch_lag.add((replay.sent_ns - exchange.request_started_ts) / 1000)

    def _lose(self, reason: Uncomparable) -> None:
        self._uncomparable[reason] = self._uncomparable.get(reason, 0) + 1
