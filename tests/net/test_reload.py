"""A changed configuration under a running agent, on real traffic."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.net.agent import PATIENCE_S, PORT, Home, at, attach
from tests.net.faults import wait_settled, workers
from tests.testbed import Testbed, eventually, tools

pytestmark = pytest.mark.net


class File:
    """A configuration file that changes."""

    def __init__(self, home: Home) -> None:
        home.path.mkdir()
        self.path: Path = home.path / "own.toml"

    def write(self, text: str) -> None:
        """All of it; the machine of the tests is busy with them."""
        self.path.write_text(f"{text}\n[governor]\nenabled = false\n", encoding="utf-8")


def use(bed: Testbed, path: str, requests: int = 3) -> None:
    """Some requests, each answered by production."""
    for _ in range(requests):
        assert tools.curl(bed.client, bed.service.url(PORT, path)).status == 200


def test_rules_change_under_way(served: Testbed) -> None:
    """From the next request on; nothing is lost, and it is on record who asked for it."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), home=home)
    use(served, "/health")
    agent.wait_compared(3)
    file.write('[[rule]]\nname = "no health"\naction = "drop"\npath = "/health"\n')
    shown = home.command("ctl", "reload")
    assert (shown.returncode, shown.stdout) == (0, "eth0-8080: applied rule\n")
    use(served, "/health")
    use(served, "/api/items")
    agent.wait_compared(6)
    summary = agent.stop()
    assert summary["ledger"]["replay"]["refused"] == {"rule": 3}
    (rule,) = summary["rules"]
    assert (rule["name"], rule["matched"]) == ("no health", 3)
    audit = [json.loads(line) for line in (home.data / "audit.log").read_text().splitlines()]
    assert any("ctl reload" in json.dumps(entry) for entry in audit)


def test_a_pipe_does_not_stop_the_agent(served: Testbed) -> None:
    """What cannot be read again is refused at once: the off switch still answers."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), home=home)
    file.path.unlink()
    os.mkfifo(file.path)
    shown = home.command("ctl", "reload")
    assert (shown.returncode, "cannot be read again" in shown.stderr) == (2, True)
    assert agent.ask("pause")["paused"] is True
    agent.stop()


def test_a_worker_that_is_replaced_knows_the_change(served: Testbed) -> None:
    """It is forked with what was read last."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), home=home)
    file.write('[[rule]]\naction = "drop"\npath = "/health"\n')
    assert agent.ask("reload")["applied"] == ["rule"]
    (first,) = workers(agent)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: workers(agent) not in ([], [first]), PATIENCE_S, "another worker")
    use(served, "/health")
    use(served, "/api/items")
    agent.wait_compared(3)
    assert at(agent.stop()["ledger"], "replay.refused") == 3


def test_what_cannot_change_is_named(served: Testbed) -> None:
    """And nothing of it is applied, not even what could be; a broken file neither."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), home=home)
    file.write("sample = 0.5\n[limits]\nring-bytes = 4096\n")
    shown = home.command("ctl", "reload")
    assert shown.returncode == 2
    assert "limits.ring-bytes cannot change under way; detach and attach again" in shown.stderr
    file.write("sampel = 0.5\n")
    shown = home.command("ctl", "reload")
    assert "own.toml:1: unknown key sampel; did you mean sample?" in shown.stderr
    assert agent.ask("status")["sample"] == 1.0
    file.write("sample = 0.5\n")
    assert agent.ask("reload")["applied"] == ["sample"]
    assert agent.ask("status")["sample"] == 0.5
    agent.stop()


def test_bounds_change_under_way(served: Testbed) -> None:
    """Budget, breaker and governor, in all workers and in those that come; also from none."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), "--workers", "2", home=home)
    use(served, "/health")
    agent.wait_compared(3)
    file.path.write_text(
        "[budget]\ncost = 5\nrequests-per-s = 1000\n[breaker]\nprobes = 1\n"
        "[governor]\nenabled = true\nhost-cpu = 0.0001\nfloor = 0.5\n"
    )
    assert agent.ask("reload")["applied"] == [
        "breaker.probes", "budget.cost", "budget.requests-per-s",
        "governor.enabled", "governor.floor", "governor.host-cpu",
    ]  # fmt: skip
    eventually(lambda: agent.ask("status")["governor"]["factor"] == 0.5, PATIENCE_S, "the governor")
    assert agent.ask("status")["budget"]["cost"]["of"] == 5
    file.write("[budget]\ncost = 5\n")
    assert "governor.enabled" in agent.ask("reload")["applied"]
    assert agent.ask("status")["sample"] == 1.0
    old = workers(agent)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: len(now := workers(agent)) == 2 and not {*now} & {*old}, PATIENCE_S, "others"
    )
    use(served, "/health", 8)  # what the dead had not noted yet is forgotten
    wait_settled(agent, 11)
    assert agent.ledger()["replay"]["refused"] == {"cost": 3}
    file.write("[budget]\ncost = 50\nburst = 3\n")  # refused: it says nothing by itself
    assert "budget.burst: says nothing by itself" in home.command("ctl", "reload").stderr
    file.write("[budget]\ncost = 50\n")
    assert agent.ask("reload")["applied"] == ["budget.cost"]
    use(served, "/health", 4)
    agent.wait_compared(3 + 5 + 4)
    file.write("[budget]\nrequests = 1\n")  # more is spent already: the run ends
    assert agent.ask("reload")["applied"] == ["budget.cost", "budget.requests"]
    summary = agent.finish()
    assert summary["ledger"]["replay"]["refused"] == {"cost": 3}


def test_what_the_kernel_holds_needs_a_restart(served: Testbed) -> None:
    """The agent's own processors and memory, and the gate."""
    home = Home(served)
    file = File(home)
    file.write("")
    agent = attach(served, "--config", str(file.path), home=home)
    file.path.write_text(
        '[governor]\nenabled = false\nmemory = "1G"\n[gate]\nprovider = "off"\n'
        "[budget]\nconcurrent = 1\n"
    )
    answer = home.command("ctl", "reload")
    assert "gate.provider, governor.memory cannot change under way" in answer.stderr
    assert agent.ask("status")["budget"] is None
    agent.stop()
