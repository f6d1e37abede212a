"""What of the traffic is kept, and what is on record of who kept it: whole agents, real servers."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest

from tests.net.agent import COMMAND, PATIENCE_S, PORT, Home, attach, options
from tests.testbed import Testbed, nginx, tools

pytestmark = pytest.mark.net


@pytest.fixture
def served(bed: Testbed) -> Testbed:
    """Production and shadow run, alike."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    return bed


def audited(home: Home) -> list[dict[str, object]]:
    """The audit log."""
    return [orjson.loads(line) for line in (home.data / "audit.log").read_bytes().splitlines()]


def verify(bed: Testbed, home: Home) -> int:
    """The command's exit code."""
    return bed.prod.run(
        COMMAND, "audit", "verify", "--data-dir", home.data, timeout=PATIENCE_S, check=False
    ).returncode


def test_who_did_what_is_on_record(served: Testbed) -> None:
    """Attach with its configuration, each change with who asked, detach with why; two agents."""
    home = Home(served)
    agent = attach(served, home=home)
    home.command("ctl", "sample", "0.5")
    home.command("ctl", "epoch", "--build", "b2")
    home.command("status")
    home.command("detach")
    agent.finish()
    again = attach(served, home=home)
    again.stop()
    entries = audited(home)
    assert [entry["what"] for entry in entries] == [
        *("attach", "ctl sample", "ctl epoch", "detach", "attach", "detach"),
    ]
    first, sample, epoch, detach, *_ = entries
    assert isinstance(first["about"], dict)
    assert first["about"]["config"]["iface"] == [served.service_iface]
    assert first["pid"] == agent.pid
    assert isinstance(sample["about"], dict)
    assert sample["about"]["fraction"] == 0.5
    assert sample["pid"] not in (agent.pid, 0)
    assert sample["uid"] == os.getuid()
    assert isinstance(epoch["about"], dict)
    assert epoch["about"]["build"] == "b2"
    assert isinstance(detach["about"], dict)
    assert detach["about"]["why"] == "detach"
    assert verify(served, home) == 0
    log = home.data / "audit.log"
    log.write_bytes(log.read_bytes().replace(b"ctl sample", b"ctl resume", 1))
    assert verify(served, home) == 30


def test_what_cannot_be_audited_is_not_done(served: Testbed, tmp_path: Path) -> None:
    """Exit code 2, one line, nothing attached; lost later, it is said and the run goes on."""
    home = Home(served)
    (home.data / "audit.log").mkdir(parents=True)
    refused = served.prod.run(
        *(COMMAND, "attach", *options(served), *home.options), timeout=PATIENCE_S, check=False
    )
    assert refused.returncode == 2
    assert "cannot write the audit log" in refused.stderr
    assert "attached" not in refused.stderr
    other = Home(served)
    agent = attach(served, home=other)
    log = other.data / "audit.log"
    log.rename(other.data / "away")
    log.mkdir()
    other.command("ctl", "sample", "0.5")
    assert tools.curl(served.client, served.service.url(PORT, "/health")).status == 200
    agent.stop()
    assert "ctl sample is not on record" in agent.process.errors()
