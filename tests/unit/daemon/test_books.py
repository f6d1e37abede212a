"""The supervisor's bookkeeping: whatever dies, every line still balances."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.daemon.books import Books, close_after_death, packets_of
from shadow_agent.daemon.claims import Progress
from shadow_agent.kernel.layout import Counter
from shadow_agent.telemetry.ledger import (
    Exchanges,
    Ledger,
    Pairs,
    Records,
    Replay,
    Requests,
    Segments,
    imbalances,
)
from shadow_agent.telemetry.reasons import Failed, Unanswered, Uncomparable, Unsupported
from shadow_agent.telemetry.snapshot import Snapshot, encode

COUNT = st.integers(0, 1 << 40)


@st.composite
def ledgers(draw: st.DrawFn) -> Ledger:
    """A worker's ledger that balances."""
    n = [draw(COUNT) for _ in range(24)]
    read = sum(n[0:6])
    replayed = n[18] + n[19] + n[20]
    heads = replayed + n[21] + n[22] + n[23]
    answered = draw(st.integers(0, heads))
    open_exchanges = draw(st.integers(0, heads - answered))
    return Ledger(
        records=Records(copied=read, read=read),
        segments=Segments(read, n[0], n[1], n[2], n[3], n[4], {}, n[5]),
        requests=Requests(
            sum(n[6:13]), n[6], n[7], n[8], n[9], n[10], n[11], n[12], heads=heads, lost=n[13]
        ),
        exchanges=Exchanges(
            heads,
            answered,
            {Unanswered.GAP: heads - answered - open_exchanges},
            open_exchanges,
        ),
        replay=Replay(heads, replayed, {"method": n[21]}, {"age": n[22]}, {}, n[23]),
        pairs=Pairs(replayed, n[18], {Uncomparable.DRAINED: n[19]}, n[20]),
    )


def lines(ledger: Ledger) -> list[str]:
    """What does not balance of the user side."""
    return [line for line in imbalances(ledger) if not line.startswith("packets.copied")]


@given(ledgers(), COUNT)
def test_death_keeps_every_identity(ledger: Ledger, unreported: int) -> None:
    """Nothing is open, held or queued any more; what was is a loss by the death's name."""
    assert lines(ledger) == []
    closed = close_after_death(ledger, unreported)
    assert lines(closed) == []
    assert closed.segments.held == closed.requests.open == closed.exchanges.open == 0
    assert closed.replay.queued == closed.pairs.open == 0
    assert closed.requests.started == ledger.requests.started + unreported
    assert closed.requests.evicted == ledger.requests.evicted + ledger.requests.open + unreported
    assert closed.exchanges.total("unanswered") == (
        ledger.exchanges.total("unanswered") + ledger.exchanges.open
    )
    assert closed.replay.failed.get(Failed.WORKER_DIED, 0) == ledger.replay.queued
    assert closed.pairs.uncomparable.get(Uncomparable.WORKER_DIED, 0) == ledger.pairs.open


@given(ledgers(), COUNT)
def test_death_leaves_the_ledger_that_was_reported(ledger: Ledger, unreported: int) -> None:
    """It is a value."""
    before = ledger.as_dict()
    close_after_death(ledger, unreported)
    assert ledger.as_dict() == before


@given(ledgers(), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_death_balances_with_the_kernel(ledger: Ledger, more: int, hand: int, ring: int) -> None:
    """What it had read since its last report, had in hand, and what is still on the ring."""
    books = Books(2)
    books.report(0, encode(Snapshot(ledger=ledger)))
    read = ledger.records.read + more
    books.bury(0, Progress(0, 0, read, ledger.requests.started + more), (hand, 1))
    kernel = dict.fromkeys(Counter, 0)
    kernel[Counter.COPIED] = kernel[Counter.SEEN] = read + hand + ring
    whole = books.ledger(books.snapshot().ledger, kernel, ring)
    assert imbalances(whole) == []
    assert whole.records.lost.get("worker_died", 0) == more + hand
    assert whole.requests.lost == ledger.requests.lost + 1


def test_the_living_and_the_dead_are_added_up() -> None:
    """A worker that ended in order stands as it reported; the next one begins at zero."""
    books = Books(2)
    ledger = Ledger(records=Records(read=5), segments=Segments(read=5, used=5))
    for shard in (0, 1, 0):
        books.report(shard, encode(Snapshot(ledger=ledger)))
    assert books.snapshot().ledger.segments.used == 10
    books.finish(0)
    assert books.snapshot().ledger.segments.used == 10
    books.report(0, encode(Snapshot(ledger=ledger)))
    assert books.snapshot().ledger.segments.used == 15


def test_nonsense_changes_nothing() -> None:
    """The last report stands."""
    books = Books(1)
    ledger = Ledger(segments=Segments(read=5, used=5))
    books.report(0, encode(Snapshot(ledger=ledger)))
    with pytest.raises(ValueError, match="snapshot"):
        books.report(0, b"{}")
    assert books.snapshot().ledger.segments.used == 5


def test_every_counter_of_the_kernel_has_its_name() -> None:
    """The line balances when each packet has one fate."""
    fates = [c for c in Counter if Counter.SEEN < c <= Counter.COPIED]
    kernel = {counter: int(counter in fates) * (counter + 1) for counter in Counter}
    kernel[Counter.SEEN] = sum(kernel[fate] for fate in fates)
    packets = packets_of(kernel)
    assert packets.left == packets.right > 0
    named = {reason.value: kernel[Counter[reason.name]] for reason in list(Unsupported)[:5]}
    assert packets.unsupported == named


def test_requests_lost_in_the_kernel() -> None:
    """The larger of what the ring was too full for and of gaps that nothing explains."""
    books = Books(1)
    kernel = dict.fromkeys(Counter, 0)
    kernel[Counter.RING_FULL_REQUESTS] = 3
    merged = Ledger(requests=Requests(lost=2))
    assert books.ledger(merged, kernel, 0).requests.lost == 3


def test_the_short_way_to_some_sums() -> None:
    """Requests, pairs and production's latency, of the living and the dead, as in the snapshot."""
    books = Books(2)
    one = Snapshot(ledger=Ledger(requests=Requests(started=5), pairs=Pairs(compared=3)))
    one.production_first.add(100.0)
    for shard in (0, 1):
        books.report(shard, encode(one))
    books.finish(1)
    assert books.progress() == (10, 6)
    assert books.production_first() == books.snapshot().production_first
