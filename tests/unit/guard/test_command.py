"""COMMAND while it runs: what it is told, and when it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shadow_agent.guard import command
from shadow_agent.guard.cgroup import Cgroup
from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root

pytestmark = needs_root

ASKS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """One of this test."""
    found = Cgroup.prepare(Path(f"shadow-agent-command-{os.getpid()}"))
    yield found
    found.kill()
    eventually(lambda: not found.pids(), 5, "cgroup empty")
    found.close()


@pytest.fixture
def asked() -> Iterator[command.Asked]:
    """Signals caught, and as they were afterwards."""
    before = {number: signal.getsignal(number) for number in ASKS}
    found = command.Asked()
    yield found
    os.close(signal.set_wakeup_fd(-1))
    os.close(found.wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


def _start(cgroup: Cgroup, script: str) -> tuple[int, int]:
    """A shell inside, in a session of its own; its pid and what it says."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        Path(cgroup.path, "cgroup.procs").write_text("0", encoding="ascii")
        os.setsid()
        for number in ASKS:
            signal.signal(number, signal.SIG_DFL)
        os.dup2(theirs, 1)
        os.execv("/bin/sh", ["sh", "-c", script])  # noqa: S606 - a test's own
    os.close(theirs)
    return pid, ours


@pytest.mark.parametrize("number", ASKS)
def test_a_signal_is_handed_on(
    cgroup: Cgroup, asked: command.Asked, number: signal.Signals
) -> None:
    """A terminal's to what COMMAND started too, as there; and its end is ours."""
    wait = "echo up; while :; do sleep 0.05; done"
    if number != signal.SIGTERM:
        wait = f"(trap 'echo child; exit 0' {number.value}; {wait})"
    pid, said = _start(cgroup, f"trap 'echo got; exit 7' {number.value}; {wait}")
    with closing(os.fdopen(said)) as words:
        assert words.readline() == "up\n"
        os.kill(os.getpid(), number)
        status = command.watch(pid, cgroup, asked, lambda _: None, lambda: None, print)
        assert os.waitstatus_to_exitcode(status) == 7
        assert words.read() == ("got\n" if number == signal.SIGTERM else "child\ngot\n")


def test_who_does_not_end_is_killed(
    cgroup: Cgroup, asked: command.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace."""
    monkeypatch.setattr(command, "_GRACE_S", 0.0)
    pid, said = _start(cgroup, "trap '' TERM; echo up; sleep 20")
    with closing(os.fdopen(said)) as words:
        assert words.readline() == "up\n"
        os.kill(os.getpid(), signal.SIGTERM)
        status = command.watch(pid, cgroup, asked, lambda _: None, lambda: None, print)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


@pytest.mark.parametrize("remove", [False, True], ids=["moved", "removed"])
def test_outside_of_the_cgroup_it_is_ended(
    cgroup: Cgroup, asked: command.Asked, monkeypatch: pytest.MonkeyPatch, *, remove: bool
) -> None:
    """Whoever moved it out, and took the cgroup away: nothing would refuse what it calls."""
    monkeypatch.setattr(command, "_LOOK_S", 0.0)
    pid, said = _start(cgroup, "sleep 20 & echo up; wait")
    with closing(os.fdopen(said)) as words:
        assert words.readline() == "up\n"
        for one in (pid, *_children(pid)):
            Path(cgroup.path.parent, "cgroup.procs").write_text(str(one), encoding="ascii")
        if remove:
            cgroup.path.rmdir()
        notes: list[str] = []
        status = command.watch(pid, cgroup, asked, lambda _: None, lambda: None, notes.append)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        assert words.read() == ""  # what it started is gone too: nobody holds the pipe
    assert "was moved out of" in notes[0]


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_what_is_ignored_stays_so() -> None:
    """A guard under nohup, or in a shell's background, is not ended by a terminal."""
    code = (
        "import signal\n"
        "from shadow_agent.guard.command import Asked\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "asked = Asked()\n"
        "signal.raise_signal(signal.SIGHUP); print(asked.first)\n"
        "signal.raise_signal(signal.SIGQUIT); print(asked.first)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", str(int(signal.SIGQUIT))]
