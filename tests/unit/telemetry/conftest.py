"""A run with every kind of difference and loss, small enough to reckon by hand."""

from __future__ import annotations

import pytest

from shadow_agent.telemetry.ledger import (
    Exchanges,
    Ledger,
    Packets,
    Pairs,
    Records,
    Replay,
    Requests,
    Segments,
)
from shadow_agent.telemetry.reasons import LatencyUnknown, Outcome
from shadow_agent.telemetry.run import Run
from shadow_agent.telemetry.snapshot import Snapshot
from shadow_agent.telemetry.tally import Tally

EVIL_PATH = b"/\x1b[31m[bold]x[/bold]\r\n\x9b2J?secret=1"


@pytest.fixture
def run() -> Run:
    """Names of a run."""
    return Run(
        version="0.1.0",
        target="eth0-8080",
        shadow="http://10.0.0.9:8080",
        run_id="r1",
        builds={"production": "v1", "shadow": "v2"},
        loader="libbpf",
        attached={"eth0": "tcx"},
    )


@pytest.fixture
def user_ledger() -> Ledger:
    """A worker's side: 90 compared of 100 wanted; 20 more refused by method."""
    return Ledger(
        records=Records(read=300, lost={"undecodable": 1}),
        segments=Segments(read=300, used=280, duplicate=5, unaligned=5, not_http={"tls": 10}),
        requests=Requests(started=118, complete=116, gap=2, heads=116, lost=1),
        exchanges=Exchanges(heads=116, answered=115, unanswered={"client_aborted": 1}),
        replay=Replay(heads=116, replayed=91, refused={"method": 20}, shed={"queue_full": 5}),
        pairs=Pairs(replayed=91, compared=90, uncomparable={"production_unanswered": 1}),
    )


@pytest.fixture
def ledger(user_ledger: Ledger) -> Ledger:
    """The same, completed with the kernel's side."""
    packets = Packets(
        seen=1000, own=100, no_payload=590, unsupported={"fragment": 7}, ring_full=2, copied=301
    )
    return user_ledger.with_kernel(packets, in_ring=0, lost_starts=2)


@pytest.fixture
def tally() -> Tally:
    """The 90 comparisons: 80 agree, 4 have another status, 3 another body, 3 time out."""
    tally = Tally()
    for n in range(80):
        tally.add(
            "GET",
            b"/a?n=%d" % n,
            200,
            200,
            bodies_equal=True,
            production_first_us=400.0,
            shadow_first_us=800.0,
            production_last_us=500.0,
            shadow_last_us=1000.0,
        )
    for _ in range(4):
        tally.add("GET", b"/b", 200, 500, bodies_equal=None, production_first_us=400.0)
    for _ in range(3):
        tally.add("GET", EVIL_PATH, 200, 200, bodies_equal=False)
    for _ in range(3):
        tally.add("GET", b"/c", 200, None, outcome=Outcome.TIMEOUT_FIRST_BYTE)
    tally.latency_unknown(LatencyUnknown.NO_SYN)
    tally.dispatch_lag.add(250.0)
    tally.round_trip(130)
    return tally


@pytest.fixture
def snapshot(tally: Tally, user_ledger: Ledger) -> Snapshot:
    """The tally and the worker's ledger."""
    return tally.snapshot(user_ledger)
