"""The metrics listener: a real child, scraped over loopback."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_agent.daemon.metrics import MetricsChild
from shadow_agent.telemetry.exposition import Exposition
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.run import Run
from shadow_agent.telemetry.snapshot import Snapshot
from tests.unit.isolated import needs_root

pytestmark = needs_root

EXPOSITION = Exposition(
    run=Run(version="1", target="web", shadow="http://a:1", run_id="r"),
    ledger=Ledger(),
    snapshot=Snapshot(),
)


@pytest.fixture
def address() -> tuple[str, int]:
    """A free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return ("127.0.0.1", server.getsockname()[1])


@pytest.fixture
def child(address: tuple[str, int]) -> Iterator[MetricsChild]:
    """Ended at the end."""
    child = MetricsChild(address, pwd.getpwnam("nobody"))
    yield child
    child.close()


def scrape(address: tuple[str, int]) -> str:
    """What Prometheus would get, once there is something."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{address[0]}:{address[1]}/metrics") as answer:
                text: str = answer.read().decode()
        except urllib.error.HTTPError:
            text = ""
        if "shadow_agent" in text:
            return text
    raise AssertionError("nothing was published")


def test_a_scrape(child: MetricsChild, address: tuple[str, int]) -> None:
    """What was published, by a process without privileges."""
    child.publish(EXPOSITION)
    assert 'target="web"' in scrape(address)
    status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
    assert f"Uid:\t{pwd.getpwnam('nobody').pw_uid}" in status
    assert "CapEff:\t0000000000000000" in status
    assert Path(f"/proc/{child.pid}/comm").read_text(encoding="ascii") == "shadow-metrics\n"


def test_one_that_died_is_replaced(child: MetricsChild, address: tuple[str, int]) -> None:
    """On the same port; publishing to a dead one is no error."""
    assert not child.revive()
    before = child.pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    child.publish(EXPOSITION)
    assert child.revive()
    assert child.pid != before
    child.publish(EXPOSITION)
    assert "shadow_agent" in scrape(address)
