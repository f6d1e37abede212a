"""Whatever the shadow does, production answers, and the agent names it, bounded and without blame.

A shadow that is slow, silent, broken or hostile is compared with a bad outcome or shed by name;
``failed`` stays empty, because nothing of this is the agent's own fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.net.agent import PATIENCE_S, PORT, accounted, at, total
from tests.net.faults import ITEMS, QUICK, attach_with, drive, untouched, wait_settled
from tests.testbed import Testbed, eventually, links, nginx, pyserver, tools, traffic
from tests.testbed.asks import Ask
from tests.testbed.traffic import Traffic

# The agent takes some 60 MB on this path; the rest is what its limits allow.
MEMORY_BYTES = 150 << 20
PATIENT = {**QUICK, "first-byte-timeout-s": 10.0, "whole-timeout-s": 10.0}
BLACKHOLE = "drop"
REJECT = "reject with icmpx type host-unreachable"

Heal = Callable[[], object]


@pytest.fixture(autouse=True)
def production(bed: Testbed) -> Iterator[None]:
    """A healthy production; the shadow's own network is mended afterwards."""
    nginx.start(bed.service)
    yield
    bed.shadow.run("nft", "flush", "ruleset")
    bed.shadow.run("ip", "link", "set", "eth0", "up")
    eventually(lambda: links.all_up(bed.prod), PATIENCE_S, "the shadow is plugged in")


def refusing(bed: Testbed) -> Heal:
    """Nobody listens; healed by starting a shadow."""
    return lambda: pyserver.start(bed.shadow)


def serving(mode: str, **options: Any) -> Callable[[Testbed], Heal]:
    """A pyserver that misbehaves; healed by a good one in its place."""

    def begin(bed: Testbed) -> Heal:
        server = pyserver.start(bed.shadow, mode, **options)
        return lambda: (server.stop(), pyserver.start(bed.shadow))

    return begin


def firewalled(verdict: str) -> Callable[[Testbed], Heal]:
    """A good shadow whose firewall keeps us out; healed by opening it."""

    def begin(bed: Testbed) -> Heal:
        pyserver.start(bed.shadow)
        firewall(bed, verdict)
        return lambda: bed.shadow.run("nft", "flush", "ruleset")

    return begin


def firewall(bed: Testbed, verdict: str) -> None:
    """What happens to packets for the shadow's port."""
    bed.shadow.run(
        "nft",
        "add table inet fault;"
        "add chain inet fault entry { type filter hook input priority 0; };"
        f"add rule inet fault entry tcp dport {PORT} {verdict}",
    )


def unplugged(bed: Testbed) -> Heal:
    """A good shadow whose interface is down; healed by plugging it in."""
    pyserver.start(bed.shadow)
    bed.shadow.run("ip", "link", "set", "eth0", "down")

    def heal() -> None:
        bed.shadow.run("ip", "link", "set", "eth0", "up")
        # Also until prod has asked for its neighbour again: the kernel tries once a second.
        eventually(
            lambda: tools.curl(bed.prod, bed.shadow.url(PORT), timeout=2).status == 200,
            PATIENCE_S,
            "the shadow is plugged in",
        )

    return heal


# What begins it, and the outcomes that must be seen; a busy machine may add what MAY_ADD says.
TROUBLES: dict[str, tuple[Callable[[Testbed], Heal], set[str]]] = {
    "refusing": (refusing, {"refused"}),
    "reset": (serving("reset"), {"reset"}),
    "reset-on-connect": (serving("reset-on-connect"), {"reset"}),
    "hang": (serving("hang"), {"timeout_first_byte"}),
    "hang-share": (serving("hang-share", every=7), {"timeout_first_byte", "answered"}),
    "deaf": (serving("deaf"), {"timeout_first_byte"}),
    "close": (serving("close"), {"closed"}),
    "close-each": (serving("close-each"), {"answered"}),
    "close-silent": (serving("close-silent"), {"answered"}),
    "garbage": (serving("garbage"), {"garbage"}),
    "endless": (serving("endless"), {"timeout_whole"}),
    "endless-head": (serving("endless-head"), {"oversize"}),
    "slow-drip": (serving("slow-drip"), {"timeout_whole"}),
    "drip-forever": (serving("drip-forever", ms=1000), {"timeout_whole"}),
    "sip": (serving("sip", ms=1000), {"timeout_first_byte"}),
    "too-short": (serving("too-short"), {"closed"}),
    "too-long": (serving("too-long"), {"answered"}),
    "blackholed": (firewalled(BLACKHOLE), {"timeout_connect"}),
    "rejected": (firewalled(REJECT), {"unreachable"}),
    "unplugged": (unplugged, {"timeout_connect"}),
}
# The kernel limits the rate of its ICMP errors, and gives up on a neighbour after a while.
MAY_ADD = {"rejected": {"timeout_connect"}, "unplugged": {"unreachable"}}


def highest(running: Traffic, measure: Callable[[], int]) -> int:
    """The highest value seen while traffic runs."""
    seen = [0]

    def ended() -> bool:
        seen.append(measure())
        return not running.process.running

    eventually(ended, 2 * PATIENCE_S, "traffic ends")
    return max(seen)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_named_and_passes(bed: Testbed, trouble: str) -> None:
    """Production is untouched, the bad outcome has its name, and a healed shadow is compared."""
    begin, outcomes = TROUBLES[trouble]
    heal = begin(bed)
    agent = attach_with(bed, QUICK)
    sent = drive(bed, 24, connections=8).sent
    wait_settled(agent, sent)
    before = agent.ask("status")
    heal()
    sent += drive(bed, 10, rate=50, connections=2).sent
    wait_settled(agent, sent)
    summary = agent.stop()

    assert outcomes <= before["outcomes"].keys() <= outcomes | MAY_ADD.get(trouble, set())
    assert total(before["outcomes"]) == at(before["ledger"], "pairs.compared") > 0
    assert summary["outcomes"]["answered"] == before["outcomes"].get("answered", 0) + 10
    ledger = summary["ledger"]
    assert ledger["replay"]["failed"] == {}
    assert ledger["pairs"]["uncomparable"] == {}
    assert ledger["replay"]["shed"].keys() <= {"queue_full", "age"}


