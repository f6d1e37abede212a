"""The supervisor's bookkeeping: workers' snapshots and the kernel's counters into one ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shadow_agent.daemon.claims import Progress
from shadow_agent.kernel.layout import Counter
from shadow_agent.telemetry.histogram import LogHistogram
from shadow_agent.telemetry.ledger import Ledger, Packets
from shadow_agent.telemetry.reasons import Failed, Unanswered, Uncomparable
from shadow_agent.telemetry.snapshot import Snapshot, decode, merge


class Books:
    """Living workers by shard, and what dead ones left."""

    def __init__(self, shards: int) -> None:
        """Nobody has reported."""
        self._live: list[Snapshot] = [Snapshot() for _ in range(shards)]
        self._dead: list[Snapshot] = []
        self._worker_died = 0  # packets consumed from a ring and never reported
        self._died_requests = 0  # requests that began in them

    def report(self, shard: int, message: bytes) -> None:
        """A worker's snapshot. ValueError when it is not one."""
        self._live[shard] = decode(message, before=self._live[shard])

    def finish(self, shard: int) -> None:
        """A worker ended in order; its last snapshot stands."""
        self._dead.append(self._live[shard])
        self._live[shard] = Snapshot()

    def bury(self, shard: int, progress: Progress, claimed: tuple[int, int]) -> None:
        """A worker died: what it held open is lost by that name.

        ``claimed``: packets, and requests that begin in them, of the batch it had in hand.
        """
        last = self._live[shard]
        unreported = max(progress.started - last.ledger.requests.started, 0)
        ledger = close_after_death(last.ledger, unreported)
        self._worker_died += max(progress.read - ledger.records.read, 0) + claimed[0]
        self._died_requests += claimed[1]
        self._dead.append(replace(last, ledger=ledger, breakers=last.breakers.ended()))
        self._live[shard] = Snapshot()

    def snapshot(self) -> Snapshot:
        """All workers', living and dead."""
        return merge([*self._dead, *self._live])

    def progress(self) -> tuple[int, int]:
        """Requests started and pairs compared, without the price of a whole snapshot."""
        parts = [one.ledger for one in (*self._dead, *self._live)]
        return sum(p.requests.started for p in parts), sum(p.pairs.compared for p in parts)

    def production_first(self) -> LogHistogram:
        """Production's latency to the first byte, of all compared pairs so far; a copy."""
        whole = LogHistogram()
        for one in (*self._dead, *self._live):
            whole.merge(one.production_first)
        return whole

    def ledger(self, merged: Ledger, kernel: Mapping[Counter, int], in_ring: int) -> Ledger:
        """The whole ledger. ``kernel``: counters of the production-side tap."""
        whole = merged.with_kernel(
            packets_of(kernel),
            in_ring=in_ring,
            lost_starts=kernel[Counter.RING_FULL_REQUESTS],
            worker_died=self._worker_died,
        )
        requests = replace(whole.requests, lost=whole.requests.lost + self._died_requests)
        return replace(whole, requests=requests)


def packets_of(kernel: Mapping[Counter, int]) -> Packets:
    """The tap's counters as the ledger's first line."""
    return Packets(
        seen=kernel[Counter.SEEN],
        own=kernel[Counter.OWN],
        not_service=kernel[Counter.NOT_SERVICE],
        no_payload=kernel[Counter.NO_PAYLOAD],
        paused=kernel[Counter.PAUSED],
        sampled_out=kernel[Counter.SAMPLED_OUT],
        over_budget=kernel[Counter.OVER_BUDGET],
        unsupported={
            "other_host": kernel[Counter.OTHER_HOST],
            "fragment": kernel[Counter.FRAGMENT],
            "tunnel": kernel[Counter.TUNNEL],
            "ipv6_extension": kernel[Counter.IPV6_EXTENSION],
            "truncated": kernel[Counter.TRUNCATED],
        },
        ring_full=kernel[Counter.RING_FULL],
        copied=kernel[Counter.COPIED],
    )


def close_after_death(ledger: Ledger, unreported: int) -> Ledger:
    """The last ledger of a worker that died, with every gauge turned into a named loss.

    ``unreported``: requests it started after that ledger was made; what became of them died
    with it.
    """
    segments, requests, exchanges = ledger.segments, ledger.requests, ledger.exchanges
    replay, pairs = ledger.replay, ledger.pairs
    return replace(
        ledger,
        segments=replace(segments, evicted=segments.evicted + segments.held, held=0),
        requests=replace(
            requests,
            started=requests.started + unreported,
            evicted=requests.evicted + requests.open + unreported,
            open=0,
        ),
        exchanges=replace(
            exchanges,
            unanswered=_plus(exchanges.unanswered, Unanswered.WORKER_DIED, exchanges.open),
            open=0,
        ),
        replay=replace(
            replay, failed=_plus(replay.failed, Failed.WORKER_DIED, replay.queued), queued=0
        ),
        pairs=replace(
            pairs,
            uncomparable=_plus(pairs.uncomparable, Uncomparable.WORKER_DIED, pairs.open),
            open=0,
        ),
    )


def _plus(counts: Mapping[str, int], reason: str, n: int) -> dict[str, int]:
    return {**counts, reason: counts.get(reason, 0) + n} if n else dict(counts)
