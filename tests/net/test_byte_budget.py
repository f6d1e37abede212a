"""A byte budget on live traffic: what is copied is whole, the rest is counted, and no more goes."""

from __future__ import annotations

import socket
import time

import pytest

from tests.net.agent import PATIENCE_S, PORT, Home, at, attach, drained
from tests.net.faults import attach_with, drive, untouched, wait_ledger
from tests.net.requests import ask, connected
from tests.testbed import Testbed, eventually, nginx, pyserver, traffic
from tests.testbed.asks import Ask

RATE, BURST = 400_000, 60_000
CONNECTIONS = 8
SIZE = 20_000
MIX = [
    Ask("GET", f"/bytes/{SIZE}", weight=6),
    Ask("POST", f"/bytes/{SIZE}", SIZE, weight=2),
    Ask("POST", f"/bytes/{SIZE}", SIZE, chunked=True, weight=1),
]
LARGEST = 2 * SIZE + 2000
BUDGET = {"budget": {"bytes-per-s": RATE, "bytes-burst": BURST}}
# Waiting is no loss here.
PATIENT = {"max-queue": 10_000, "max-queue-age-s": 60.0}
ALL = ("--methods", "all", "--unguarded")


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request"])
def test_what_is_copied_is_whole(bed: Testbed, keep_alive: bool) -> None:
    """Coverage 1, nothing gapped, lost or malformed; and by outside counts within the budget."""
    pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    began = time.monotonic()
    agent = attach_with(bed, PATIENT, *ALL, "--workers", "2", sections=BUDGET)
    sent = drive(bed, 1500, 500, mix=MIX, connections=CONNECTIONS, keep_alive=keep_alive).sent
    took = time.monotonic() - began
    wait_ledger(agent, drained, "nothing open")
    summary = agent.stop()
    ledger = summary["ledger"]
    compared = at(ledger, "pairs.compared")
    assert 0 < compared < sent
    assert at(ledger, "packets.over_budget") > 0
    requests = ledger["requests"]
    assert requests["started"] == requests["heads"] == requests["complete"] == compared
    assert requests["lost"] == 0
    assert ledger["exchanges"]["answered"] == compared
    assert ledger["exchanges"]["unanswered"] == {}
    assert summary["coverage"] == 1.0
    assert len(shadow.requests()) == compared
    assert all(one["complete"] for one in shadow.requests())
    assert compared * SIZE <= RATE * took + BURST + CONNECTIONS * LARGEST


def pipelined(address: str, serial: int) -> None:
    """Three uploads at once on a new connection, and their answers."""
    head = "POST /bytes/100/{}-{} HTTP/1.1\r\nHost: pipe\r\nContent-Length: 3000\r\n\r\n"
    with socket.create_connection((address, PORT), timeout=PATIENCE_S) as sock:
        asked = [head.format(serial, number).encode() + b"x" * 3000 for number in range(3)]
        sock.sendall(b"".join(asked))
        answers = b""
        while answers.count(b"HTTP/1.1 200") < len(asked):
            answers += sock.recv(65_536)


def test_large_uploads_chunks_and_pipelines(bed: Testbed) -> None:
    """Of 1 MiB, over a budget of two a second: whole at the shadow, byte for byte, or absent."""
    mebibyte, rate = 1 << 20, 2 << 20
    production, shadow = pyserver.start(bed.service), pyserver.start(bed.shadow)
    sections = {"budget": {"bytes-per-s": rate, "bytes-burst": rate}}
    began = time.monotonic()
    # room for bursts of them: what a full ring loses on a busy machine is no matter of the budget
    limits = {**PATIENT, "ring-bytes": 32 << 20}
    agent = attach_with(bed, limits, *ALL, "--workers", "2", sections=sections)
    mix = [
        Ask("POST", "/bytes/100/{n}", mebibyte),
        Ask("POST", "/bytes/100/{n}", mebibyte, chunked=True),
        Ask("GET", "/bytes/2000/{n}", weight=2),
    ]
    running = traffic.start(
        bed.client, bed.service.url(PORT), mix, rate=25, requests=150, connections=4
    )
    batches = 0
    while running.process.running:
        bed.client.call(pipelined, bed.service.v4, batches)
        batches += 1
    took = time.monotonic() - began
    assert untouched(running.result())
    wait_ledger(agent, drained, "nothing open")
    summary = agent.stop()
    served = {str(one["target"]): one for one in production.requests()}
    got = shadow.requests()
    assert len(served) == 150 + 3 * batches > len(got) > 0
    assert all(one["complete"] for one in got)
    for key in ("body_len", "body_sha256"):
        assert [one[key] for one in got] == [served[str(one["target"])][key] for one in got]
    requests = summary["ledger"]["requests"]
    assert requests["started"] == requests["heads"] == requests["complete"] == len(got)
    assert at(summary["ledger"], "pairs.compared") == len(got)
    assert (requests["lost"], summary["coverage"], summary["different"]) == (0, 1.0, 0)
    assert summary["ledger"]["packets"]["over_budget"] > 0
    large = [one for one in got if one["body_len"] == mebibyte]
    assert 0 < len(large) * mebibyte <= rate * took + rate + 5 * mebibyte


