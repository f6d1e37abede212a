"""The breaker against real shadows: it tells overloaded from wrong, and finds its way back."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

from shadow_agent.telemetry.remarks import remarks
from tests.net.agent import PATIENCE_S, PORT, Agent, accounted, at, total
from tests.net.faults import (
    ITEMS,
    QUICK,
    attach_with,
    drive,
    repeated,
    untouched,
    wait_settled,
    workers,
)
from tests.testbed import Testbed, eventually, nginx, pyserver, tools, traffic

# A breaker that concludes soon and tries again soon.
TABLES: dict[str, dict[str, Any]] = {
    "breaker": {"min-requests": 10, "pause-s": 0.25, "longest-pause-s": 0.5}
}


@pytest.fixture(autouse=True)
def production(bed: Testbed) -> None:
    """A healthy production."""
    nginx.start(bed.service)


def breaker(agent: Agent) -> dict[str, Any]:
    """What status says of it."""
    shown: dict[str, Any] = agent.ask("status")["breaker"]
    return shown


def test_a_shadow_that_is_away_is_left_alone(bed: Testbed) -> None:
    """Open by that cause, shed by name, closed again by probes once it is back."""
    agent = attach_with(bed, QUICK, sections=TABLES)
    sent = drive(bed, 60, connections=8).sent
    eventually(lambda: breaker(agent)["opened"] == 1, PATIENCE_S, "it opened")
    shown = breaker(agent)
    assert shown["cause"] == {"unreachable": 1}
    assert shown["state"] in {"open", "half_open"}
    table = agent.home.command("status").stdout
    assert "breaker " in table
    assert "unreachable" in table
    pyserver.start(bed.shadow)
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=50, duration=60, connections=4
    )
    eventually(lambda: breaker(agent)["state"] == "closed", PATIENCE_S, "it closed")
    healed = at(agent.ledger(), "pairs.compared")
    agent.wait_compared(healed + 50)
    result = running.stop()
    wait_settled(agent, sent + result.sent)
    summary = agent.stop()
    assert untouched(result)
    ledger = summary["ledger"]
    assert ledger["replay"]["shed"].keys() == {"breaker"}
    assert ledger["replay"]["failed"] == {}
    assert accounted(ledger) == sent + result.sent
    assert summary["coverage"] < 1
    assert summary["breaker"]["opened"] == 1
    assert summary["breaker"]["open_s"] > 0
    assert "The breaker opened" not in agent.process.output()  # that is JSON


def test_a_shadow_that_stays_away(bed: Testbed) -> None:
    """The summary says that it was left alone to the end, for programs and for people."""
    agent = attach_with(bed, QUICK, sections=TABLES)
    sent = drive(bed, 60, connections=8).sent
    eventually(lambda: breaker(agent)["opened"] == 1, PATIENCE_S, "it opened")
    wait_settled(agent, sent)
    summary = agent.stop()
    assert summary["ended"] == "SIGTERM"
    assert summary["breaker"]["state"] != "closed"
    (line,) = (one.plain for one in remarks(summary) if "breaker" in one.plain)
    assert re.search(r"; it was (open|half-open) at last\.$", line)


@pytest.mark.parametrize(
    ("mode", "options", "cause"),
    [
        ("hang", {}, "timeout"),
        ("busy", {"ms": 200, "every": 1}, "busy"),
        ("slow", {"ms": 300}, "shed"),
    ],
)
def test_overload_opens_it(bed: Testbed, mode: str, options: dict[str, Any], cause: str) -> None:
    """By what shows it; production is untouched, and what was held back has its name."""
    pyserver.start(bed.shadow, mode, **options)
    limits = {**QUICK, "max-queue": 64} if mode == "hang" else QUICK
    agent = attach_with(bed, limits, sections=TABLES)
    sent = drive(bed, 200, rate=100, connections=8).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert cause in summary["breaker"]["cause"]
    assert summary["ledger"]["replay"]["shed"]["breaker"] > 0
    assert summary["ledger"]["replay"]["failed"] == {}
    assert accounted(summary["ledger"]) == sent


@pytest.mark.parametrize("mode", ["garbage", "reset", "close", "too-short", "status"])
def test_what_is_wrong_does_not(bed: Testbed, mode: str) -> None:
    """Not one request is held back from a shadow that answers wrongly: that is the finding."""
    if mode == "status":
        answers = {f"/api/items/{number}": "500:no" for number in range(100)}
        pyserver.start(bed.shadow, answers=answers)
    else:
        pyserver.start(bed.shadow, mode)
    # the shipped deadlines: on a busy machine an honest answer may take longer than QUICK's
    agent = attach_with(bed, {}, sections=TABLES)
    sent = drive(bed, 100, rate=50, connections=4).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert summary["breaker"] == {
        "state": "closed", "open_workers": 0, "opened": 0, "open_s": 0.0, "cause": {},
    }  # fmt: skip
    assert summary["ledger"]["replay"]["shed"] == {}
    assert summary["different"] == at(summary["ledger"], "pairs.compared") == sent


def test_connections_are_closed_when_it_opens(bed: Testbed) -> None:
    """A shadow that has too much to do is not made to hold idle connections too."""
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(bed, QUICK, sections={"breaker": {**TABLES["breaker"], "pause-s": 0.5}})
    url = bed.service.url(PORT)
    running = traffic.start(bed.client, url, ITEMS, rate=40, duration=60, connections=8)
    agent.wait_compared(40)
    bed.shadow.run("nft", "add table inet fault;"
                   "add chain inet fault entry { type filter hook input priority 0; };"
                   f"add rule inet fault entry tcp dport {PORT} drop")  # fmt: skip
    try:
        eventually(lambda: breaker(agent)["opened"] > 0, PATIENCE_S, "it opened")

        def idle() -> bool:
            shown = bed.prod.run("ss", "-Htn", "dst", f"{bed.shadow.v4}:{PORT}").stdout
            return len(shown.splitlines()) <= 1  # a probe

        eventually(idle, PATIENCE_S, "no connection but a probe's")
    finally:
        bed.shadow.run("nft", "flush", "ruleset")
    eventually(lambda: breaker(agent)["state"] == "closed", PATIENCE_S, "it closed")
    result = running.stop()
    wait_settled(agent, result.sent)
    summary = agent.stop()
    assert untouched(result)
    assert summary["ledger"]["replay"]["failed"] == {}
    assert total(summary["outcomes"]) == at(summary["ledger"], "pairs.compared")
    assert shadow.requests()


def test_it_can_be_switched_off(bed: Testbed) -> None:
    """Then every request meets the shadow, or the limits that there are beside it."""
    agent = attach_with(bed, QUICK)
    sent = drive(bed, 60, connections=8).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert summary["outcomes"] == {"refused": 60}
    assert summary["breaker"]["opened"] == 0


def test_metrics_show_it(bed: Testbed) -> None:
    """State and causes, for alerts."""
    address = "127.0.0.1:9464"
    agent = attach_with(bed, QUICK, "--metrics", address, sections=TABLES)
    drive(bed, 60, connections=8)
    eventually(lambda: breaker(agent)["opened"] == 1, PATIENCE_S, "it opened")

    def shown() -> str:
        return tools.curl(bed.prod, f"http://{address}/metrics").body.decode()

    wanted = 'shadow_agent_breaker_opened_total{cause="unreachable"'
    eventually(
        lambda: any(line.startswith(wanted) and line.endswith(" 1.0")
                    for line in shown().splitlines()),
        PATIENCE_S, "the metric",
    )  # fmt: skip
    assert "shadow_agent_breaker_workers{" in shown()
    agent.stop()


def test_a_shadow_that_flaps(bed: Testbed) -> None:
    """It hangs and is well again each second: opened again and again, and nothing is left behind.

    Not with a worker killed in between, nor with places that are short: all have a name.
    """
    shadow = pyserver.start(bed.shadow, "flap", ms=1000)
    limits = {**QUICK, "first-byte-timeout-s": 0.2, "idle-close-s": 0.5}
    quick = {**TABLES["breaker"], "window-s": 0.5, "min-requests": 5}
    sections: dict[str, dict[str, Any]] = {"breaker": quick, "budget": {"concurrent": 6}}
    agent = attach_with(bed, limits, "--workers", "2", sections=sections)
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, duration=120, connections=12
    )
    eventually(lambda: breaker(agent)["opened"] >= 3, PATIENCE_S, "opened", agent.pid)
    first, _ = agent.ask("status")["workers"]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len({*workers(agent)} - {first}) == 2, PATIENCE_S, "another worker")
    seen = at(agent.ledger(), "pairs.compared")
    again = breaker(agent)["opened"] + 3
    eventually(lambda: breaker(agent)["opened"] >= again, PATIENCE_S, "opened", agent.pid)
    agent.wait_compared(seen + 20)
    result = running.stop()
    assert untouched(result)
    wait_settled(agent, result.sent)

    def empty() -> bool:
        held = bed.prod.run("ss", "-Htn", "dst", f"{bed.shadow.v4}:{PORT}").stdout
        return held == "" and agent.ask("status")["budget"]["concurrent"]["now"] == 0

    eventually(empty, PATIENCE_S, "no place and no connection is held")
    summary = agent.stop()
    ledger = summary["ledger"]
    assert accounted(ledger) == result.sent
    assert ledger["replay"]["shed"]["breaker"] > 0
    assert ledger["replay"]["failed"].keys() <= {"worker_died"}
    assert ledger["replay"]["refused"].keys() <= {"concurrent", "budget_busy"}
    assert summary["breaker"]["cause"].keys() <= {"timeout", "shed", "behind"}
    assert repeated(shadow) == {}
