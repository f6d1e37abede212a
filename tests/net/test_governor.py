"""The agent's care for its host: it looks away when a limit is exceeded, and says so everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.net.agent import PATIENCE_S, PORT, Agent, Home, at, attach, status_field
from tests.net.faults import ITEMS, untouched, workers
from tests.testbed import Testbed, eventually, pyserver, tools, traffic

METRICS = "127.0.0.1:9465"


def governed(bed: Testbed, text: str, *more: str) -> Agent:
    """Attach with this below ``[governor]``."""
    home = Home(bed)
    home.path.mkdir()
    config = home.path / "governor.toml"
    config.write_text(f"[governor]\n{text}\n")
    return attach(bed, "--config", str(config), *more, home=home)


def use(bed: Testbed, requests: int) -> None:
    """Some requests, each answered and each on a connection of its own."""
    for _ in range(requests):
        assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200


def run_record(agent: Agent) -> dict[str, Any]:
    """What the run's folder says before there is a summary."""
    (path,) = agent.home.data.rglob("run.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_it_looks_away_and_says_so(served: Testbed) -> None:
    """Over a limit nothing is mirrored, production goes on, and every place tells when and why."""
    agent = governed(served, "host-cpu = 0.0001", "--metrics", METRICS)
    url = served.service.url(PORT)
    running = traffic.start(served.client, url, ITEMS, rate=100, duration=120, connections=8)
    eventually(
        lambda: agent.ask("status")["governor"]["factor"] == 0, PATIENCE_S, "looked away", agent.pid
    )
    status = agent.ask("status")
    assert status["sample"] == 0
    assert status["governor"]["cause"] == "host_cpu"
    assert status["governor"]["ceiling"] == 1.0
    # from here on production's packets are counted and not copied
    before = agent.ledger()["packets"]
    eventually(
        lambda: agent.ledger()["packets"]["sampled_out"] >= before["sampled_out"] + 200,
        PATIENCE_S,
        "sampled out",
        agent.pid,
    )
    # the same load was copied first and then was not
    eventually(
        lambda: any(row["share"] < 0.9 for row in agent.ask("status")["load"]["buckets"]),
        PATIENCE_S,
        "its load",
        agent.pid,
    )
    said = tools.curl(served.prod, f"http://{METRICS}/metrics").body.decode()
    assert 'shadow_agent_sample_factor{target="eth0-8080"} 0.0' in said
    assert 'shadow_agent_governor_cause{cause="host_cpu",target="eth0-8080"} 1.0' in said
    # a new ceiling is no way around the governor
    assert agent.ask("sample", fraction=0.5)["effective"] == 0
    record = run_record(agent)["governor"]
    assert record["changes"][0]["cause"] == "host_cpu"
    result = running.stop()
    assert untouched(result)
    assert "governor: host_cpu at " in agent.process.errors()
    summary = agent.stop()
    found = summary["governor"]
    assert (found["factor"], found["min_factor"]) == (0.0, 0.0)
    assert found["lowered_s"] > 0
    assert found["sampled_out_estimate"] > 0
    assert found["sampled_out_estimate"] <= at(summary["ledger"], "packets.sampled_out")
    assert 0 < at(summary["ledger"], "pairs.compared") < result.sent
    assert found["changes"][0]["cause"] == "host_cpu"
    assert summary["load"]["unit"] == "requests/s"
    assert summary["audit_lost"] == 0
    lines = (agent.home.data / "audit.log").read_text().splitlines()
    entries = [one for one in map(json.loads, lines) if one["what"] == "governor"]
    assert len(entries) == 1  # its steps are in the records
    assert entries[0]["about"]["why"].startswith("host_cpu at ")
    assert summary["load"]["production"] is not None


def test_the_operators_share_is_the_ceiling(served: Testbed) -> None:
    """A factor below 1 is on top of what ``ctl sample`` says, and never above it."""
    agent = governed(served, "host-cpu = 0.0001\nfloor = 0.5")
    eventually(
        lambda: agent.ask("status")["governor"]["factor"] == 0.5, PATIENCE_S, "lowered", agent.pid
    )
    answer = agent.ask("sample", fraction=0.5)
    assert (answer["sample"], answer["effective"]) == (0.5, 0.25)
    assert agent.ask("status")["sample"] == pytest.approx(0.25)
    assert agent.stop()["governor"]["ceiling"] == 0.5


def test_what_it_costs_is_told_live(served: Testbed) -> None:
    """Processor time and memory by process, and the tap's time for each packet."""
    agent = governed(served, "enabled = false", "--metrics", METRICS)

    def measured() -> bool:
        use(served, 20)
        return bool(agent.ask("status")["agent"]["bpf"]["measured_packets"] >= 10)

    eventually(measured, PATIENCE_S, "packets timed", agent.pid)
    cost = agent.ask("status")["agent"]
    names = {process["name"] for process in cost["processes"]}
    assert {"shadow-worker0", "shadow-metrics"} <= names
    assert all(process["memory_bytes"] > 1 << 20 for process in cost["processes"])
    # a copied packet takes some 500 ns; on a busy machine more
    assert 20 < cost["bpf"]["ns_per_packet"] < 1e6
    eventually(
        lambda: (
            b"shadow_agent_bpf_per_packet_seconds{"
            in tools.curl(served.prod, f"http://{METRICS}/metrics").body
        ),
        PATIENCE_S,
        "the metric",
    )
    assert agent.stop()["agent"]["bpf"]["measured_packets"] >= 10


def test_workers_are_the_first_to_go(served: Testbed) -> None:
    """Where the host runs out of memory, the kernel takes a worker before production."""
    agent = governed(served, "enabled = false")
    (worker,) = workers(agent)
    assert Path(f"/proc/{worker}/oom_score_adj").read_text().strip() == "1000"
    agent.stop()


def test_a_memory_budget_bounds_a_worker(served: Testbed) -> None:
    """By the kernel, in a control group or by rlimit; the summary says by which."""
    agent = governed(served, 'enabled = false\nmemory = "512M"')
    (worker,) = workers(agent)
    budget = agent.ask("status")["agent"]["budget"]
    assert budget["memory_bytes"] == 512 << 20
    if budget["by"] == "rlimit":
        limits = Path(f"/proc/{worker}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max data size"))
        assert int(line.split()[3]) < 512 << 20
        assert "no control group: " in agent.process.errors()
    else:
        group = Path(f"/proc/{worker}/cgroup").read_text()
        assert "shadow-agent-" in group
    assert status_field(worker, "CapEff") == "0" * 16
    agent.stop()


