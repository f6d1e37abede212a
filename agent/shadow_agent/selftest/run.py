"""The whole selftest: host, wire, traffic, verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final, Never

from shadow_agent import __version__
from shadow_agent.daemon.process import allow_files
from shadow_agent.errors import HostError
from shadow_agent.flow.segment import SYN, Segment
from shadow_agent.kernel import bpf, features
from shadow_agent.kernel.program import LoadError
from shadow_agent.kernel.tun import DEVICE
from shadow_agent.selftest.listening import Listener, rebuild
from shadow_agent.selftest.relay import Plan
from shadow_agent.selftest.report import ProgramCost, Report
from shadow_agent.selftest.traffic import Bed, Outcome, conversations
from shadow_agent.selftest.truth import Verdict, judge

# Of the tap's records, for the second look: what a ring that is full now and then would lose.
WITHHELD: Final = 0.02
# Both ends of the connections held at once, twice over; with fewer, accepting waits for ever.
FILES: Final = 512


def run(seed: int, connections: int) -> Report:
    """Hold the conversations and judge. Nothing stays behind, whatever ends it.

    Raises HostError with the fix where this host or this user cannot.
    """
    check_host()
    allow_files(FILES, "the selftest", "raise the hard limit (ulimit -Hn)")
    began = time.monotonic()
    try:
        with _terminated_as_interrupt(), _statistics() as counted, Bed() as bed:
            talks = list(conversations(connections, seed))
            outcome = asyncio.run(bed.run(talks, Plan(), seed))
            return _report(bed.listener, outcome, seed, connections, counted, began)
    except LoadError as error:
        raise HostError(str(error)) from error
    except OSError as error:
        raise HostError(
            f"no namespace or device for the selftest: {error}", "run `shadow-agent doctor`"
        ) from error


def check_host(device: Path = Path(DEVICE)) -> None:
    """Raises HostError for the first thing that is missing."""
    if os.geteuid() != 0:
        raise HostError("selftest needs root: it loads BPF and makes namespaces", "run as root")
    if not device.exists():
        raise HostError(f"no {device}: the kernel has no TUN devices here", "modprobe tun")
    for found in features.findings():
        if found.ok is False:
            raise HostError(f"{found.name}: {found.detail}", found.fix)


def withhold(segments: list[Segment], share: float, seed: int) -> list[Segment]:
    """All but a random share; every SYN stays, or joining late would be what is tried out."""
    random = Random(seed)  # noqa: S311 - has to be repeatable
    return [one for one in segments if one.flags & SYN or random.random() >= share]


def _report(
    listener: Listener, outcome: Outcome, seed: int, connections: int, counted: bool, began: float
) -> Report:
    return Report(
        version=__version__,
        kernel=os.uname().release,
        seed=seed,
        loader=str(listener.tap.loader),
        mechanism=", ".join(sorted(set(listener.tap.mechanisms.values()))),
        duration_s=time.monotonic() - began,
        connections=connections,
        wire=dict(outcome.relayed),
        whole=_judge(outcome, listener.segments),
        withheld=_judge(outcome, withhold(listener.segments, WITHHELD, seed)),
        withheld_share=WITHHELD,
        packets={str(c.name).lower(): n for c, n in listener.counts().items() if n},
        cost=[
            ProgramCost(name, runs, run_time / runs)
            for name, run_time, runs in listener.runs()
            if counted and runs
        ],
        failed=outcome.failed,
    )


def _judge(outcome: Outcome, segments: list[Segment]) -> Verdict:
    made = rebuild(segments)
    return judge(outcome.truth, made.exchanges, made.requests)


@contextlib.contextmanager
def _statistics() -> Iterator[bool]:
    """The kernel counts run time of BPF programs meanwhile; whether it does."""
    try:
        fd = bpf.enable_run_time_stats()
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, so that clsact filters do not wait for the namespace."""

    def interrupt(_number: int, _frame: FrameType | None) -> Never:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