@pytest.mark.parametrize("mode", ["endless", "endless-head"])
def test_memory_is_bounded(bed: Testbed, mode: str) -> None:
    """Endless answers on many connections at once leave the agent's memory where it was."""
    pyserver.start(bed.shadow, mode)
    agent = attach_with(bed, {**QUICK, "max-queue": 1})
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, requests=200, connections=32
    )
    most = highest(running, agent.process.pss_bytes)
    result = running.result()
    wait_settled(agent, result.sent)
    summary = agent.stop()
    assert untouched(result)
    assert 0 < most < MEMORY_BYTES
    assert at(summary["ledger"], "pairs.compared") > 0


def test_connections_are_capped(bed: Testbed) -> None:
    """Over the cap requests are shed by that name, and never more sockets exist than it says."""
    pyserver.start(bed.shadow, "hang")
    agent = attach_with(bed, {**QUICK, "max-connections": 4})
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, requests=100, connections=32
    )

    def sockets() -> int:
        shown = bed.prod.run("ss", "-Htn", "dst", f"{bed.shadow.v4}:{PORT}").stdout
        return len(shown.splitlines())

    most = highest(running, sockets)
    result = running.result()
    wait_settled(agent, result.sent)
    ledger = agent.stop()["ledger"]
    assert untouched(result)
    assert 0 < most <= 4
    assert ledger["replay"]["shed"]["connections"] > 0
    assert ledger["replay"]["failed"] == {}


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("queue_full", {"max-queue": 3, "max-queue-age-s": 30.0}),
        ("age", {"max-queue": 64, "max-queue-age-s": 0.2}),
    ],
)
def test_slow_shadow_is_shed_by_name(bed: Testbed, reason: str, limits: dict[str, float]) -> None:
    """A shadow slower than production costs what does not fit, under the limit's name."""
    pyserver.start(bed.shadow, "slow", ms=100)
    agent = attach_with(bed, {**PATIENT, **limits})
    sent = drive(bed, 120, rate=300, connections=4).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    replay = summary["ledger"]["replay"]
    assert replay["shed"].keys() == {reason}
    assert replay["failed"] == {}
    assert summary["outcomes"].keys() == {"answered"}
    assert accounted(summary["ledger"]) == sent


@pytest.mark.parametrize("mode", ["deaf", "sip"])
def test_uploads_that_are_not_taken_are_cut(bed: Testbed, mode: str) -> None:
    """A shadow that does not read costs no memory: an upload is cut, or shed behind another."""
    pyserver.start(bed.shadow, mode, ms=1000)
    limits = {**QUICK, "first-byte-timeout-s": 2.0, "max-backlog-bytes": 65536}
    agent = attach_with(bed, limits, "--methods", "all", "--unguarded")
    uploads = [Ask("GET", "/api/items"), Ask("POST", "/api/orders", 12_000_000)]
    result = drive(bed, 6, rate=20, connections=2, mix=uploads, timeout=20)
    most = agent.process.pss_bytes()
    wait_settled(agent, result.sent)
    ledger = agent.stop()["ledger"]
    assert most < MEMORY_BYTES
    cut = ledger["pairs"]["uncomparable"].get("backlog", 0)
    assert cut + ledger["replay"]["shed"].get("backlog_bytes", 0) > 0
    assert ledger["replay"]["failed"] == {}


@pytest.mark.parametrize("mode", ["deaf", "sip"])
def test_small_uploads_that_are_not_read_end(bed: Testbed, mode: str) -> None:
    """What fits into buffers is not cut: the answer to it is late, by the deadline's name."""
    pyserver.start(bed.shadow, mode, ms=1000)
    agent = attach_with(bed, QUICK, "--methods", "all", "--unguarded")
    result = drive(bed, 6, rate=20, connections=6, mix=[Ask("POST", "/api/orders", 50_000)])
    wait_settled(agent, result.sent)
    summary = agent.stop()
    assert summary["outcomes"] == {"timeout_first_byte": 6}
    assert summary["ledger"]["replay"]["failed"] == {}


def test_shadow_that_falls_silent_in_mid_run(bed: Testbed) -> None:
    """Packets vanish on open connections: time-outs by name, then all is well again."""
    pyserver.start(bed.shadow)
    agent = attach_with(bed, QUICK)
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=50, duration=60, connections=4
    )
    agent.wait_compared(20)
    firewall(bed, BLACKHOLE)
    eventually(
        lambda: {"timeout_first_byte", "timeout_connect"} <= agent.ask("status")["outcomes"].keys(),
        PATIENCE_S,
        "both time-outs seen",
    )
    bed.shadow.run("nft", "flush", "ruleset")
    healed = agent.ask("status")["outcomes"]["answered"]
    eventually(
        lambda: agent.ask("status")["outcomes"]["answered"] >= healed + 20, PATIENCE_S, "healed"
    )
    result = running.stop()
    wait_settled(agent, result.sent)
    summary = agent.stop()
    assert untouched(result)
    assert summary["outcomes"].keys() <= {"answered", "timeout_first_byte", "timeout_connect"}
    assert summary["ledger"]["replay"]["failed"] == {}
