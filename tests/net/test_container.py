"""Interfaces that come and go: attached again, the absence reported, the books balanced."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.net.agent import PATIENCE_S, PORT, Agent, balanced, clean, hooks
from tests.net.faults import QUICK, attach_with, attached, drive, wait_settled, workers
from tests.testbed import Testbed, eventually, links, nginx, pyserver, tools
from tests.testbed.topology import PROD_SHADOW_V4, PROD_SHADOW_V6, SHADOW_V4, SHADOW_V6

both = pytest.mark.parametrize("mechanism", ["tcx", "clsact"])


@pytest.fixture
def house() -> Iterator[Testbed]:
    """A testbed whose service runs in a container, with a healthy shadow."""
    with Testbed(container=True) as built:
        nginx.start(built.service)
        pyserver.start(built.shadow)
        yield built


def wait_told(agent: Agent, text: str, times: int = 1) -> None:
    """Return once the agent said it so often."""
    eventually(
        lambda: agent.process.errors().count(text) >= times, PATIENCE_S, text, agent.process.pid
    )


def interruptions(agent: Agent) -> list[dict[str, Any]]:
    """What its status reports."""
    found: list[dict[str, Any]] = agent.ask("status")["interruptions"]
    return found


@both
def test_container_vanishes_and_comes_back(house: Testbed, mechanism: str) -> None:
    """Twice gone and back under another index: mirrored again, both gaps in time reported."""
    name = house.service_iface
    agent = attach_with(house, {}, "--mechanism", mechanism)
    sent = drive(house, 20).sent
    wait_settled(agent, sent)
    for times in (1, 2):
        before = links.index(house.prod, name)
        house.vanish_container()
        vanished = time.time()
        wait_told(agent, f"interface {name} is gone", times)
        (open_one,) = [one for one in interruptions(agent) if one["to"] is None]
        assert open_one["iface"] == name
        assert abs(open_one["from"] - vanished) < PATIENCE_S
        house.return_container()
        wait_told(agent, f"interface {name} is back", times)
        assert links.index(house.prod, name) != before
        assert len(attached(house.prod, name)) == 2
        sent += drive(house, 20).sent
        wait_settled(agent, sent)
    summary = agent.stop()
    found = summary["interruptions"]
    assert [one["iface"] for one in found] == [name, name]
    assert all(one["to"] >= one["from"] and one["seconds"] > 0 for one in found)
    assert summary["ledger"]["pairs"]["compared"] == sent == 60
    assert summary["attached"] == {name: mechanism, house.shadow_iface: mechanism}
    assert clean(house.prod, ("lo", "eth0", "eth1", name))


def test_container_that_stays_away(house: Testbed) -> None:
    """Stopped while the interface is gone, the agent says so, and ends as it should."""
    agent = attach_with(house, {})
    drive(house, 10)
    wait_settled(agent, 10)
    house.vanish_container()
    wait_told(agent, "is gone")
    summary = agent.stop()
    (found,) = summary["interruptions"]
    assert found["to"] is None
    assert summary["ledger"]["pairs"]["compared"] == 10
    assert hooks(house.prod) == []


def test_container_vanishes_under_an_open_exchange(house: Testbed) -> None:
    """What was under way when the wire was cut is named, and the next requests are compared."""
    agent = attach_with(house, {"drain-s": 1.0})
    slow = house.client.spawn(
        "curl", "-s", "-m", "3", house.service.url(PORT, "/api/slow"), name="slow"
    )
    slow.wait(PATIENCE_S)
    with house.client.socket() as held:
        held.settimeout(PATIENCE_S)
        held.connect((house.service.v4, PORT))
        held.sendall(b"GET /api/items/77 HTTP/1.1\r\nHost: x\r\n")  # and no end of its head
        eventually(lambda: agent.ledger()["requests"]["open"] == 1, PATIENCE_S, "a request is open")
        house.vanish_container()
        wait_told(agent, "is gone")
        house.return_container()
        wait_told(agent, "is back")
        drive(house, 10)
        agent.wait_compared(11)
    summary = agent.stop()
    assert summary["ledger"]["pairs"]["compared"] == 11
    requests = summary["ledger"]["requests"]
    assert requests["started"] == 12
    assert requests["evicted"] + requests["aborted"] == 1


def test_interface_goes_down_and_up(house: Testbed) -> None:
    """Down is not gone: the tap stays where it is and mirroring goes on."""
    name = house.service_iface
    agent = attach_with(house, {})
    drive(house, 10)
    wait_settled(agent, 10)
    programs = attached(house.prod, name)
    house.prod.run("ip", "link", "set", name, "down")
    assert tools.curl(house.client, house.service.url(PORT), timeout=0.5).status == 0
    house.prod.run("ip", "link", "set", name, "up")
    eventually(
        lambda: tools.curl(house.client, house.service.url(PORT), timeout=2).status == 200,
        PATIENCE_S,
        "production is back",
    )
    before = agent.ledger()["pairs"]["compared"]
    drive(house, 10)
    agent.wait_compared(before + 10)
    assert attached(house.prod, name) == programs
    summary = agent.stop()
    assert summary["interruptions"] == []
    assert summary["outcomes"].keys() == {"answered"}


def test_shadow_interface_goes_down_and_up(bed: Testbed) -> None:
    """Its own host's doing is not the shadow's: by name, reported, and never a bad outcome."""
    nginx.start(bed.service)
    shadow = pyserver.start(bed.shadow, "hang")
    agent = attach_with(bed, {"first-byte-timeout-s": 60})
    sent = drive(bed, 4, connections=4).sent
    eventually(lambda: len(shadow.requests()) == 4, PATIENCE_S, "four are under way")
    bed.prod.run("ip", "link", "set", "eth1", "down")
    wait_told(agent, "interface eth1 is down")
    wait_settled(agent, sent)
    (dead,) = workers(agent)
    os.kill(dead, signal.SIGKILL)
    eventually(
        lambda: workers(agent) not in ([], [dead]), PATIENCE_S, "one that is told", agent.pid
    )
    sent += drive(bed, 10, connections=2).sent
    wait_settled(agent, sent)
    (found,) = interruptions(agent)
    assert (found["iface"], found["to"]) == ("eth1", None)
    shadow.stop()
    pyserver.start(bed.shadow)
    bed.prod.run("ip", "link", "set", "eth1", "up")
    wait_told(agent, "interface eth1 is back")
    sent += drive(bed, 6).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert balanced(summary)
    assert summary["outcomes"] == {"answered": 6}
    assert summary["ledger"]["pairs"]["uncomparable"] == {"link_down": 4}
    assert summary["ledger"]["replay"]["failed"] == {"link_down": 10}
    assert summary["coverage"] == 0.3
    (found,) = summary["interruptions"]
    assert found["to"] > found["from"]


def test_shadow_interface_vanishes_and_comes_back(bed: Testbed) -> None:
    """Without its way to the shadow the agent fails by name; with it, it compares again."""
    nginx.start(bed.service)
    pyserver.start(bed.shadow)
    agent = attach_with(bed, QUICK)
    sent = drive(bed, 10).sent
    wait_settled(agent, sent)
    links.delete(bed.prod, "eth1")
    try:
        wait_told(agent, "interface eth1 is gone")
        sent += drive(bed, 10, connections=2).sent
        ledger = wait_settled(agent, sent)
        assert ledger["pairs"]["compared"] == 10
    finally:
        links.veth(bed.prod, "eth1", bed.shadow, "eth0")
        links.up(bed.prod, "eth1", f"{PROD_SHADOW_V4}/24", f"{PROD_SHADOW_V6}/64")
        links.up(bed.shadow, "eth0", f"{SHADOW_V4}/24", f"{SHADOW_V6}/64")
    wait_told(agent, "interface eth1 is back")
    eventually(
        lambda: tools.curl(bed.prod, bed.shadow.url(PORT), timeout=2).status == 200,
        PATIENCE_S,
        "the shadow is reached",
    )
    assert len(attached(bed.prod, "eth1")) == 2
    sent += drive(bed, 10).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert summary["outcomes"] == {"answered": 20}
    assert summary["ledger"]["replay"]["failed"] == {"link_down": 10}
    assert [one["iface"] for one in summary["interruptions"]] == ["eth1"]
    assert summary["latency_us"]["shadow"]["p50"] is not None
