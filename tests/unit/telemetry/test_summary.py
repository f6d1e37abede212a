"""The JSON object a run ends with keeps its contract."""

from __future__ import annotations

import orjson
import pytest

from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.run import BpfCost, Cost, Interruption, ProcessCost, Run
from shadow_agent.telemetry.snapshot import Snapshot
from shadow_agent.telemetry.summary import differences, render_summary, statuses, summary_json

CONTRACT = {
    "version",
    "target",
    "duration_s",
    "ledger",
    "coverage",
    "latency_us",
    "last_byte_us",
    "status",
    "reach",
    "endpoints",
}


def test_the_contract(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """Every key the design promises is there with the right value, through JSON."""
    made = summary_json(
        run,
        ledger,
        snapshot,
        duration_s=12.3456,
        interruptions=[Interruption("eth0", 1.0, 3.0, 2.0)],
        alerts=["an alert"],
        cost=Cost(cpu_s=0.0036, max_rss_bytes=2**20),
    )
    data = orjson.loads(orjson.dumps(made))
    assert set(data) >= CONTRACT
    assert data["duration_s"] == 12.346
    assert data["ledger"] == ledger.as_dict()
    assert data["imbalances"] == []
    assert data["coverage"] == 0.9
    assert data["reach"] == pytest.approx(90 / 118)
    assert data["different"] == 10
    assert data["latency_us"]["production"] == pytest.approx(
        {"p50": 400, "p95": 400, "p99": 400}, rel=0.01
    )
    assert data["last_byte_us"]["shadow"]["p99"] == pytest.approx(1000, rel=0.01)
    assert data["status"] == {
        "matched": 83,
        "mismatched": 7,
        "by_pair": {"200→200": 83, "200→500": 4, "200→timeout_first_byte": 3},
    }
    assert data["bodies"] == {"matched": 80, "mismatched": 3, "unknown": 7}
    assert data["outcomes"] == {"answered": 87, "timeout_first_byte": 3}
    assert data["interruptions"] == [{"iface": "eth0", "from": 1.0, "to": 3.0, "seconds": 2.0}]
    assert data["alerts"] == ["an alert"]
    assert data["builds"] == {"production": "v1", "shadow": "v2"}
    assert data["attached"] == {"eth0": "tcx"}
    assert data["agent"] == {
        "cpu_s": 0.004,
        "max_rss_bytes": 2**20,
        "cpu_us_per_compared": 40.0,
        "processes": [],
        "bpf": None,
        "budget": None,
    }
    assert data["governor"] is data["load"] is None


def test_what_the_agent_cost(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """By process, and the tap per packet: what was measured, and what that makes of all packets."""
    cost = Cost(
        1.0,
        3 << 20,
        (ProcessCost("shadow-worker0", 7, 0.25, 1 << 20),),
        BpfCost(run_time_ns=50_000, packets=100),
    )
    agent = summary_json(run, ledger, snapshot, duration_s=1.0, cost=cost, cage={"by": "rlimit"})[
        "agent"
    ]
    assert agent["processes"] == [
        {"name": "shadow-worker0", "pid": 7, "cpu_s": 0.25, "memory_bytes": 1 << 20}
    ]
    assert agent["bpf"] == {
        "ns_per_packet": 500.0,
        "measured_packets": 100,
        "cpu_s_estimate": 0.001,  # of 1,000 packets seen, to the ms
    }
    assert agent["budget"] == {"by": "rlimit"}


def test_endpoints_come_worst_first(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """By mismatches of both kinds, then by pairs, with the keys of the design."""
    rows = summary_json(run, ledger, snapshot, duration_s=1.0)["endpoints"]
    assert [row["path"] for row in rows][:2] == ["/b", "/\x1b[31m[bold]x[/bold]\r\n\x9b2J"]
    assert rows[-1]["path"] == "/a"
    assert set(rows[0]) == {
        "method",
        "path",
        "pairs",
        "status_mismatches",
        "body_mismatches",
        "latency_us",
    }
    assert rows[0]["latency_us"]["shadow"] == {"p50": None, "p95": None, "p99": None}


def test_nothing_seen_is_null_not_zero(run: Run) -> None:
    """Without traffic every share and latency is null."""
    data = orjson.loads(orjson.dumps(summary_json(run, Ledger(), Snapshot(), duration_s=0.0)))
    assert data["coverage"] is data["reach"] is data["agent"] is data["network_rtt_us"] is None
    assert data["latency_us"]["shadow"] == {"p50": None, "p95": None, "p99": None}
    assert data["status"] == {"matched": 0, "mismatched": 0, "by_pair": {}}


def test_cost_without_comparisons(run: Run) -> None:
    """Nothing compared has no cost per comparison."""
    made = summary_json(run, Ledger(), Snapshot(), duration_s=1.0, cost=Cost(1.0, 1))
    assert made["agent"]["cpu_us_per_compared"] is None


def test_differences_come_commonest_first() -> None:
    """Fifty of them, and the sum of the rest."""
    found = differences({f"body $.m{n} value": n + 1 for n in range(60)} | {"other": 5})
    assert next(iter(found)) == "body $.m59 value"
    assert (len(found), found["other"]) == (51, 5 + sum(range(1, 11)))
    assert differences({}) == {}


def test_statuses_beyond_the_table_are_mismatches() -> None:
    """What the row "other" holds are differing pairs only."""
    assert statuses({"other": 5, "200→200": 1, "404→404": 2}) == {
        "matched": 3,
        "mismatched": 5,
        "by_pair": {"other": 5, "404→404": 2, "200→200": 1},
    }


def test_the_renderer_is_here_too() -> None:
    """Programs and people are served from one module."""
    assert callable(render_summary)
