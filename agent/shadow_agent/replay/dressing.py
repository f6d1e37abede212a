"""What is sent instead of what was captured, and whose turn waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shadow_agent.policy.outgoing import Outgoing, Ready
from shadow_agent.telemetry.reasons import Refused

if TYPE_CHECKING:
    from shadow_agent.replay.connection import ShadowConnection
    from shadow_agent.replay.replay import Replay

_READY: Final = Ready.YES


class Dressing:
    """Of one pool. Without `Outgoing` everything goes out as captured."""

    __slots__ = ("_outgoing", "held")

    def __init__(self, outgoing: Outgoing | None) -> None:
        """Nobody waits."""
        self._outgoing = outgoing
        self.held: set[ShadowConnection] = set()  # whose next request cannot be edited yet

    def ready(self, replay: Replay) -> Ready:
        """Whether it can be sent as it has to be; its connection hears when to ask again."""
        outgoing = self._outgoing
        if outgoing is None:
            return _READY
        ready = outgoing.ready(replay.exchange, replay.pending, whole=replay.request_whole)
        if ready is not _READY:
            self.held.add(replay.connection)
        return ready

    def look_again(self, connection: ShadowConnection) -> None:
        """There is more of a request, or it is over: perhaps the one that is waited for."""
        if connection in self.held:
            connection.pump()

    def release(self) -> None:
        """See again to those whose next request waits for more of it, or for an alias."""
        if self.held:
            held, self.held = self.held, set()
            for connection in held:
                connection.pump()

    def take_bytes(self, replay: Replay, *, first: bool) -> bytes | Refused:
        """What is there of it, as the shadow gets it; or why it is not sent after all."""
        outgoing = self._outgoing
        if outgoing is None:
            return replay.take_bytes(replay.exchange.raw_head, first=first)
        dressed = replay.dressed
        if dressed is None:
            made = outgoing.dress(replay.exchange, replay.pending)
            if isinstance(made, Refused):
                return made
            replay.drop_pending()
            dressed = made
            if not replay.exchange.request.framing:  # else it is never sent again
                replay.dressed = made
        return replay.take_bytes(dressed, first=first)
