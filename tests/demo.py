"""The demo: two builds of one service, real traffic, and the agent that finds what differs.

``python -m tests.demo`` (``make demo``), as root. Exit status: 0 when the agent reports exactly
what was planted, 1 when not, 2 when this machine cannot run it, 128 + N after signal N.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from rich.console import Console

from shadow_agent.telemetry.terminal import percent
from tests.testbed import Terminated, Testbed, eventually, nginx, traffic
from tests.testbed.asks import Ask
from tests.testbed.names import process_start
from tests.testbed.needs import missing
from tests.testbed.nginx import DIFFERENCES, SAME, Difference, Kind
from tests.testbed.process import descendants

_PORT = 8080
_CONNECTIONS = 16  # of each address family
_LEAD_S = 1.0  # traffic before the agent comes: it joins connections that are open already
_STOP_S = 10.0  # the agent's own drain takes at most five
_COVERAGE = 0.99
_SLOWER = 0.5  # share of a planted delay by which medians must differ to be called slower
_LARGE = ("/big",)  # asked for rarely, so that the demo is about answers, not bytes


class Finding(NamedTuple):
    """What the agent's summary says about one planted difference."""

    found: bool
    says: str


class Agent:
    """The agent on the user's own terminal, in a session of its own: Ctrl-C reaches only us."""

    def __init__(self, bed: Testbed) -> None:
        self._data = bed.directory / "data"
        command = Path(sys.executable).with_name("shadow-agent")
        words = [
            *("attach", "--iface", bed.service_iface, "--port", str(_PORT)),
            *("--shadow", bed.shadow.url(_PORT), "--shadow-iface", bed.shadow_iface),
            *("--production-build", "v1", "--shadow-build", "v2"),
        ]
        self.shown = " ".join(["shadow-agent", *words])
        folders = ["--data-dir", str(self._data), "--runtime-dir", str(bed.directory / "run")]
        # every planted difference is looked for, also where the demo itself fills a small machine
        config = bed.directory / "demo.toml"
        config.write_text("[governor]\nenabled = false\n")
        self._argv = bed.prod.command(command, *words, *folders, "--config", str(config))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.DEVNULL, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGTERM)  # also while it still starts, when Ctrl-C would be a traceback

    def wait_attached(self) -> None:
        """Raises ChildProcessError when it ends instead; it has said why by then."""
        pid = self._running().pid
        eventually(lambda: bool(self._files("run.json")), 30.0, "the agent: attach", pid)

    def check(self) -> None:
        """Raises ChildProcessError when it has ended by itself."""
        status = self._running().poll()
        if status is not None:
            raise ChildProcessError(f"the agent ended by itself (exit {status})")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, as a user would: it detaches, drains and prints its summary; exit status."""
        process = self._running()
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def summary(self) -> dict[str, Any]:
        """What it wrote to its data directory; raises FileNotFoundError."""
        files = self._files("summary.json")
        if not files:
            raise FileNotFoundError("the agent left no summary.json")
        summary: dict[str, Any] = json.loads(files[0].read_bytes())
        return summary

    def _files(self, name: str) -> list[Path]:
        return list(self._data.glob(f"*/*/{name}"))

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the agent was not started")
        return self._process


class Steps:
    """Numbered lines that say what is being done."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._number = 0

    def __call__(self, text: str) -> None:
        self._number += 1
        self.say(f"[bold]{self._number}.[/] {text}")

    def say(self, text: str) -> None:
        """A line without a number."""
        self.console.print(text, soft_wrap=True)


def mix() -> list[Ask]:
    """Every page of the shop, the same ones also by HEAD, and orders that must not be replayed."""
    same = [target for target in SAME if target not in _LARGE]
    return [
        *(Ask("GET", target, weight=6) for target in same),
        *(Ask("HEAD", target) for target in (*same, *_LARGE)),
        *(Ask("GET", target) for target in _LARGE),
        *(Ask(planted.method, planted.target, weight=3) for planted in DIFFERENCES),
        Ask("POST", "/api/orders", 300),
        Ask("POST", "/api/orders", 3000, chunked=True),
    ]


def judge(planted: Difference, row: dict[str, Any] | None) -> Finding:
    """Whether the agent's row of an endpoint shows what was planted there, in every pair."""
    if row is None or not row["pairs"]:
        return Finding(False, "never compared")
    pairs = row["pairs"]
    if planted.kind is Kind.LATENCY:
        ours, theirs = (row["latency_us"][side]["p50"] for side in ("production", "shadow"))
        if ours is None or theirs is None:
            return Finding(False, "latency unknown")
        says = f"median first byte {ours / 1000:.0f} ms, of the shadow {theirs / 1000:.0f} ms"
        return Finding(_slower(row), f"{says} ({pairs:,} pairs)")
    differ = row[f"{planted.kind}_mismatches"]
    return Finding(differ == pairs, f"differs in {differ:,} of {pairs:,} pairs")


