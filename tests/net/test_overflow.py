"""Overload: what does not fit is lost by name, to the last request, and by outside counts.

Three parties count independently: the generator its requests, the kernel its program runs, the
agent everything in between.
"""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import Counter
from tests.net.agent import PATIENCE_S, PORT, accounted, at
from tests.net.faults import (
    ITEMS,
    Kernel,
    attach_with,
    repeated,
    retransmitted,
    state_of,
    untouched,
    wait_named,
    workers,
)
from tests.testbed import Testbed, eventually, nginx, pyserver, traffic
from tests.testbed.asks import Ask

SMALLEST_RING = 4096
REQUESTS = 1500
# Waiting is no loss here: only the ring is too small.
PATIENT = {"max-queue": 10_000, "max-queue-age-s": 60.0}


def overflowed(kernel: Kernel, requests: int) -> bool:
    """Whether a full ring has cost more than so many requests."""
    return kernel.counters()[Counter.RING_FULL_REQUESTS] > requests


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request"])
def test_smallest_ring_loses_by_name(bed: Testbed, keep_alive: bool) -> None:
    """At full speed into one page: sent = compared + named losses, seen = the kernel's runs."""
    nginx.start(bed.service)
    resent = -retransmitted(bed.client)
    shadow = pyserver.start(bed.shadow)
    counting = bpf.enable_run_time_stats()
    try:
        agent = attach_with(bed, {**PATIENT, "ring-bytes": SMALLEST_RING})
        with Kernel(bed.prod, bed.service_iface) as kernel:
            result = traffic.drive(
                bed.client,
                bed.service.url(PORT),
                ITEMS,
                requests=REQUESTS,
                connections=16,
                keep_alive=keep_alive,
            )
            resent += retransmitted(bed.client)
            wait_named(agent, result.sent, resent)
            ledger = agent.stop()["ledger"]
            counters, runs = kernel.counters(), kernel.runs()
    finally:
        os.close(counting)
    assert untouched(result)
    assert REQUESTS == result.sent <= accounted(ledger) <= REQUESTS + resent
    assert ledger["packets"]["seen"] == counters[Counter.SEEN] == runs
    assert ledger["packets"]["ring_full"] > 0
    assert ledger["requests"]["lost"] > 0
    assert at(ledger, "requests.started") > 0
    # The ring is the only bottleneck, so nothing else may take the blame.
    assert ledger["replay"]["shed"] == ledger["replay"]["failed"] == {}
    assert ledger["pairs"]["uncomparable"].keys() <= {"production_unanswered"}
    assert repeated(shadow) == {}


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request"])
def test_worker_that_cannot_keep_up(bed: Testbed, keep_alive: bool) -> None:
    """A worker stopped again and again loses what its ring cannot hold, and nothing unnamed."""
    nginx.start(bed.service)
    resent = -retransmitted(bed.client)
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(bed, {**PATIENT, "ring-bytes": 16 * SMALLEST_RING})
    with Kernel(bed.prod, bed.service_iface) as kernel:
        running = traffic.start(
            bed.client,
            bed.service.url(PORT),
            ITEMS,
            rate=400,
            duration=120,
            connections=16,
            keep_alive=keep_alive,
        )
        (worker,) = workers(agent)
        for _ in range(3):
            agent.wait_compared(agent.ledger()["pairs"]["compared"] + 20)
            enough = kernel.counters()[Counter.RING_FULL_REQUESTS] + 10
            os.kill(worker, signal.SIGSTOP)
            eventually(lambda: state_of(worker) == "T", PATIENCE_S, "the worker stops")
            eventually(
                partial(overflowed, kernel, enough),
                PATIENCE_S,
                "the ring runs over",
            )
            os.kill(worker, signal.SIGCONT)
        result = running.stop()
        resent += retransmitted(bed.client)
        wait_named(agent, result.sent, resent)
        ledger = agent.stop()["ledger"]
        counters = kernel.counters()
    assert untouched(result)
    assert result.sent <= accounted(ledger) <= result.sent + resent
    assert ledger["packets"]["ring_full"] == counters[Counter.RING_FULL] > 0
    assert ledger["requests"]["lost"] >= counters[Counter.RING_FULL_REQUESTS] > 30
    assert ledger["replay"]["failed"] == {}
    assert repeated(shadow) == {}


def test_bodies_in_the_smallest_ring(bed: Testbed) -> None:
    """Uploads and large answers that never fit: started ones are gaps, the rest lost, all named."""
    nginx.start(bed.service)
    resent = -retransmitted(bed.client)
    pyserver.start(bed.shadow)
    agent = attach_with(
        bed, {**PATIENT, "ring-bytes": SMALLEST_RING}, "--methods", "all", "--unguarded"
    )
    mix = [
        Ask("GET", "/api/items/{n}", weight=4),
        Ask("POST", "/api/orders", 20_000),
        Ask("POST", "/api/orders", 3000, chunked=True),
        Ask("GET", "/big"),
    ]
    result = traffic.drive(
        bed.client, bed.service.url(PORT), mix, rate=200, requests=210, connections=4
    )
    resent += retransmitted(bed.client)
    wait_named(agent, result.sent, resent)
    ledger = agent.stop()["ledger"]
    assert untouched(result)
    assert result.sent <= accounted(ledger) <= result.sent + resent
    assert ledger["requests"]["gap"] + ledger["requests"]["lost"] > 0
    assert ledger["replay"]["failed"] == {}


def test_under_full_load_the_books_balance(bed: Testbed) -> None:
    """As fast as two cores go, with every kind of message; after the drain all is named."""
    nginx.start(bed.service)
    resent = -retransmitted(bed.client)
    nginx.start(bed.shadow)
    counting = bpf.enable_run_time_stats()
    try:
        agent = attach_with(bed, PATIENT, "--methods", "all", "--unguarded", "--workers", "2")
        with Kernel(bed.prod, bed.service_iface) as kernel:
            mix = [
                *(Ask("GET", "/api/items/{n}", weight=5), Ask("HEAD", "/big"), Ask("GET", "/big")),
                *(Ask("POST", "/api/orders", 9000, chunked=True), Ask("GET", "/chunked")),
            ]
            result = traffic.drive(bed.client, bed.service.url(PORT), mix, requests=3000)
            resent += retransmitted(bed.client)
            wait_named(agent, result.sent, resent)
            ledger = agent.stop()["ledger"]
            runs = kernel.runs()
    finally:
        os.close(counting)
    assert untouched(result)
    assert 3000 == result.sent <= accounted(ledger) <= 3000 + resent
    assert ledger["packets"]["seen"] == runs
    assert at(ledger, "pairs.compared") > 0