def test_a_generous_budget_skips_nothing(bed: Testbed) -> None:
    """As without one, SYNs and FINs too; what runs into it later is the next request."""
    nginx.start(bed.service)
    nginx.start(bed.shadow)
    agent = attach_with(bed, PATIENT, sections={"budget": {"bytes-per-s": 10**12}})
    drive(bed, 400, 400, connections=CONNECTIONS)
    agent.wait_compared(400)
    summary = agent.stop()
    ledger = summary["ledger"]
    assert at(ledger, "pairs.compared") == 400
    assert ledger["packets"]["over_budget"] == 0
    assert summary["untracked"] == 0
    assert ledger["segments"]["unaligned"] == ledger["segments"]["duplicate"] == 0


def test_a_budget_that_comes_and_goes(bed: Testbed) -> None:
    """By ``ctl reload``, under traffic: what began is whole, before, within and after."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    home = Home(bed)
    home.path.mkdir()
    file = home.path / "config.toml"
    limits = "[governor]\nenabled = false\n[limits]\n" + "".join(
        f"{key} = {value}\n" for key, value in PATIENT.items()
    )
    file.write_text(limits)
    agent = attach(bed, "--config", str(file), home=home)
    mix = [Ask("GET", f"/bytes/{SIZE}")]
    running = traffic.start(
        bed.client, bed.service.url(PORT), mix, rate=100, connections=CONNECTIONS, duration=60
    )
    agent.wait_compared(50)
    file.write_text(f"{limits}[budget]\nbytes-per-s = {SIZE}\n")
    assert agent.ask("reload")["applied"] == ["budget.bytes-per-s"]
    eventually(
        lambda: agent.ledger()["packets"]["over_budget"] > 200,
        PATIENCE_S,
        "packets over budget",
        agent.pid,
    )
    file.write_text(limits)
    assert agent.ask("reload")["applied"] == ["budget.bytes-per-s"]
    agent.wait_compared(at(agent.ledger(), "pairs.compared") + 50)
    assert untouched(running.stop())
    wait_ledger(agent, drained, "nothing open")
    summary = agent.stop()
    requests = summary["ledger"]["requests"]
    assert requests["started"] == requests["complete"] == at(summary["ledger"], "pairs.compared")
    assert requests["lost"] == 0
    assert summary["coverage"] == 1.0


def test_the_off_switch_copies_not_one_more(bed: Testbed) -> None:
    """Once it has answered, while traffic runs on: the kernel counts every packet as paused."""
    nginx.start(bed.service)
    nginx.start(bed.shadow)
    agent = attach_with(bed, PATIENT)
    running = traffic.start(
        bed.client, bed.service.url(PORT), [Ask("GET", "/api/items/1")], rate=500, requests=3000
    )
    agent.wait_compared(100)
    agent.ask("pause")
    with connected(bed.client, bed.service) as connection:
        before = agent.ledger()["packets"]
        for _ in range(20):
            assert ask(connection, "/api/items/1")[0] == 200
        eventually(
            lambda: agent.ledger()["packets"]["paused"] >= before["paused"] + 40,
            PATIENCE_S,
            "packets paused",
            agent.pid,
        )
        assert agent.ledger()["packets"]["copied"] == before["copied"]
    assert untouched(running.result())
    agent.stop()
