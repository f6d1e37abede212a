"""What `read` takes for capture files, beside tshark on the same file in the same run."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from shadow_agent.flow.counts import SegmentCounts
from shadow_agent.flow.flow import FlowLimits
from shadow_agent.flow.segment import ACK, SYN, Segment, flow_key
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.counts import ExchangeCounts, RequestCounts
from shadow_agent.http.exchange import Limits
from tests.bench.figure import Figure, at_least, at_most, median
from tests.bench.paper import write_download, write_keep_alive
from tests.testbed import Testbed

_SHADOW_AGENT: Final = Path(sys.executable).with_name("shadow-agent")
_MIB: Final = 1 << 20
_ROUNDS: Final = 3
_EXCHANGES: Final = 200_000


class _Ran(NamedTuple):
    """A finished command: seconds of wall time and of processor time, MB at its peak, its lines."""

    wall: float
    cpu: float
    peak_mb: float
    lines: int


def _run(*argv: str | Path) -> _Ran:
    """Run to the end on one processor, output to a pipe that is read and counted."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["taskset", "-c", "0", *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    lines = 0
    stdout = process.stdout
    if stdout is None:
        raise AssertionError("no pipe")
    with stdout:
        while block := stdout.read(_MIB):
            lines += block.count(b"\n")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.SubprocessError(f"{argv[0]}: exit {process.returncode}")
    wall = time.monotonic() - began
    return _Ran(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, lines)


def small() -> list[Figure]:
    """Small keep-alive exchanges, in turn ours and tshark's."""
    part = "read: small keep-alive exchanges, one core"
    ours, ratio, cpu = [], [], []
    peak = 0.0
    with Testbed() as bed:
        pcap = bed.directory / "small.pcap"
        write_keep_alive(pcap, _EXCHANGES, 64)
        for _ in range(_ROUNDS):
            mine = _run(_SHADOW_AGENT, "read", "--quiet", pcap)
            theirs = _run(
                *("tshark", "-r", pcap, "-Y", "http", "-T", "fields"),
                *("-e", "http.request.method", "-e", "http.response.code"),
            )
            ours.append(mine.lines / mine.wall)
            ratio.append(theirs.wall / mine.wall)
            cpu.append(mine.cpu * 1e6 / mine.lines)
            peak = max(peak, mine.peak_mb)
            if mine.lines != _EXCHANGES:
                raise AssertionError(f"{mine.lines} exchanges read")
    note = f"{_EXCHANGES:,} exchanges"
    return [
        median(part, "exchanges a second", ours, "/s", at_least(25_000, "/s"), note),
        median(part, "as fast as tshark -Y http", ratio, "×", at_least(3, "×")),
        median(part, "CPU per exchange", cpu, "µs"),
        Figure(part, "peak memory (RSS)", peak, "MB", at_most(100, "MB")),
    ]


def bodies() -> list[Figure]:
    """One download of each size, whole or in packets of an Ethernet without offload."""
    figures = []
    with Testbed() as bed:
        for label, size, segment, target in (
            ("1 GiB body, 64 KiB packets (GRO)", 1024 * _MIB, 65_160, at_least(400, "MB/s")),
            ("64 MiB body, 64 KiB packets (GRO)", 64 * _MIB, 65_160, None),
            ("256 MiB body, 1,448 byte packets", 256 * _MIB, 1_448, None),
        ):
            pcap = bed.directory / "download.pcap"
            write_download(pcap, size, segment)
            speeds, peak = [], 0.0
            for _ in range(2):
                ran = _run(_SHADOW_AGENT, "read", "--quiet", pcap)
                speeds.append(size / ran.wall / 1e6)
                peak = max(peak, ran.peak_mb)
            pcap.unlink()
            part = f"read: {label}"
            figures += [
                median(part, "payload", speeds, "MB/s", target),
                Figure(part, "peak memory (RSS)", peak, "MB", at_most(100, "MB")),
            ]
    return figures


def disorder() -> list[Figure]:
    """One connection's body whose segments come in random order within the window."""
    part = "reassembly: one body in random order within 256 KiB, 1,460 byte segments"
    cost = {}
    for size in (64 * _MIB, 256 * _MIB, 1024 * _MIB):
        target = _assembler()
        began = time.process_time()
        whole = _feed(target, size, 256 << 10, random.Random(1))
        cost[size] = (time.process_time() - began) * 1e9 / size
        if not whole:
            raise AssertionError("the body was not rebuilt")
    small, _, large = cost.values()
    return [
        Figure(part, "1 GiB", large, "ns/B"),
        Figure(part, "64 MiB", small, "ns/B"),
        Figure(part, "a byte of 1 GiB ÷ a byte of 64 MiB", large / small, "×", at_most(1.3, "×")),
    ]


def _assembler() -> Assembler:
    limits = FlowLimits()
    return Assembler(limits, Limits(), SegmentCounts(), RequestCounts(), ExchangeCounts())


def _feed(target: Assembler, size: int, window: int, order: random.Random) -> bool:
    """Pushes a download in which each window of segments is shuffled; whether it was rebuilt."""
    for segment in _download(size, window, order):
        target.push(segment)
    return target.exchanges.answered == 1 and target.segments.held == 0


def _download(size: int, window: int, order: random.Random) -> Iterator[Segment]:
    key = flow_key("192.0.2.1", 40_000, "198.51.100.7", 80)
    payload = bytes(1_460)
    ts = 1
    yield Segment(ts, key, 0, 999, 0, SYN, b"", 0, True)
    yield Segment(ts, key, 1, 4_999, 1_000, SYN | ACK, b"", 0, True)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    yield Segment(ts, key, 0, 1_000, 5_000, ACK, request, len(request), True)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    yield Segment(ts, key, 1, 5_000, 1_000 + len(request), ACK, head, len(head), True)
    first = 5_000 + len(head)
    for start in range(0, size, window):
        offsets = list(range(start, min(start + window, size), 1_460))
        order.shuffle(offsets)
        for offset in offsets:
            ts += 1_000
            piece = payload[: min(1_460, start + window - offset, size - offset)]
            seq = (first + offset) & 0xFFFF_FFFF
            yield Segment(ts, key, 1, seq, 1_000 + len(request), ACK, piece, len(piece), True)
