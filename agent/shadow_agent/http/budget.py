"""Budget: what all conversations of one worker hold, and who gives up when it is too much.

Three policies, each with a counter, none of which costs more than a comparison while nobody is
over a limit:

- a request head that is unfinished for `head_ns` is given up (slow loris): `late_heads`;
- of more than `max_heads_per_source` unfinished heads from one address the oldest is given up:
  `crowded_heads`;
- over `max_held_bytes` the flow that has been holding longest gives up all it holds, until a
  sixteenth is free again: `relieved`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shadow_agent.http.exchange import Limits
    from shadow_agent.http.pairing import Pairing

_ADDRESS: Final = 16  # bytes of a flow's key


class Budget:
    """Pairings are what holds: each belongs to one flow and knows its key."""

    __slots__ = ("_crowded", "_heads", "_limits", "_queue", "_sources", "crowded_heads", "held",
                 "late_heads", "limit", "pressed", "relieved")  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        """Nothing is held."""
        self._limits = limits
        self.limit = limits.max_held_bytes
        self.held = 0  # bytes, overhead included
        self.pressed = False  # somebody must give up: call `relieve`
        self.late_heads = 0
        self.crowded_heads = 0
        self.relieved = 0
        # Who holds, since when as far as known, roughly oldest first. Nobody leaves it when he
        # holds nothing any more: that would cost every exchange, so it is swept instead.
        self._queue: deque[tuple[Pairing, int]] = deque()
        self._heads: OrderedDict[Pairing, int] = OrderedDict()  # since when, oldest first
        self._sources: dict[bytes, OrderedDict[Pairing, None]] = {}
        self._crowded: list[Pairing] = []

    @property
    def unfinished_heads(self) -> int:
        """Request heads of which some bytes were seen and the end was not."""
        return len(self._heads)

    def hold(self, pairing: Pairing, size: int, ts: int) -> None:
        """A flow holds `size` more bytes; `ts` is now, ns."""
        if not pairing.held:
            pairing.holding_since = ts
        pairing.held += size
        self.held += size
        if not pairing.listed:
            pairing.listed = True
            self._queue.append((pairing, ts))
        if self.held > self.limit:
            self.pressed = True

    def free(self, pairing: Pairing, size: int) -> None:
        """A flow holds `size` bytes less."""
        pairing.held -= size
        self.held -= size

    def hold_head(self, pairing: Pairing, before: int, after: int, ts: int) -> None:
        """A flow's unfinished request head grew from `before` to `after` bytes; 0 is none."""
        if before == after:
            return
        self.hold(pairing, after - before, ts)
        if not before:
            self._enter(pairing, ts)
        elif not after and self._heads.pop(pairing, None) is not None:
            self._leave(pairing)

    def late(self, now: int) -> Iterator[Pairing]:
        """Those whose head is unfinished for too long; each gives up before the next is asked."""
        while self._heads:
            pairing, since = next(iter(self._heads.items()))
            if since + self._limits.head_ns > now:
                return
            self._forget(pairing)
            self.late_heads += 1
            yield pairing

    def relieve(self) -> Iterator[tuple[Pairing, bool]]:
        """Who must give up now: (who, whether all it holds or only its head)."""
        self.pressed = False
        while self._crowded:
            self.crowded_heads += 1
            yield self._crowded.pop(), False
        if self.held <= self.limit:
            return
        while self.held > self.limit - self.limit // 16 and self._queue:
            pairing, since = self._queue.popleft()
            if not pairing.held:
                pairing.listed = False
            elif pairing.holding_since > since:
                self._queue.append((pairing, pairing.holding_since))
            else:
                pairing.listed = False
                self.relieved += 1
                yield pairing, True

    def sweep(self, flows: int) -> None:
        """Forgets who holds nothing, once they are more than twice the flows there are."""
        if len(self._queue) > 2 * flows + 1024:
            holding = [(pairing, since) for pairing, since in self._queue if pairing.held]
            for pairing, _ in self._queue:
                pairing.listed = pairing.held > 0
            self._queue = deque(holding)

    def _enter(self, pairing: Pairing, ts: int) -> None:
        self._heads[pairing] = ts
        source = pairing.key[:_ADDRESS]
        crowd = self._sources.get(source)
        if crowd is None:
            crowd = self._sources[source] = OrderedDict()
        crowd[pairing] = None
        if len(crowd) > self._limits.max_heads_per_source:
            oldest = next(iter(crowd))
            self._forget(oldest)
            self._crowded.append(oldest)
            self.pressed = True

    def _forget(self, pairing: Pairing) -> None:
        del self._heads[pairing]
        self._leave(pairing)

    def _leave(self, pairing: Pairing) -> None:
        source = pairing.key[:_ADDRESS]
        crowd = self._sources[source]
        del crowd[pairing]
        if not crowd:
            del self._sources[source]
