"""May this request be sent to the shadow?"""

from __future__ import annotations

from enum import Enum

from shadow_agent.http.exchange import Exchange


class Refusal(Enum):
    """Why a request is not sent; the names of the ledger's ``replay.refused``."""

    METHOD = "method"  # not among the methods that may be replayed
    LOOP = "loop"  # it came from the shadow's own address: replaying it could go on for ever
    UPGRADE = "upgrade"  # CONNECT or Upgrade: the connection would leave HTTP
    REQUEST_LIMIT = "request_limit"  # --requests N were replayed already
    PAUSED = "paused"  # the operator or an alert paused replay


SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110 9.2.1, less TRACE


class Policy:
    """Decides on heads alone, so that a body can stream."""

    __slots__ = ("_left", "_methods", "_shadow", "paused")

    def __init__(
        self, methods: frozenset[str] | None, shadow_address: bytes, limit: int | None
    ) -> None:
        """``methods`` None allows all; ``shadow_address`` is 16 bytes as in a flow key."""
        self._methods = methods
        self._shadow = shadow_address
        self._left = limit
        self.paused = False

    def refuse(self, exchange: Exchange) -> Refusal | None:
        """The reason not to send it, or None: then it counts against the request limit."""
        if self.paused:
            return Refusal.PAUSED
        if self._methods is not None and exchange.method not in self._methods:
            return Refusal.METHOD
        if exchange.request.upgrade:
            return Refusal.UPGRADE
        if exchange.flow_key[:16] == self._shadow:
            return Refusal.LOOP
        if self._left is not None:
            if self._left <= 0:
                return Refusal.REQUEST_LIMIT
            self._left -= 1
        return None
