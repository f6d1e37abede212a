"""A started process: its logs, its end, and what it costs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.testbed.names import process_start
from tests.testbed.wait import eventually

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Process:
    """A child in a session of its own (Ctrl-C reaches only the owner), stdout and stderr in files.

    ``out`` and ``err`` are the files' paths; they stay readable until the testbed is closed.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        directory: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.out = directory / f"{name}.out"
        self.err = directory / f"{name}.err"
        environment = None if env is None else {**os.environ, **env}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self._popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Pid of the command itself (nsenter execs into it)."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, minus the signal's number when killed; None while it runs."""
        return self._popen.poll()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.returncode is None

    def output(self) -> str:
        """What it wrote to stdout so far."""
        return self.out.read_text(errors="replace")

    def errors(self) -> str:
        """What it wrote to stderr so far."""
        return self.err.read_text(errors="replace")

    def wait(self, timeout: float) -> int:
        """Exit status once it ends by itself; raises subprocess.TimeoutExpired (seconds)."""
        return self._popen.wait(timeout)

    def wait_output(self, text: str, timeout: float = 10.0) -> None:
        """Return once stdout or stderr holds ``text``; see ``eventually`` for what is raised."""
        what = f"{self.name}: print {text!r}"
        try:
            eventually(lambda: text in self.output() + self.errors(), timeout, what, self.pid)
        except (TimeoutError, ChildProcessError) as error:
            raise type(error)(f"{error}; stderr: {self.errors()[-2000:]}") from None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone (not to its children)."""
        self._popen.send_signal(number)

    def terminate(self) -> None:
        """Send SIGTERM to the process alone, without waiting."""
        self.send(signal.SIGTERM)

    def stop(self, timeout: float = 5.0, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, SIGKILL the whole session group after ``timeout`` seconds; exit status."""
        if self.running:
            self.send(number)
            try:
                return self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.wait(5)

    def kill(self) -> None:
        """SIGKILL it and what it started in its session group, and reap it."""
        # The group outlives its leader: after the leader is reaped its number may be another's.
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.wait(5)

    def tree(self) -> list[int]:
        """Pids of the process and its living descendants, parents first."""
        return descendants(self.pid)

    def cpu_seconds(self) -> float:
        """User and system time of the living tree so far (10 ms units); ended children excluded."""
        return sum(cpu_seconds(pid) for pid in self.tree())

    def pss_bytes(self) -> int:
        """Proportional memory of the tree: what workers share is counted once."""
        return sum(memory_bytes(pid) for pid in self.tree())


def descendants(pid: int) -> list[int]:
    """``pid`` and its living descendants, parents first; empty when it is gone."""
    if process_start(pid) is None:
        return []
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found.extend(map(int, (task / "children").read_text().split()))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, all its threads, in 10 ms units; 0 when gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def memory_bytes(pid: int) -> int:
    """Proportional set size of one process; 0 when gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
