"""The agent as the benchmark runs it: shipped defaults less the governor, cost from outside."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from shadow_agent.kernel import bpf
from tests.testbed import Testbed
from tests.testbed.process import Process, cpu_seconds, descendants, memory_bytes

PORT = 8080
CONNECTIONS = 32
SMALL = "/api/items/7"
_PIDFD_GETFD = 438  # x86-64 and arm64 alike
_LIBC = ctypes.CDLL(None, use_errno=True)


class Cpu(NamedTuple):
    """Seconds of processor time so far: of all processes of the agent, and of its worker."""

    whole: float
    worker: float


class Agent:
    """Context manager: attached on entry; ``attach_s`` is how long that took from its start."""

    def __init__(self, bed: Testbed, *options: str, shadow_port: int = PORT) -> None:
        self._bed = bed
        self._options = options
        self._shadow_port = shadow_port
        self._summary: dict[str, Any] | None = None
        self.attach_s = 0.0

    def __enter__(self) -> Self:
        bed = self._bed
        # the shipped governor would mirror less on two cores that production and its client fill
        config = bed.directory / "bench.toml"
        config.write_text("[governor]\nenabled = false\n")
        began = time.monotonic()
        self.process: Process = bed.prod.spawn(
            Path(sys.executable).with_name("shadow-agent"),
            *("attach", "--iface", bed.service_iface, "--port", str(PORT), "--json"),
            *("--shadow", bed.shadow.url(self._shadow_port), "--shadow-iface", bed.shadow_iface),
            *("--data-dir", bed.directory / "data", "--runtime-dir", bed.directory / "run"),
            *("--config", config),
            *self._options,
            name="agent",
        )
        self.process.wait_output("attached", timeout=30)
        self.attach_s = time.monotonic() - began
        self._pids = descendants(self.process.pid)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.stop(10)

    def cpu(self) -> Cpu:
        """Processor time so far, without what has ended."""
        worker = [cpu_seconds(pid) for pid in self._pids[1:]]
        return Cpu(cpu_seconds(self._pids[0]) + sum(worker), worker[0] if worker else 0.0)

    def memory(self) -> tuple[float, float]:
        """MB of all processes now: proportional (PSS), and resident (RSS, shared counted twice)."""
        pss = sum(map(memory_bytes, self._pids))
        return pss / 1e6, sum(map(_resident_bytes, self._pids)) / 1e6

    def ctl(self, *words: str) -> None:
        """``shadow-agent ctl WORDS``; raises CalledProcessError."""
        command = Path(sys.executable).with_name("shadow-agent")
        self._bed.prod.run(command, "ctl", *words, "--runtime-dir", self._bed.directory / "run")

    def summary(self) -> dict[str, Any]:
        """Ends it; what it printed. Raises ChildProcessError with its words when it failed."""
        if self._summary is None:
            status = self.process.stop(10)
            if status != 0:
                raise ChildProcessError(f"agent: exit {status}: {self.process.errors()[-2000:]}")
            self._summary = json.loads(self.process.output())
        return self._summary

    def programs(self) -> dict[str, bpf.ProgramInfo]:
        """Its BPF programs by name, with what they took so far (zero unless stats are on)."""
        found = {}
        for number in _program_fds(self.process.pid):
            with _borrowed(self.process.pid, number) as fd:
                info = bpf.program_info(fd)
                found[info.name] = info
        return found


@contextlib.contextmanager
def run_time_stats() -> Iterator[None]:
    """The kernel counts run time and runs of every BPF program meanwhile (some 20 ns a run)."""
    fd = bpf.enable_run_time_stats()
    try:
        yield
    finally:
        os.close(fd)


def _program_fds(pid: int) -> list[int]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if "bpf-prog" in str(entry.readlink()):
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def _borrowed(pid: int, number: int) -> Iterator[int]:
    """A file descriptor of another process, as one of ours."""
    pidfd = os.pidfd_open(pid)
    try:
        fd = _LIBC.syscall(_PIDFD_GETFD, pidfd, number, 0)
        if fd < 0:
            error = ctypes.get_errno()
            raise OSError(error, f"pidfd_getfd: {os.strerror(error)}")
    finally:
        os.close(pidfd)
    try:
        yield fd
    finally:
        os.close(fd)


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
