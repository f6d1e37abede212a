"""What the requests of one user have in common, as far as the shadow may answer otherwise.

Aliases: what both sides handed out. Divergence: writes that the shadow lacks. Both are learned when
an exchange's two halves have ended, whichever came first.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from shadow_agent.http.exchange import Exchange
from shadow_agent.policy.alias import AliasLimits
from shadow_agent.policy.alias_learn import Handed
from shadow_agent.policy.decision import is_write
from shadow_agent.policy.diverged import Diverged
from shadow_agent.policy.outgoing import Outgoing
from shadow_agent.policy.session import cookie_set, session_of
from shadow_agent.replay.replay import Replay
from shadow_agent.telemetry.reasons import AliasEvent, Outcome

_ANSWERED: Final = Outcome.ANSWERED


class Session(NamedTuple):
    """What tells sessions apart: "connection", or a header or cookie by name."""

    kind: str
    name: str


class _Offer(NamedTuple):
    """What production handed out, and to whom."""

    handed: Handed
    sessions: tuple[str, ...]


class Sessions:
    """Of one worker."""

    def __init__(
        self,
        key: Session,
        outgoing: Outgoing | None = None,
        limits: AliasLimits = AliasLimits(),  # noqa: B008 - it is frozen
    ) -> None:
        """Without ``outgoing`` nothing is learned; divergence is seen all the same."""
        self._key = key
        self._by_connection = key.kind == "connection"
        self._outgoing = outgoing
        self._diverged = Diverged(limits.max_sessions, limits.expiry_ns)
        self.taught = False  # since somebody looked: requests may wait for it

    def begin(self, exchange: Exchange) -> None:
        """A request head: whose session it is."""
        if self._by_connection:
            return
        session = session_of(exchange.request, self._key.kind, self._key.name)
        if session is not None:
            # what a client says is never taken for a connection's name
            exchange.session = f"{self._key.kind}={session}"

    def lose(self, exchange: Exchange) -> None:
        """The shadow did not get it, or did not answer it."""
        if is_write(exchange.request):
            now = exchange.request_started_ts
            self._diverged.lose(exchange.session, exchange.id, now)
        offer: _Offer | None = exchange.handed
        if offer is not None:
            exchange.handed = None
            self._settle(offer)

    def diverged(self, exchange: Exchange) -> bool:
        """Whether it came after a write that the shadow lacks."""
        return self._diverged.has(exchange.session, exchange.id, exchange.request_started_ts)

    def production_ended(self, exchange: Exchange) -> None:
        """Nothing more will be known of production's answer."""
        response = exchange.response
        if response is None or not exchange.answered:
            return
        sessions = None if self._by_connection else self._sessions(exchange)
        replay: Replay | None = exchange.replay
        outgoing = self._outgoing
        if replay is None or outgoing is None:
            return
        teacher, body = outgoing.teacher, None
        if teacher.reads_bodies:
            body = exchange.response_kept or exchange.response_body
            exchange.response_kept = None
        handed = teacher.handed(response, body)
        if not handed:
            return
        offer = _Offer(handed, sessions or (exchange.session,))
        if replay.handed is not None:
            self._learn(offer, replay.handed, exchange.request_started_ts)
        elif replay.reply is None or replay.reply.outcome is None:
            exchange.handed = offer
            if not self._by_connection:  # there, nothing overtakes the answer
                self._expect(offer, exchange)

    def shadow_ended(self, replay: Replay) -> None:
        """A replay that was sent has ended, one way or another."""
        exchange, reply = replay.exchange, replay.reply
        if replay.broken is not None or reply is None or reply.outcome is not _ANSWERED:
            self.lose(exchange)
            return
        offer: _Offer | None = exchange.handed
        outgoing = self._outgoing
        if outgoing is None or reply.head is None or (offer is None and replay.production_ended):
            return
        theirs = outgoing.teacher.handed(reply.head, reply.take_kept())
        if offer is None:
            replay.handed = theirs
        else:
            exchange.handed = None
            self._learn(offer, theirs, exchange.request_started_ts)

    def counts(self) -> dict[AliasEvent, int]:
        """What became of aliases so far."""
        found = {AliasEvent.DIVERGED_FORGOTTEN: self._diverged.forgotten}
        if self._outgoing is not None:
            counts = self._outgoing.aliases.counts
            for event in AliasEvent:
                if event is not AliasEvent.DIVERGED_FORGOTTEN:
                    found[event] = getattr(counts, event)
        return found

    def _sessions(self, exchange: Exchange) -> tuple[str, ...]:
        """Its own, and the one that the answer's cookie begins: the client goes on there."""
        mine, response = exchange.session, exchange.response
        if self._key.kind != "cookie" or response is None:
            return (mine,)
        value = cookie_set(response, self._key.name)
        if not value:
            return (mine,)
        other = f"{self._key.kind}={value}"
        now = exchange.request_started_ts
        self._diverged.go_on(mine, other, now)
        if self._outgoing is not None:
            self._outgoing.aliases.go_on(mine, other, now)
        return (mine, other)

    def _learn(self, offer: _Offer, theirs: Handed, now: int) -> None:
        if self._outgoing is None:
            return
        aliases, teacher = self._outgoing.aliases, self._outgoing.teacher
        for pair in teacher.pairs(offer.handed, theirs):
            for session in offer.sessions:
                aliases.learn(session, pair, now)
        self._settle(offer)

    def _expect(self, offer: _Offer, exchange: Exchange) -> None:
        if self._outgoing is None:
            return
        aliases, teacher = self._outgoing.aliases, self._outgoing.teacher
        for where, value in teacher.expected(offer.handed):
            for session in offer.sessions:
                aliases.expect(session, where, value, exchange.id, exchange.request_started_ts)

    def _settle(self, offer: _Offer) -> None:
        """What the shadow has not handed out is not waited for any longer."""
        if self._outgoing is None or self._by_connection:
            return
        aliases, teacher = self._outgoing.aliases, self._outgoing.teacher
        for where, value in teacher.expected(offer.handed):
            for session in offer.sessions:
                aliases.settle(session, where, value)
        self.taught = True
