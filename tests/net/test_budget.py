"""Budgets over several workers, counted at the shadow; nothing here asks how fast anything is."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from shadow_agent.telemetry.remarks import remarks
from tests.net.agent import PATIENCE_S, PORT, Ledger, accounted, at
from tests.net.faults import QUICK, attach_with, drive, repeated, wait_ledger, wait_settled
from tests.testbed import Testbed, eventually, nginx, pyserver, traffic
from tests.testbed.asks import Ask

FOUR = ("--workers", "4")
ITEMS = [Ask("GET", "/api/items/{n}")]


@pytest.fixture(autouse=True)
def production(bed: Testbed) -> None:
    """A healthy production."""
    nginx.start(bed.service)


def budget(**keys: float) -> dict[str, dict[str, Any]]:
    """Tables of a configuration that has this budget."""
    return {"budget": {name.replace("_", "-"): value for name, value in keys.items()}}


def said(summary: dict[str, Any]) -> list[str]:
    """To people, beside the figures."""
    return [line.plain for line in remarks(summary)]


def test_a_rate_holds_over_all_workers(bed: Testbed) -> None:
    """At the shadow: never more than rate × time + burst, and as many as that allows."""
    rate, burst = 40.0, 5
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(
        bed, {}, *FOUR, sections=budget(requests_per_s=rate, burst=burst), home=None
    )
    sent = drive(bed, 600, rate=200, connections=16).sent
    wait_settled(agent, sent)
    ledger = agent.stop()["ledger"]
    stamps = sorted(one["ts"] / 1e9 for one in shadow.requests())
    assert ledger["replay"]["replayed"] == len(stamps)
    assert accounted(ledger) == sent
    assert ledger["replay"]["refused"].keys() <= {"rate", "budget_busy"}
    assert ledger["replay"]["shed"] == ledger["replay"]["failed"] == {}
    whole = stamps[-1] - stamps[0]
    # a request on its way to the shadow may catch up with the one before it
    assert 1 < len(stamps) <= rate * (whole + 0.5) + burst
    assert len(stamps) >= 0.5 * rate * whole


def test_no_more_under_way_than_allowed(bed: Testbed) -> None:
    """Over all workers; what is over is refused by that name, in the ledger and at the shadow."""
    shadow = pyserver.start(bed.shadow, "hang")
    agent = attach_with(
        bed, QUICK, *FOUR, sections={**budget(concurrent=3), "breaker": {"enabled": False}}
    )
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, requests=200, connections=32
    )
    most = 0

    def ended() -> bool:
        nonlocal most
        shown = agent.ask("status")["budget"]["concurrent"]
        assert shown["of"] == 3
        most = max(most, shown["now"])
        return not running.process.running

    eventually(ended, 2 * PATIENCE_S, "traffic ends")
    result = running.result()
    wait_settled(agent, result.sent)
    summary = agent.stop()
    assert 0 < most <= 3
    assert summary["ledger"]["replay"]["refused"]["concurrent"] > 0
    assert summary["budget"]["concurrent"]["now"] == 0
    stamps = [one["ts"] for one in shadow.requests()]
    # each held its place until its deadline, 0.4 s after it came
    for start in stamps:
        assert sum(start <= stamp < start + 0.35e9 for stamp in stamps) <= 3


def test_the_places_of_the_dead_come_free(bed: Testbed) -> None:
    """A worker that is killed with all places taken at a hanging shadow takes none with it."""
    shadow = pyserver.start(bed.shadow, "hang")
    slow = {**QUICK, "first-byte-timeout-s": 60, "whole-timeout-s": 60}
    agent = attach_with(
        bed, slow, "--workers", "2",
        sections={**budget(concurrent=3), "breaker": {"enabled": False}},
    )  # fmt: skip
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, duration=120, connections=32
    )

    def taken() -> int:
        now: int = agent.ask("status")["budget"]["concurrent"]["now"]
        assert now <= 3
        return now

    for asked in (3, 6, 9):
        eventually(lambda: len(shadow.requests()) >= asked, PATIENCE_S, "asked")  # noqa: B023
        eventually(lambda: taken() == 3, PATIENCE_S, "all places are taken")
        assert len(shadow.requests()) == asked  # by three more: no more places had come free
        if asked < 9:
            for pid in agent.ask("status")["workers"]:
                os.kill(pid, signal.SIGKILL)
    result = running.stop()

    def named(one: Ledger) -> bool:
        return accounted(one) + at(one, "pairs.open") + at(one, "replay.queued") == result.sent

    ledger = wait_ledger(agent, named, "all named, open or behind one that is")
    assert at(ledger, "pairs.open") == 3
    assert repeated(shadow) == {}
    summary = agent.stop()
    assert summary["budget"]["concurrent"]["now"] == 0
    assert accounted(summary["ledger"]) == result.sent


def test_totals_survive_the_death_of_workers(bed: Testbed) -> None:
    """Two of four are killed: not one request more at the shadow, and the run ends by itself."""
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(bed, {}, *FOUR, "--requests", "150", sections=budget(cost=1000))
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, requests=1000, connections=16
    )
    agent.wait_compared(20)
    for pid in agent.ask("status")["workers"][:2]:
        os.kill(pid, signal.SIGKILL)
    summary = agent.finish()
    running.stop()
    targets = [one["target"] for one in shadow.requests()]
    assert len(targets) <= 150
    assert repeated(shadow) == {}
    assert summary["budget"]["requests"] == {"spent": 150, "of": 150}
    assert at(summary["ledger"], "replay.replayed") <= 150
    assert summary["ended"] in {"150 requests replayed", "the budget of requests is spent"}


def test_requests_by_file(bed: Testbed) -> None:
    """``[budget] requests`` ends a run as the flag does, at exactly that many."""
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(bed, {}, *FOUR, sections=budget(requests=30))
    drive(bed, 100, connections=8)
    summary = agent.finish()
    assert len(shadow.requests()) == at(summary["ledger"], "replay.replayed") == 30
    assert summary["ledger"]["replay"]["refused"].keys() <= {"request_limit"}
    assert summary["ended"] == "30 requests replayed"


def test_wall_time_by_file(bed: Testbed) -> None:
    """``[budget] wall-s`` ends a run as ``--duration`` does."""
    pyserver.start(bed.shadow)
    agent = attach_with(bed, {}, sections=budget(wall_s=1))
    summary = agent.finish()
    assert summary["duration_s"] >= 1
    assert "The run ended: duration reached (1 s)" in said(summary)


def test_the_cost_of_requests(bed: Testbed) -> None:
    """Each costs 1 where no rule says more: so many are sent, and the rest has that name."""
    shadow = pyserver.start(bed.shadow)
    rule = {"name": "dear", "action": "replay", "path": "/dear/*", "cost": 2.5}
    agent = attach_with(bed, {}, *FOUR, sections={**budget(cost=25), "[rule]": rule})
    sent = drive(bed, 4, mix=[Ask("GET", "/dear/{n}")]).sent
    sent += drive(bed, 60, connections=8).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert len(shadow.requests()) == 4 + 15
    assert summary["ledger"]["replay"]["refused"] == {"cost": 45}
    assert summary["budget"]["cost"] == {"spent": 25.0, "of": 25.0}
    assert "the budget of cost is spent" in agent.process.errors()
    assert "The budget of cost is spent: 45 requests were refused" in said(summary)