def unplanted(rows: list[dict[str, Any]]) -> list[str]:
    """Endpoints that are reported as different, or slower, and should not be."""
    kinds = {(planted.method, planted.target): planted.kind for planted in DIFFERENCES}
    found = []
    for row in rows:
        kind = kinds.get((row["method"], row["path"]))
        name = f"{row['method']} {row['path']}"
        if row["status_mismatches"] and kind is not Kind.STATUS:
            found.append(f"{name}: status in {row['status_mismatches']:,} pairs")
        # An error page instead of the answer is another body, too.
        if row["body_mismatches"] and kind not in (Kind.STATUS, Kind.BODY):
            found.append(f"{name}: body in {row['body_mismatches']:,} pairs")
        if kind is not Kind.LATENCY and _slower(row):
            found.append(f"{name}: slower")
    return found


def _slower(row: dict[str, Any]) -> bool:
    ours, theirs = (row["latency_us"][side]["p50"] for side in ("production", "shadow"))
    planted = (nginx.SLOW_S["v2"] - nginx.SLOW_S["v1"]) * 1e6
    return ours is not None and theirs is not None and theirs - ours > _SLOWER * planted


def verdict(summary: dict[str, Any], step: Steps) -> bool:
    """Compare what was planted with what the summary says; tell, and return whether all is well."""
    rows = {(row["method"], row["path"]): row for row in summary["endpoints"]}
    good = True
    for planted in DIFFERENCES:
        found, says = judge(planted, rows.get((planted.method, planted.target)))
        good &= found
        mark = "[green]found[/] " if found else "[red]MISSED[/]"
        detail = "" if planted.detail == planted.kind else planted.detail
        what = f"{planted.method} {planted.target:<11} {planted.kind} {detail}"
        step.say(f"   {mark} {what:<36} {says}")
    extra = unplanted(summary["endpoints"])
    for line in extra:
        step.say(f"   [red]NOT PLANTED[/] {line}")
    if not extra:
        step.say(f"   and nothing else, in {len(rows)} kinds of request")
    coverage, wrong = summary["coverage"], summary["imbalances"]
    compared = summary["ledger"]["pairs"]["compared"]
    covered = coverage is not None and coverage >= _COVERAGE
    tone = "green" if covered else "red"
    step.say(
        f"   coverage: [{tone}]{percent(coverage)}[/] of what should be compared was "
        f"({compared:,} pairs)"
    )
    step.say(
        f"   ledger: [red]does not balance[/]: {'; '.join(wrong)}"
        if wrong
        else "   ledger: [green]balances[/], every packet and request is accounted for"
    )
    return good and covered and not extra and not wrong


def demonstrate(bed: Testbed, step: Steps, seconds: float, rate: float) -> bool:
    """The demo proper; raises ChildProcessError or TimeoutError when a part of it breaks."""
    step(
        f"Hosts: client {bed.client.v4}, production {bed.prod.v4}, shadow {bed.shadow.v4} "
        "(network namespaces; production has an interface of its own towards the shadow)"
    )
    nginx.start(bed.service, nginx.Build.V1, _PORT)
    nginx.start(bed.shadow, nginx.Build.V2, _PORT)
    step(f"Servers: nginx v1 as production and v2 as shadow, both on port {_PORT}")
    loads = [
        traffic.start(
            bed.client,
            bed.service.url(_PORT, ipv6=ipv6),
            mix(),
            rate=rate / 2,
            connections=_CONNECTIONS,
            duration=seconds + _LEAD_S,
        )
        for ipv6 in (False, True)
    ]
    step(
        f"Traffic: {rate:g} requests/s for {seconds:g} s over {2 * _CONNECTIONS} keep-alive "
        "connections, IPv4 and IPv6: GET, HEAD, POST"
    )
    time.sleep(_LEAD_S)
    with Agent(bed) as agent:
        step(f"The agent joins in, on the production host: {agent.shown}")
        agent.wait_attached()
        while any(load.process.running for load in loads):
            agent.check()
            time.sleep(0.05)
        results = [load.result() for load in loads]
        step("Traffic has ended; Ctrl-C to the agent: it detaches, drains and sums up")
        status = agent.stop()
    sent, answered = (sum(getattr(r, name) for r in results) for name in ("sent", "answered"))
    step.say("")
    step(f"The client's own count: {sent:,} requests, {answered:,} answered by production")
    if status != 0:
        raise ChildProcessError(f"the agent failed (exit {status})")
    step("What was planted in v2, and what the agent, which was told nothing, reports:")
    return verdict(agent.summary(), step) and sent == answered


def clean_up() -> None:
    """End what is still a descendant of ours: a signal may have come in the middle of a start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    mine = descendants(os.getpid())[1:]
    for pid in mine:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        eventually(lambda: not any(map(process_start, mine)), 2.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, leave nothing behind, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description="A demo. Needs root.")
    parser.add_argument("--seconds", type=float, default=25, help="of mirroring (default: 25)")
    parser.add_argument("--rate", type=float, default=400, help="requests/s (default: 400)")
    options = parser.parse_args(arguments)
    trouble = missing()
    if trouble is not None:
        print(f"demo: {trouble}", file=sys.stderr)
        return 2
    step = Steps()
    try:
        bed = Testbed()
        try:
            with bed:
                good = demonstrate(bed, step, options.seconds, options.rate)
        finally:
            if any(host.exists() for host in bed.hosts):
                bed.close()  # a signal came just before it began to close
            clean_up()
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Terminated) else signal.SIGINT
        print(f"demo: {signal.Signals(number).name}: stopped, everything is gone", file=sys.stderr)
        return 128 + number
    except (OSError, subprocess.SubprocessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    step("Every process, namespace and filter is gone again")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
