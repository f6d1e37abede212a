"""May this request be sent to the shadow?"""

from __future__ import annotations

from collections.abc import Callable

from shadow_agent.http.exchange import Exchange
from shadow_agent.telemetry.reasons import Refused

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, less TRACE


class Policy:
    """Decides on heads alone, so that a body can stream."""

    __slots__ = ("_methods", "_shadow", "_take", "paused")

    def __init__(
        self,
        methods: frozenset[str] | None,
        shadow_address: bytes,
        take: Callable[[], bool] | None = None,
    ) -> None:
        """``methods`` None allows all; ``shadow_address`` is 16 bytes as in a flow key.

        ``take`` takes one from the run's budget of requests, if it has one.
        """
        self._methods = methods
        self._shadow = shadow_address
        self._take = take
        self.paused = False

    def refuse(self, exchange: Exchange) -> Refused | None:
        """The reason not to send it, or None: then it was taken from the budget."""
        if self.paused:
            return Refused.PAUSED
        if self._methods is not None and exchange.method not in self._methods:
            return Refused.METHOD
        if exchange.request.upgrade:
            return Refused.UPGRADE
        if exchange.flow_key[:16] == self._shadow:
            return Refused.LOOP
        if self._take is not None and not self._take():
            return Refused.REQUEST_LIMIT
        return None
