"""``status``, the summary and the metrics say the same of one run."""

from __future__ import annotations

import re
from typing import Any

from tests.net.agent import (
    COMMAND,
    GAUGES,
    IDENTITIES,
    PATIENCE_S,
    Home,
    accounted,
    attach,
    drained,
)
from tests.net.faults import drive, wait_ledger
from tests.testbed import Testbed, eventually, nginx
from tests.testbed.asks import Ask

METRICS = "127.0.0.1:9464"
MIX = [
    Ask("GET", "/api/items/{n}", weight=3),
    Ask("GET", "/api/price?n={n}", weight=2),
    Ask("GET", "/api/gone"),
    Ask("POST", "/api/orders", 500),
    Ask("HEAD", "/health"),
]
# What others on the wire may add to between two looks.
OTHERS = {("packets", "seen"), ("packets", "no_payload"), ("packets", "not_service")}
Figures = dict[tuple[str, ...], float]


def scraped(bed: Testbed) -> Figures:
    """Samples of the listener by name and labels but the target's, in their order."""
    text = bed.prod.run("curl", "-s", f"http://{METRICS}/metrics").stdout
    found: Figures = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            key, _, number = line.rpartition(" ")
            name, _, labels = key.partition("{")
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            pairs.pop("target", None)
            found[name.removeprefix("shadow_agent_"), *pairs.values()] = float(number)
    return found


def told(whole: dict[str, Any]) -> Figures:
    """The same of an object of ``status`` or of the summary; reasons that did not happen: none."""
    found: Figures = {
        ("pairs_different_total",): whole["different"],
        ("pairs_diverged_total",): whole["diverged"],
        ("coverage_ratio",): whole["coverage"],
        ("reach_ratio",): whole["reach"],
        ("alerts_total",): len(whole["alerts"]),
        ("audit_lost_total",): whole["audit_lost"],
    }
    for line, (left, parts) in IDENTITIES.items():
        for part in parts:
            value = whole["ledger"][line][part]
            if f"{line}.{part}" in GAUGES:
                found[f"{line}_{part}",] = value
            elif isinstance(value, dict):
                for reason, count in value.items():
                    found[f"{line}_total", reason, part] = count
            elif (line, part) not in OTHERS:
                found[f"{line}_total", "", part] = value
        if (line, left) not in OTHERS:
            found[f"{line}_{left}_total",] = whole["ledger"][line][left]
    for name, key in (("outcomes", "outcomes"), ("bodies", "bodies"), ("aliases", "aliases")):
        for label, count in whole[key].items():
            if label != "diverged_forgotten":
                found[f"{name}_total", label] = count
    for cause, count in whole["breaker"]["cause"].items():
        found["breaker_opened_total", cause] = count
    return found


def test_three_places_say_the_same(bed: Testbed) -> None:
    """Of builds that differ, with refusals, over two workers: each figure, and to the end."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v2")
    home = Home(bed)
    agent = attach(bed, "--workers", "2", "--metrics", METRICS, home=home)
    sent = drive(bed, 200, mix=MIX, connections=6).sent
    wait_ledger(agent, lambda one: drained(one) and accounted(one) == sent, "all named")
    status = agent.ask("status")
    figures = told(status)
    assert len(figures) > 40
    assert figures["replay_total", "method", "refused"] > 0
    assert figures["pairs_different_total",] > 0
    last: list[Figures] = [{}]

    def agree() -> bool:
        last[0] = scraped(bed)
        return all(last[0].get(key) == value for key, value in figures.items())

    try:
        eventually(agree, PATIENCE_S, "metrics as status")
    finally:
        differ = {key: (value, last[0].get(key)) for key, value in figures.items()}
        print({key: pair for key, pair in differ.items() if pair[0] != pair[1]})
    statuses = {key: n for key, n in last[0].items() if key[0] == "statuses_total"}
    assert sum(n for key, n in statuses.items() if "true" in key) == status["status"]["matched"]
    assert sum(statuses.values()) == status["ledger"]["pairs"]["compared"]
    shown = bed.prod.run(COMMAND, "status", "--runtime-dir", home.runtime, timeout=PATIENCE_S)
    assert f" {status['different']} " in shown.stdout
    summary = agent.stop()
    assert told(summary) == figures
    assert summary["status"] == status["status"]
    # rows are dear: they come every few seconds, and at the end
    rows = summary["endpoints"]
    assert sum(row["pairs"] for row in rows) == summary["ledger"]["pairs"]["compared"]
    assert sum(row["status_mismatches"] for row in rows) == summary["status"]["mismatched"]
    assert sum(row["body_mismatches"] for row in rows) == summary["bodies"]["mismatched"]
