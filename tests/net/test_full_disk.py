"""Full disks and killed processes: what was kept is readable, the rest is counted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.net.agent import COMMAND, PATIENCE_S, PORT, Agent, Home, attach
from tests.net.faults import drive, gone, workers
from tests.testbed import Testbed, eventually, nginx, pyserver, traffic
from tests.testbed.asks import Ask

MIX = [Ask("GET", "/bytes/900/{n}")]


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of that size."""
    folder.mkdir(parents=True)
    options = f"size={size},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def readable(bed: Testbed, path: Path) -> int:
    """Whole exchanges that tshark finds; our own reader as well."""
    fields = ("http.request.uri", "http.response.code", "tcp.analysis.retransmission")
    shark = bed.prod.run(
        *("tshark", "-r", path, "-d", f"tcp.port=={PORT},http", "-T", "fields"),
        *(part for field in fields for part in ("-e", field)),
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    rows = [line.split("\t") for line in shark.stdout.splitlines()]
    asked, answered = (sum(bool(row[at]) for row in rows) for at in (0, 1))
    assert asked - answered in {0, 1}, "one that the end of the disk tore may lack its answer"
    assert not any(row[2] for row in rows)
    read = bed.prod.run(COMMAND, "read", path, "--port", str(PORT), timeout=PATIENCE_S)
    assert len(read.stdout.splitlines()) == asked
    return answered


def written(agent: Agent) -> dict[str, object]:
    """What the agent says that it has written."""
    found: dict[str, object] = agent.ask("status")["written"]
    return found


@pytest.fixture
def served(bed: Testbed) -> Testbed:
    """Production and shadow run, alike."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    return bed


def test_write_on_a_full_disk(served: Testbed) -> None:
    """Each exchange is in the file or counted, the file says so, and mirroring goes on."""
    with disk(served.directory / "small", "64k") as folder:
        path = folder / "out.pcapng"
        agent = attach(served, "--write", str(path), "--workers", "2")
        drive(served, 400, mix=MIX, connections=8)
        agent.wait_compared(400)
        summary = agent.stop()
        lost = summary["written"]["lost"]
        assert set(lost) == {"disk"}
        assert summary["written"]["stored"] + lost["disk"] == 400
        assert summary["coverage"] == 1.0
        assert readable(served, path) == summary["written"]["stored"] > 0
        assert f"not written: disk={lost['disk']}".encode() in path.read_bytes()


def test_write_and_kill(served: Testbed) -> None:
    """A worker's death and then the agent's: all that was written before is read, each once."""
    home = Home(served)
    home.path.mkdir()
    path = home.path / "out.pcapng"
    agent = attach(served, "--write", str(path), "--workers", "2", home=home)
    running = traffic.start(
        served.client, served.service.url(PORT), MIX, rate=300, duration=60, connections=8
    )
    agent.wait_compared(200)
    os.kill(workers(agent)[0], signal.SIGKILL)
    agent.wait_compared(600)
    stored = written(agent)["stored"]
    everybody = agent.process.tree()
    os.kill(agent.pid, signal.SIGKILL)
    eventually(lambda: gone(everybody), PATIENCE_S, "dead")
    sent = running.stop().sent
    assert isinstance(stored, int)
    assert stored <= readable(served, path) <= sent
    assert b"what is missing here is not known" in path.read_bytes()


def test_evidence_and_the_audit_log_on_a_full_disk(bed: Testbed) -> None:
    """Pairs are compared as ever; what is not kept is said once, counted, and in the metrics."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v2")
    home = Home(bed)
    home.path.mkdir()
    key = home.path / "evidence.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(32))
    config = home.path / "privacy.toml"
    config.write_text(f'[privacy]\nevidence = true\nkey-file = "{key}"\nmax-rate = 1000.0\n')
    with disk(home.data, "128k") as folder:
        metrics = f"{bed.prod.v4}:9464"
        agent = attach(bed, "--config", str(config), "--metrics", metrics, home=home)
        drive(bed, 300, mix=[Ask("GET", "/api/price?n={n}")], connections=4)
        agent.wait_compared(300)
        assert home.command("ctl", "sample", "0.9").returncode == 0
        lost = agent.ask("status")["evidence"]["lost"]["disk"]
        shown = (
            f'shadow_agent_evidence_total{{reason="disk",state="lost",target="eth0-8080"}} {lost}',
            'shadow_agent_audit_lost_total{target="eth0-8080"} 1',
        )

        def scraped() -> bool:
            text = bed.prod.run("curl", "-s", f"http://{metrics}/metrics").stdout
            return all(line in text for line in shown)

        eventually(scraped, PATIENCE_S, "metrics caught up", agent.pid)
        summary = agent.stop()
        assert summary["evidence"]["stored"] + lost == summary["different"] == 300
        assert summary["audit_lost"] == 2, "ctl and detach"
        assert agent.process.errors().count("the disk is full or failed") == 1
        verify = (COMMAND, "audit", "verify", "--data-dir", folder)
        assert bed.prod.run(*verify).stdout.count("1 entries, whole") == 1
        seen = bed.prod.run(
            *(COMMAND, "evidence", "list", "--config", config, "--data-dir", folder), check=False
        )
        assert seen.returncode == 2
        assert "what is not on record is not shown" in seen.stderr
        for vault in folder.rglob("*.vault"):
            vault.unlink()
        attach(bed, home=home).stop()
        assert bed.prod.run(*verify).stdout.count("3 entries, whole") == 1
