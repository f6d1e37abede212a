"""Load from the client host: ``python -m tests.testbed.traffic --url URL ...`` prints its counts.

``start`` runs it on a host in the background, ``drive`` to its end; both take the same words.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import uvloop

from tests.testbed.asks import Ask, parse
from tests.testbed.generator import Load, Plan
from tests.testbed.host import Host
from tests.testbed.process import Process

MAX_REQUESTS = 5_000_000
MAX_SECONDS = 600.0
_GRACE_S = 20.0  # interpreter start, connecting, printing


class Result(NamedTuple):
    """The generator's own account. ``sent = answered + sum(errors)``, exactly.

    ``errors``: connect, reset, closed, timeout, malformed, too long. ``unasked``: connections that
    brought bytes nobody asked for. ``unsent``: due but never sent for want of a free connection.
    ``by_ask``: per "METHOD TARGET" the sent count and a count per status.
    """

    sent: int
    answered: int
    unsent: int
    by_status: dict[str, int]
    errors: dict[str, int]
    unasked: int
    by_ask: dict[str, dict[str, int]]
    connections: int
    body_bytes: int
    seconds: float
    rate: float
    latency_us: dict[str, float]
    cpu_seconds: float


class Traffic:
    """A running generator."""

    def __init__(self, process: Process, seconds: float) -> None:
        self.process = process
        self._seconds = seconds

    def result(self, timeout: float | None = None) -> Result:
        """Its account once it ends by itself.

        Raises subprocess.TimeoutExpired, ChildProcessError with its words when it failed.
        """
        status = self.process.wait(self._seconds if timeout is None else timeout)
        if status != 0:
            raise ChildProcessError(f"traffic: exit {status}: {self.process.errors()[-2000:]}")
        return Result(**json.loads(self.process.output()))

    def stop(self) -> Result:
        """Send nothing more, wait for what is outstanding; its account."""
        if self.process.running:
            self.process.send(signal.SIGTERM)
        return self.result()


def start(
    host: Host,
    url: str,
    mix: Sequence[Ask] = (),
    *,
    rate: float = 0,
    connections: int = 16,
    requests: int = 0,
    duration: float = 0,
    timeout: float = 10,
    keep_alive: bool = True,
) -> Traffic:
    """Start the generator on ``host``; give ``requests`` or ``duration`` (seconds) or both.

    ``url`` names host and port, and what to GET when there is no ``mix``. ``rate`` per second, 0:
    closed loop. Without ``keep_alive`` every request has a connection of its own, at most
    ``connections`` at a time.
    """
    if not requests and not duration:
        raise ValueError("traffic: neither requests nor duration given, it would not end")
    process = host.python(
        "tests.testbed.traffic",
        *("--url", url, "--rate", f"{rate:g}", "--connections", str(connections)),
        *("--requests", str(requests), "--duration", f"{duration:g}", "--timeout", f"{timeout:g}"),
        *(f"--mix={ask}" for ask in mix),
        *([] if keep_alive else ["--no-keepalive"]),
    )
    sending = duration or (requests / rate if rate else MAX_SECONDS)
    return Traffic(process, sending + 2 * timeout + _GRACE_S)


def drive(
    host: Host,
    url: str,
    mix: Sequence[Ask] = (),
    *,
    rate: float = 0,
    connections: int = 16,
    requests: int = 0,
    duration: float = 0,
    timeout: float = 10,
    keep_alive: bool = True,
) -> Result:
    """``start`` and wait for the end."""
    return start(
        host,
        url,
        mix,
        rate=rate,
        connections=connections,
        requests=requests,
        duration=duration,
        timeout=timeout,
        keep_alive=keep_alive,
    ).result()


def account(load: Load, cpu_seconds: float) -> Result:
    """The counts of a finished load."""
    by_status: Counter[str] = Counter()
    by_ask: dict[str, Counter[str]] = {}
    for index, sent in load.sent.items():
        by_ask.setdefault(load.plan.asks[index].name, Counter())["sent"] += sent
    for (index, status), number in load.statuses.items():
        by_status[str(status)] += number
        by_ask[load.plan.asks[index].name][str(status)] += number
    seconds = load.ended - load.started
    ordered = sorted(load.latencies)
    return Result(
        sent=load.sent.total(),
        answered=by_status.total(),
        unsent=load.unsent,
        by_status=dict(by_status),
        errors=dict(load.errors),
        unasked=load.unasked,
        by_ask={name: dict(counts) for name, counts in by_ask.items()},
        connections=load.opened,
        body_bytes=load.body_bytes,
        seconds=round(seconds, 3),
        rate=round(load.sent.total() / seconds, 1) if seconds else 0.0,
        latency_us={
            f"p{rank}": round(ordered[min(len(ordered) - 1, len(ordered) * rank // 100)] * 1e6, 1)
            for rank in (50, 95, 99, 100)
            if ordered
        },
        cpu_seconds=round(cpu_seconds, 3),
    )


def main() -> None:
    """Generate load, print one JSON object."""
    parser = argparse.ArgumentParser(description="HTTP load with exact counts.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--mix", action="append", type=parse, metavar="METHOD TARGET [N[c]] [*W]")
    parser.add_argument("--rate", type=float, default=0, help="requests per second; 0: closed loop")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--requests", type=int, default=0)
    parser.add_argument("--duration", type=float, default=0, help="seconds")
    parser.add_argument("--timeout", type=float, default=10, help="seconds for one request")
    parser.add_argument("--no-keepalive", action="store_true")
    options = parser.parse_args()
    url = urlsplit(options.url)
    if url.hostname is None or not (options.requests or options.duration):
        parser.error("needs a URL with a host, and --requests or --duration")
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    plan = Plan(
        host=url.hostname,
        port=url.port or 80,
        asks=options.mix or [Ask("GET", target)],
        rate=options.rate,
        connections=options.connections,
        requests=min(options.requests or MAX_REQUESTS, MAX_REQUESTS),
        duration=min(options.duration or MAX_SECONDS, MAX_SECONDS),
        timeout=options.timeout,
        keep_alive=not options.no_keepalive,
    )
    load = Load(plan)
    before = _cpu_seconds()
    _run(load)
    json.dump(account(load, _cpu_seconds() - before)._asdict(), sys.stdout)
    print()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _run(load: Load) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, setattr, load, "stopping", True)
        await load.run()

    uvloop.run(main())


if __name__ == "__main__":
    main()
