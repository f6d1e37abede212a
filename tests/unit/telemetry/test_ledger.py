"""The ledger balances, names what does not, and derives coverage and reach from it."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from shadow_agent.telemetry.ledger import (
    Exchanges,
    Ledger,
    Packets,
    Pairs,
    Records,
    Replay,
    Requests,
    blind,
    coverage,
    imbalances,
    left_out,
    left_over,
    losses,
    meaning,
    merge,
    merge_all,
    reach,
    wanted,
)


def test_a_balanced_ledger(ledger: Ledger) -> None:
    """The sample balances in every line and between lines."""
    assert imbalances(ledger) == []
    assert imbalances(Ledger()) == []


def test_an_imbalance_is_named_with_numbers(ledger: Ledger) -> None:
    """A missing packet shows in its line and in the link to the next."""
    broken = replace(ledger, packets=replace(ledger.packets, copied=300))
    assert imbalances(broken) == [
        (
            "packets: seen is 1000 but own + not_service + no_payload + paused + sampled_out"
            " + over_budget + unsupported + ring_full + copied is 999 (-1)"
        ),
        "packets.copied is 300 but records.copied is 301 (+1)",
    ]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (Ledger(records=Records(read=1)), "records: copied is 0"),
        (Ledger(requests=Requests(started=1)), "requests: started is 1"),
        (Ledger(exchanges=Exchanges(answered=1)), "exchanges: heads is 0"),
        (Ledger(replay=Replay(shed={"age": 2})), "replay: heads is 0"),
        (Ledger(pairs=Pairs(open=1)), "pairs: replayed is 0"),
        (Ledger(requests=Requests(heads=1)), "requests.heads is 1 but exchanges.heads is 0"),
        (Ledger(replay=Replay(heads=1, queued=1)), "requests.heads is 0 but replay.heads is 1"),
    ],
)
def test_every_line_and_link_is_checked(broken: Ledger, named: str) -> None:
    """Whichever identity is hurt is among those named."""
    assert any(line.startswith(named) for line in imbalances(broken))


def test_json_is_the_contract(ledger: Ledger) -> None:
    """An object per line; what comes back from JSON is the same ledger."""
    data = orjson.loads(orjson.dumps(ledger.as_dict()))
    assert list(data) == [
        "packets",
        "records",
        "segments",
        "requests",
        "exchanges",
        "replay",
        "pairs",
    ]
    assert data["requests"]["lost"] == 2
    assert data["records"]["lost"] == {"undecodable": 1}
    assert data["replay"]["failed"] == {}
    assert Ledger.from_dict(data) == ledger


@pytest.mark.parametrize("data", [None, [], {}, {"packets": {}}])
def test_a_forged_ledger_is_refused(data: object) -> None:
    """Anything else is a ValueError of one line."""
    with pytest.raises(ValueError, match=r"^ledger[^\n]*$"):
        Ledger.from_dict(data)


def test_merging(ledger: Ledger) -> None:
    """Two balanced ledgers merge into a balanced one; merging none is the empty ledger."""
    both = merge(ledger, ledger)
    assert imbalances(both) == []
    assert both.pairs.compared == 180
    assert both.replay.shed == {"queue_full": 10}
    assert merge_all([ledger, ledger]) == both
    assert merge_all([]) == Ledger()


def test_the_larger_of_both_losses_counts(user_ledger: Ledger) -> None:
    """A ring-full start and the gap it leaves are one loss, not two."""
    assert user_ledger.requests.lost == 1
    for starts, lost in ((0, 1), (1, 1), (5, 5)):
        whole = user_ledger.with_kernel(Packets(), in_ring=0, lost_starts=starts)
        assert whole.requests.lost == lost


def test_the_kernels_side_is_filled_in(user_ledger: Ledger) -> None:
    """Copied comes from the kernel; a dead worker's records stand beside the undecodable."""
    whole = user_ledger.with_kernel(
        Packets(seen=310, copied=310), in_ring=4, lost_starts=0, worker_died=5
    )
    assert whole.records == Records(
        copied=310, read=300, in_ring=4, lost={"undecodable": 1, "worker_died": 5}
    )
    assert imbalances(whole) == []


