"""The parts of the benchmark; each takes some seconds and returns its figures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from tests.bench.agent import CONNECTIONS, PORT, SMALL, Agent, run_time_stats
from tests.bench.compare import compare
from tests.bench.figure import AT_LEAST_ALL, Figure, at_most, median
from tests.bench.files import bodies, disorder, small
from tests.bench.many import open_flows
from tests.bench.policy import policy
from tests.bench.verdict import verdict
from tests.testbed import Testbed, nginx, pyserver, tools, traffic
from tests.testbed.asks import Ask

_CPU: Final = at_most(50, "µs")
_MEMORY: Final = at_most(150, "MB")
_SETTLE_S: Final = 0.5  # the agent has caught up and reported
_HANGING = 8081  # port of the shadow that never answers
_UNTAPPED = 8082  # port of production that the agent does not tap


def mirror() -> list[Figure]:
    """Coverage, CPU, dispatch lag and memory at fixed rates of small GETs."""
    with Testbed() as bed:
        nginx.start(bed.service, "v1", PORT)
        nginx.start(bed.shadow, "v1", PORT)
        return [
            *_at_rate(bed, 2000, rounds=3, seconds=4, target=True),
            *_at_rate(bed, 5000, rounds=2, seconds=3),
            *_at_rate(bed, 10000, rounds=2, seconds=3),
            *_at_rate(bed, 2000, rounds=2, seconds=3, path="/api/items/{n}"),
        ]


def _at_rate(
    bed: Testbed, rate: int, *, rounds: int, seconds: float, path: str = SMALL, target: bool = False
) -> list[Figure]:
    part = f"mirror, {rate:,} requests/s" + (", each to a path of its own" if path != SMALL else "")
    whole, worker, reached = [], [], []
    with Agent(bed) as agent:
        _drive(bed, rate, 1, path)  # connections are open, code is warm
        for _ in range(rounds):
            before = agent.cpu()
            result = _drive(bed, rate, seconds, path)
            after = agent.cpu()
            whole.append((after.whole - before.whole) * 1e6 / result.answered)
            worker.append((after.worker - before.worker) * 1e6 / result.answered)
            reached.append(result.rate)
        pss, rss = agent.memory()
        summary = agent.summary()
    lag = summary["dispatch_lag_us"]
    figures = [
        Figure(part, "coverage", summary["coverage"], "", AT_LEAST_ALL, note=_trouble(summary)),
        median(part, "CPU per comparison, all processes", whole, "µs", _CPU if target else None),
        median(part, "CPU per comparison, worker alone", worker, "µs"),
        Figure(part, "dispatch lag p50", lag["p50"], "µs"),
        Figure(part, "dispatch lag p99", lag["p99"], "µs"),
        Figure(part, "memory (PSS)", pss, "MB", _MEMORY),
        Figure(part, "memory (RSS)", rss, "MB", note="shared pages twice"),
    ]
    if min(reached) < 0.98 * rate:
        figures.append(median(part, "rate the generator reached", reached, "/s"))
    return figures


def _drive(bed: Testbed, rate: int, seconds: float, path: str) -> traffic.Result:
    result = traffic.drive(
        bed.client,
        bed.service.url(PORT),
        [Ask("GET", path)],
        rate=rate,
        connections=CONNECTIONS,
        duration=seconds,
    )
    time.sleep(_SETTLE_S)
    return result


def _trouble(summary: dict[str, Any]) -> str:
    lost = summary["ledger"]["packets"]["ring_full"]
    wrong = summary["imbalances"]
    return "; ".join(([f"ring full: {lost:,} packets"] if lost else []) + wrong)


def throughput() -> list[Figure]:
    """What production's clients feel: wrk flat out, in turns without and with the agent."""
    part = f"throughput, closed loop, {CONNECTIONS} connections"
    alone, fine, hanging, latency = [], [], [], []
    coverage: list[float] = []
    with Testbed() as bed:
        nginx.start(bed.service, "v1", PORT)
        nginx.start(bed.shadow, "v1", PORT)
        pyserver.start(bed.shadow, pyserver.Mode.HANG, _HANGING)

        def measure() -> tools.WrkResult:
            url = bed.service.url(PORT, SMALL)
            return tools.wrk(bed.client, url, connections=CONNECTIONS, seconds=2)

        measure()
        for _ in range(4):
            without = measure()
            with Agent(bed) as agent:
                mirrored = measure()
                coverage.append(agent.summary()["coverage"] or 0.0)
            with Agent(bed, shadow_port=_HANGING):
                stuck = measure()
            alone.append(without.rate)
            fine.append(mirrored.rate / without.rate)
            hanging.append(stuck.rate / without.rate)
            latency.append(mirrored.latency_us["p99"] / without.latency_us["p99"])
    note = f"{len(alone)} rounds in turn: without, with, with a hanging shadow"
    return [
        median(part, "without the agent", alone, "/s", note=note),
        median(part, "with the agent ÷ without", fine, "×"),
        median(part, "with a hanging shadow ÷ without", hanging, "×"),
        median(part, "p99 latency with the agent ÷ without", latency, "×"),
        median(part, "coverage when flat out", coverage, note="what is lost is named"),
    ]