def test_a_worker_that_uses_up_its_memory(bed: Testbed) -> None:
    """It is ended and replaced under a name of its own; production never notices."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow, "deaf")
    home = Home(bed)
    home.path.mkdir()
    config = home.path / "tight.toml"
    # an operator's mistake: a backlog that is larger than the memory it has to fit into
    config.write_text(
        '[governor]\nenabled = false\nmemory = "192M"\n[limits]\nmax-backlog-bytes = 1073741824\n'
        "ring-bytes = 16777216\nfirst-byte-timeout-s = 60\nwhole-timeout-s = 60\n"
    )
    agent = attach(bed, "--config", str(config), "--methods", "all", "--unguarded", home=home)
    (first,) = workers(agent)
    body = bed.directory / "upload"
    with body.open("wb") as out:
        out.truncate(240_000_000)
    upload = ("-T", str(body), "--limit-rate", "50M", "-H", "Expect:")

    def replaced() -> bool:
        answer = tools.curl(bed.client, bed.service.url(PORT, "/up"), *upload, timeout=30)
        assert answer.status == 200
        return workers(agent) not in ([], [first])

    eventually(replaced, 2 * PATIENCE_S, "another worker", agent.pid)
    assert agent.ask("status")["agent"]["budget"]["memory_deaths"] >= 1
    assert "its memory budget) with" in agent.process.errors()
    summary = agent.stop()
    assert at(summary["ledger"], "pairs.uncomparable") + at(summary["ledger"], "requests.lost") > 0


def test_a_slow_production_is_left_alone(bed: Testbed) -> None:
    """Whyever it answers slowly, less is mirrored at once; all of it again when it is well."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    others_off = "host-cpu = 1\nhost-memory = 0\nmemory-pressure = 1\ncpu = 64"
    watched = "p95-ms = 150\np95-times = 0\np95-answers = 20\nhold-s = 1\nfloor = 0.8"
    agent = governed(bed, f"{others_off}\n{watched}")

    def drive_until(target: str, factor: float) -> None:
        """Production answers this target until the governor has come to that factor."""
        running = traffic.start(
            bed.client, bed.service.url(PORT, target), rate=100, duration=120, connections=64
        )
        before = at(agent.ledger(), "pairs.compared")
        eventually(
            lambda: (
                agent.ask("status")["governor"]["factor"] == factor
                and at(agent.ledger(), "pairs.compared") > before + 40
            ),
            PATIENCE_S,
            f"a factor of {factor}",
            agent.pid,
        )
        assert untouched(running.stop())

    drive_until("/health", 1.0)
    drive_until("/sleep/400", 0.8)
    drive_until("/health", 1.0)
    found = agent.stop()["governor"]
    assert (found["factor"], found["min_factor"], found["cause"]) == (1.0, 0.8, "none")
    first, *others = found["changes"]
    assert (first["cause"], first["limit"]) == ("production_p95", 150_000)
    assert first["value"] > 300_000
    assert {one["cause"] for one in others} <= {"recovering", "production_p95"}
    assert others[-1]["to"] == 1.0
    assert "governor: production_p95 at " in agent.process.errors()