def test_coverage(ledger: Ledger) -> None:
    """90 compared of 90 + 2 gaps + 2 lost + 5 shed + 1 uncomparable; refused ones are outside."""
    assert wanted(ledger) == 100
    assert coverage(ledger) == 0.9
    assert coverage(Ledger()) is None


@pytest.mark.parametrize(
    "missed",
    [
        Ledger(requests=Requests(gap=1)),
        Ledger(requests=Requests(oversize=1)),
        Ledger(requests=Requests(evicted=1)),
        Ledger(requests=Requests(lost=1)),
        Ledger(replay=Replay(shed={"age": 1})),
        Ledger(replay=Replay(failed={"bind": 1})),
        Ledger(pairs=Pairs(uncomparable={"drained": 1})),
    ],
)
def test_every_loss_lowers_coverage(missed: Ledger) -> None:
    """One of each kind beside one compared pair is one half, and is listed as a loss."""
    both = merge(missed, Ledger(pairs=Pairs(compared=1)))
    assert coverage(both) == 0.5
    assert list(losses(both).values()) == [1]


@pytest.mark.parametrize(
    "outside",
    [
        Ledger(requests=Requests(malformed=1)),
        Ledger(requests=Requests(aborted=1)),
        Ledger(requests=Requests(open=1)),
        Ledger(replay=Replay(refused={"method": 1})),
        Ledger(replay=Replay(queued=1)),
        Ledger(pairs=Pairs(open=1)),
    ],
)
def test_what_is_not_ours_leaves_coverage_alone(outside: Ledger) -> None:
    """Open, queued, refused, malformed and aborted are outside."""
    assert coverage(merge(outside, Ledger(pairs=Pairs(compared=1)))) == 1.0
    assert losses(outside) == {}


def test_reach(ledger: Ledger) -> None:
    """Eligible pairs over heads and lost; nothing to divide by is None."""
    assert reach(ledger, 59) == 0.5
    assert reach(Ledger(), 0) is None


def test_blind() -> None:
    """Payload without a request says nothing; an idle service is not blind."""
    assert blind(Ledger(packets=Packets(copied=1)))
    assert blind(Ledger(packets=Packets(ring_full=1)))
    assert not blind(Ledger())
    assert not blind(Ledger(packets=Packets(copied=1), requests=Requests(started=1)))


def test_losses_and_left_out_are_named(ledger: Ledger) -> None:
    """Full names, none twice, and each can say what it means."""
    assert losses(ledger) == {
        "requests.gap": 2,
        "requests.lost": 2,
        "replay.shed.queue_full": 5,
        "pairs.uncomparable.production_unanswered": 1,
    }
    assert left_out(ledger) == {
        "packets.unsupported.fragment": 7,
        "packets.ring_full": 2,
        "records.lost.undecodable": 1,
        "segments.unaligned": 5,
        "segments.not_http.tls": 10,
        "exchanges.unanswered.client_aborted": 1,
        "replay.refused.method": 20,
    }
    assert sum(losses(ledger).values()) == wanted(ledger) - ledger.pairs.compared
    assert meaning("replay.shed.queue_full") == "too many requests wait on one shadow connection"
    assert meaning("requests.gap") == "bytes in the middle were lost"


def test_what_is_left_over_after_a_drain() -> None:
    """A ledger may balance and still hold something."""
    ledger = Ledger(replay=Replay(heads=3, replayed=1, queued=2), pairs=Pairs(replayed=1, open=1))
    assert left_over(ledger) == [
        "replay.queued is 2 after the drain",
        "pairs.open is 1 after the drain",
    ]
    assert left_over(Ledger()) == []