def bpf() -> list[Figure]:
    """Run time of each program per packet, over all packets it saw of that kind of traffic."""
    part = "BPF run time per packet, by program and kind of traffic"
    figures = []
    with Testbed() as bed, run_time_stats():
        nginx.start(bed.service, "v1", PORT)
        nginx.start(bed.service, "v1", _UNTAPPED)
        nginx.start(bed.shadow, "v1", PORT)
        with Agent(bed) as agent:
            kinds: list[tuple[str, int, str, Callable[[], None]]] = [
                ("another port", _UNTAPPED, SMALL, lambda: None),
                ("small GETs", PORT, SMALL, lambda: None),
                ("1 MiB answers", PORT, "/big", lambda: None),
                ("sampled out", PORT, SMALL, lambda: agent.ctl("sample", "0")),
            ]
            for kind, port, path, prepare in kinds:
                prepare()
                before = agent.programs()
                rate = 50 if path == "/big" else 2000
                url = bed.service.url(port)
                ask = [Ask("GET", path)]
                traffic.drive(bed.client, url, ask, rate=rate, connections=8, duration=2)
                for name, now in sorted(agent.programs().items()):
                    runs = now.run_count - before[name].run_count
                    if runs < 50:
                        continue
                    each = (now.run_time_ns - before[name].run_time_ns) / runs
                    label = f"{name}, {kind}"
                    figures.append(Figure(part, label, each, "ns", note=f"{runs:,} packets"))
    return figures


def idle() -> list[Figure]:
    """Time to attach, and what the agent takes when nothing happens."""
    part = "idle"
    attach, share = [], []
    pss = rss = 0.0
    with Testbed() as bed:
        nginx.start(bed.service, "v1", PORT)
        nginx.start(bed.shadow, "v1", PORT)
        for _ in range(3):
            with Agent(bed) as agent:
                attach.append(agent.attach_s)
                time.sleep(2)  # what the start left to do, and the slower polling, are over
                before, began = agent.cpu(), time.monotonic()
                time.sleep(4)
                share.append((agent.cpu().whole - before.whole) / (time.monotonic() - began) * 100)
                pss, rss = agent.memory()
    return [
        median(part, "start until attached", attach, "s"),
        median(part, "CPU", share, "%", note="of one core"),
        Figure(part, "memory (PSS)", pss, "MB", _MEMORY),
        Figure(part, "memory (RSS)", rss, "MB"),
    ]


def flows() -> list[Figure]:
    """Memory and CPU when every request has a connection of its own."""
    part = "10,000 connections of one request"
    with Testbed() as bed:
        nginx.start(bed.service, "v1", PORT)
        nginx.start(bed.shadow, "v1", PORT)
        with Agent(bed) as agent:
            time.sleep(1)
            before = agent.cpu()
            result = traffic.drive(
                bed.client,
                bed.service.url(PORT),
                [Ask("GET", SMALL)],
                rate=2000,
                connections=64,
                requests=10_000,
                keep_alive=False,
            )
            time.sleep(_SETTLE_S)
            cpu = agent.cpu().whole - before.whole
            pss, rss = agent.memory()
            summary = agent.summary()
    return [
        Figure(part, "coverage", summary["coverage"], "", AT_LEAST_ALL, note=_trouble(summary)),
        Figure(part, "CPU per comparison", cpu * 1e6 / result.answered, "µs"),
        Figure(part, "memory (PSS)", pss, "MB", _MEMORY),
        Figure(part, "memory (RSS)", rss, "MB"),
    ]


PARTS: Final[dict[str, Callable[[], list[Figure]]]] = {
    "mirror": mirror,
    "throughput": throughput,
    "bpf": bpf,
    "idle": idle,
    "flows": flows,
    "open": open_flows,
    "read": small,
    "bodies": bodies,
    "disorder": disorder,
    "policy": policy,
    "compare": compare,
    "verdict": verdict,
}
