"""The tally counts every comparison once in each of its dimensions, within bounds."""

from __future__ import annotations

import pytest

from shadow_agent.compare.difference import Difference, Kind, Part, Result
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.reasons import LatencyUnknown, Outcome
from shadow_agent.telemetry.snapshot import (
    MAX_DIFFERENCES,
    OTHER_DIFFERENCES,
    OTHER_STATUSES,
    decode,
    encode,
    merge,
)
from shadow_agent.telemetry.tally import MAX_DIFFERING_PAIRS, Tally


def test_the_sample_is_counted(tally: Tally) -> None:
    """90 pairs appear as 90 in statuses, bodies, outcomes, endpoints; 10 differ."""
    snapshot = tally.snapshot(Ledger())
    assert snapshot.status_pairs == {
        "200→200": 83,
        "200→500": 4,
        "200→timeout_first_byte": 3,
    }
    assert snapshot.body == {"matched": 80, "mismatched": 3, "unknown": 7}
    assert snapshot.outcomes == {"answered": 87, "timeout_first_byte": 3}
    assert sum(row.pairs for row in snapshot.endpoints) == 90
    assert (snapshot.different, snapshot.eligible) == (10, 90)
    assert snapshot.production_first.count == 84
    assert snapshot.shadow_first.count == snapshot.shadow_last.count == 80
    assert snapshot.latency_unknown == {"no_syn": 1}
    assert snapshot.network_rtt_us == 130


@pytest.mark.parametrize(
    ("shadow_status", "outcome", "bodies_equal", "differs"),
    [
        (200, Outcome.ANSWERED, True, False),
        (200, Outcome.ANSWERED, None, False),
        (200, Outcome.ANSWERED, False, True),
        (201, Outcome.ANSWERED, True, True),
        (200, Outcome.TIMEOUT_WHOLE, None, True),
        (None, Outcome.REFUSED, None, True),
    ],
)
def test_what_differs(
    *, shadow_status: int | None, outcome: Outcome, bodies_equal: bool | None, differs: bool
) -> None:
    """Status, body or a bad outcome makes a pair differ; an unknown body alone does not."""
    tally = Tally()
    found = tally.add("GET", b"/", 200, shadow_status, outcome=outcome, bodies_equal=bodies_equal)
    assert found is differs
    assert tally.snapshot(Ledger()).different == int(differs)


def test_ineligible_pairs_lower_reach_only() -> None:
    """A pair that may not count in a verdict is compared and counted all the same."""
    tally = Tally()
    tally.add("GET", b"/", 200, 200, eligible=False)
    snapshot = tally.snapshot(Ledger())
    assert (snapshot.eligible, snapshot.status_pairs) == (0, {"200→200": 1})


def test_statuses_stay_bounded() -> None:
    """A shadow that answers every status there is fills the table and then "other"."""
    tally = Tally()
    for production in (200, 301, 404):
        for shadow in range(100, 1000):
            tally.add("GET", b"/", production, shadow)
    tally.add("GET", b"/", 500, 500)
    pairs = tally.snapshot(Ledger()).status_pairs
    assert sum(pairs.values()) == 2701
    assert pairs[OTHER_STATUSES] == 3 * 899 - MAX_DIFFERING_PAIRS
    assert pairs["404→404"] == pairs["500→500"] == 1
    assert decode(encode(tally.snapshot(Ledger()))).status_pairs == pairs


def test_the_smallest_round_trip_is_kept() -> None:
    """Whatever the order."""
    tally = Tally()
    for us in (200, 100, 300):
        tally.round_trip(us)
    assert tally.network_rtt_us == 100


def test_unknown_latency_is_counted_by_reason() -> None:
    """Each side of each pair may be unknown for a reason of its own."""
    tally = Tally()
    tally.latency_unknown(LatencyUnknown.NO_SYN)
    tally.latency_unknown(LatencyUnknown.RETRANSMITTED)
    tally.latency_unknown(LatencyUnknown.NO_SYN)
    assert tally.snapshot(Ledger()).latency_unknown == {"no_syn": 2, "retransmitted": 1}


def _result(*names: str, suppressed: str = "") -> Result:
    return Result(
        tuple(
            Difference(Part.BODY, name, Kind.VALUE, name, "1", "2", suppressed) for name in names
        ),
        0,
        (),
    )


def test_pairs_are_counted_by_what_differs_in_them() -> None:
    """What does not count stands apart, with its reason; the supervisor reads both."""
    tally = Tally()
    tally.differ(_result("$.a", "$.b"))
    tally.differ(_result("$.a"))
    tally.differ(_result("$['€ 価格']"))
    tally.differ(_result("$.t", suppressed="volatile time"))
    tally.differ(None)
    read = decode(encode(tally.snapshot(Ledger())))
    assert read.differences == {
        "body $.a value": 2,
        "body $.b value": 1,
        "body $['€ 価格'] value": 1,
    }
    assert read.suppressed == {"body $.t value: volatile time": 1}


def test_names_of_differences_stay_bounded() -> None:
    """A body makes as many names as it likes; the rest is one, also when workers are added up."""
    tallies = [Tally(), Tally()]
    for number, tally in enumerate(tallies):
        for name in range(MAX_DIFFERENCES + 7):
            tally.differ(_result(f"$.m{number}x{name}"))
    snapshots = [decode(encode(tally.snapshot(Ledger()))) for tally in tallies]
    assert snapshots[0].differences[OTHER_DIFFERENCES] == 7
    whole = merge(snapshots)
    assert len(whole.differences) <= MAX_DIFFERENCES + 1
    assert sum(whole.differences.values()) == 2 * (MAX_DIFFERENCES + 7)
