"""Killed or stopped, in part or whole: production never notices, and nothing is sent twice.

Each test runs under traffic, and its verdict is the generator's: every request was answered.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from shadow_agent.kernel.layout import Counter, Role
from tests.net.agent import PATIENCE_S, PORT, Agent, Home, accounted, at, clean, hooks, total
from tests.net.faults import (
    ITEMS,
    Kernel,
    attach_with,
    drive,
    gone,
    repeated,
    retransmitted,
    state_of,
    untouched,
    wait_ledger,
    wait_named,
    wait_settled,
    workers,
)
from tests.testbed import Testbed, eventually, nginx, pyserver, traffic
from tests.testbed.pyserver import PyServer
from tests.testbed.traffic import Traffic

# After a death, or when the agent hangs for as long, nothing is copied and nothing replayed.
PROMISE_NS = 2_000_000_000
# What more a test on a busy machine may find under way when the promise is due.
GRACE_NS = 500_000_000

both = pytest.mark.parametrize("mechanism", ["tcx", "clsact"])


@pytest.fixture
def shadow(bed: Testbed) -> PyServer:
    """A healthy production, and a shadow that notes what it is asked."""
    nginx.start(bed.service)
    return pyserver.start(bed.shadow)


@contextmanager
def load(bed: Testbed, rate: float = 200) -> Iterator[Traffic]:
    """Traffic until stopped, of which production answers every request."""
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=rate, duration=120, connections=8
    )
    try:
        yield running
    finally:
        if running.process.running:
            running.process.stop()


def attach_to(bed: Testbed, mechanism: str, home: Home | None = None) -> Agent:
    """A default agent on either mechanism."""
    return attach_with(bed, {}, "--mechanism", mechanism, home=home)


def wait_flowing(shadow: PyServer, more: int = 20) -> None:
    """Return once the shadow was asked for so many more."""
    before = len(shadow.requests())
    eventually(lambda: len(shadow.requests()) >= before + more, PATIENCE_S, "mirroring")


def assert_silent_after(kernel: Kernel, shadow: PyServer, died_ns: int, running: Traffic) -> None:
    """While production is still asked, nothing is copied or replayed once the promise is due."""

    def traffic_after_promise() -> bool:
        return time.monotonic_ns() > died_ns + PROMISE_NS + GRACE_NS

    eventually(traffic_after_promise, PATIENCE_S, "the promise is due")
    copied = {role: kernel.counters(role)[Counter.COPIED] for role in Role}
    until = time.monotonic_ns() + GRACE_NS
    eventually(lambda: time.monotonic_ns() > until, PATIENCE_S, "a while under traffic")
    assert running.process.running
    assert {role: kernel.counters(role)[Counter.COPIED] for role in Role} == copied
    late = [one for one in shadow.requests() if one["ts"] > died_ns + PROMISE_NS]
    assert late == []


@both
def test_a_killed_worker_is_replaced(bed: Testbed, shadow: PyServer, mechanism: str) -> None:
    """Another takes over where it was; what it had in hand is lost by name, nothing repeated."""
    agent = attach_to(bed, mechanism)
    with load(bed) as running:
        for _ in range(2):
            wait_flowing(shadow)
            (victim,) = workers(agent)
            os.kill(victim, signal.SIGKILL)
            eventually(partial(gone, [victim]), PATIENCE_S, "the worker is dead")
            eventually(lambda: workers(agent) != [], PATIENCE_S, "another worker")
            assert workers(agent) != [victim]
        agent.wait_compared(agent.ledger()["pairs"]["compared"] + 50)
        result = running.stop()
    wait_settled(agent, result.sent)
    summary = agent.stop()
    ledger = summary["ledger"]
    assert untouched(result)
    assert accounted(ledger) == result.sent
    assert repeated(shadow) == {}
    assert workers_died(agent) == 2
    # What died with a worker is told as that, or as started there and never heard of again.
    assert ledger["replay"]["failed"].keys() <= {"worker_died"}
    assert ledger["replay"]["shed"] == ledger["replay"]["refused"] == {}
    assert ledger["pairs"]["uncomparable"].keys() <= {"worker_died", "production_unanswered"}
    # Between two heartbeats of a worker lies half a second: about as much is lost with each.
    assert at(ledger, "pairs.compared") >= 50
    assert summary["outcomes"].keys() == {"answered"}
    assert clean(bed.prod)


@both
@pytest.mark.parametrize("whole_tree", [False, True], ids=["supervisor", "tree"])
def test_a_killed_agent_is_silent(
    bed: Testbed, shadow: PyServer, mechanism: str, whole_tree: bool
) -> None:
    """Within two seconds nothing copies or replays; a new attach takes away what is left."""
    home = Home(bed)
    agent = attach_to(bed, mechanism, home)
    with Kernel(bed.prod, bed.service_iface) as kernel, load(bed) as running:
        wait_flowing(shadow)
        family = agent.process.tree()
        died = time.monotonic_ns()
        if whole_tree:
            os.killpg(agent.pid, signal.SIGKILL)
        else:
            agent.process.send(signal.SIGKILL)
        assert agent.process.wait(PATIENCE_S) == -signal.SIGKILL
        assert_silent_after(kernel, shadow, died, running)
        assert gone(family)
        left = hooks(bed.prod)
        assert left == [] if mechanism == "tcx" else len(left) == 4
        if mechanism == "clsact":
            assert kernel.counters()[Counter.PAUSED] > 0
        before = len(shadow.requests())
        successor = attach_to(bed, mechanism, home)
        successor.wait_compared(20)
        assert len(shadow.requests()) > before
        result = running.stop()
    assert untouched(result)
    assert len(hooks(bed.prod)) == 4
    summary = successor.stop()
    assert repeated(shadow) == {}
    assert summary["outcomes"].keys() == {"answered"}
    assert ("removed what a killed agent left" in successor.process.errors()) is (
        mechanism == "clsact"
    )
    assert clean(bed.prod)


def test_detach_takes_away_what_a_killed_agent_left(bed: Testbed, shadow: PyServer) -> None:
    """On clsact the filters of a dead agent go with ``detach``, and production goes on."""
    home = Home(bed)
    agent = attach_to(bed, "clsact", home)
    agent.process.kill()
    assert len(hooks(bed.prod)) == 4
    assert home.command("detach").returncode == 0
    assert clean(bed.prod)
    drive(bed, 10)
    assert shadow.requests() == []


@both
def test_a_stopped_supervisor_is_silent_until_it_goes_on(
    bed: Testbed, shadow: PyServer, mechanism: str
) -> None:
    """An agent that hangs lets its lease go stale; when it goes on, so does mirroring."""
    agent = attach_to(bed, mechanism)
    with Kernel(bed.prod, bed.service_iface) as kernel, load(bed) as running:
        wait_flowing(shadow)
        stopped = time.monotonic_ns()
        agent.process.send(signal.SIGSTOP)
        assert_silent_after(kernel, shadow, stopped, running)
        paused = kernel.counters()[Counter.PAUSED]
        assert paused > 0
        agent.process.send(signal.SIGCONT)
        wait_flowing(shadow)
        result = running.stop()
        wait_ledger(agent, lambda ledger: at(ledger, "records.in_ring") == 0, "ring read")
        summary = agent.stop()
    assert untouched(result)
    ledger = summary["ledger"]
    assert ledger["packets"]["paused"] >= paused
    assert repeated(shadow) == {}
    assert ledger["replay"]["failed"] == {}
    # Packets, not requests, were counted while nobody listened: a request, its answer.
    missed = result.sent - accounted(ledger)
    assert 0 < missed <= ledger["packets"]["paused"]


def test_a_stopped_worker_fills_its_ring(bed: Testbed, shadow: PyServer) -> None:
    """The ring runs over by name, production does not wait; the rest is read when it goes on."""
    resent = -retransmitted(bed.client)
    agent = attach_with(bed, {"ring-bytes": 65536, "max-queue-age-s": 60.0})
    with Kernel(bed.prod, bed.service_iface) as kernel, load(bed) as running:
        wait_flowing(shadow)
        (worker,) = workers(agent)
        os.kill(worker, signal.SIGSTOP)
        eventually(lambda: state_of(worker) == "T", PATIENCE_S, "the worker stops")
        eventually(
            lambda: kernel.counters()[Counter.RING_FULL_REQUESTS] > 20, PATIENCE_S, "ring full"
        )
        os.kill(worker, signal.SIGCONT)
        wait_flowing(shadow)
        result = running.stop()
        resent += retransmitted(bed.client)
        wait_named(agent, result.sent, resent)
        summary = agent.stop()
    ledger = summary["ledger"]
    assert untouched(result)
    assert workers_died(agent) == 0
    assert ledger["packets"]["ring_full"] > 0
    assert ledger["requests"]["lost"] > 20
    assert total(ledger["replay"]["failed"]) == 0
    assert repeated(shadow) == {}
    assert result.sent <= accounted(ledger) <= result.sent + resent


def workers_died(agent: Agent) -> int:
    """How many deaths the agent reported."""
    return agent.process.errors().count(" died (")
