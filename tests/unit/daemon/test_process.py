"""What a child does before it touches a byte from the wire, in real children."""

from __future__ import annotations

import asyncio
import os
import pwd
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_agent.daemon import process as module
from shadow_agent.daemon.process import (
    OUT_OF_MEMORY,
    allow_files,
    bound_memory,
    close_all_but,
    die_with_parent,
    drop_privileges,
    end_if_out_of_memory,
    ignore_terminal_signals,
    name_process,
    on_loop_exception,
)
from tests.unit.isolated import needs_root

NOBODY = pwd.getpwnam("nobody")


def in_child(work: Callable[[], object]) -> str:
    """What it says of the work's result, or how it ended."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = repr(work())
        except BaseException as error:
            said = repr(error)
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    _, status = os.waitpid(pid, 0)
    return said or f"exit {os.waitstatus_to_exitcode(status)}"


def test_its_name() -> None:
    """As ps shows it, in 15 characters."""

    def work() -> str:
        name_process("shadow-worker0-of-many")
        return Path("/proc/self/comm").read_text(encoding="ascii").strip()

    assert in_child(work) == "'shadow-worker0-'"


def test_files_are_closed() -> None:
    """All but the standard ones and those that are named, whatever their numbers."""
    kept, other = os.pipe()
    high = os.dup2(other, 700)

    def work() -> list[bool]:
        close_all_but({kept, *answering})
        return [is_open(fd) for fd in (0, 1, 2, kept, other, high)]

    def is_open(fd: int) -> bool:
        try:
            os.fstat(fd)
        except OSError:
            return False
        return True

    ours, theirs = os.pipe()
    answering = {theirs}
    pid = os.fork()
    if pid == 0:
        os.write(theirs, repr(work()).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        assert pipe.read() == "[True, True, True, True, False, False]"
    os.waitpid(pid, 0)
    for fd in (kept, other, high):
        os.close(fd)


def test_the_limit_on_files_is_raised() -> None:
    """When it is too low, and left alone when it is not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def work() -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        allow_files(100)
        first, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        allow_files(10)
        return [first, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]

    assert in_child(work) == "[100, 100]"


@needs_root
def test_a_limit_that_may_not_be_raised() -> None:
    """The operator hears which, and what to do."""

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        drop_privileges(NOBODY)
        allow_files(100)

    said = in_child(work)
    assert "HostError" in said
    assert "may open 64 files" in said


@needs_root
def test_privileges_are_dropped_for_good() -> None:
    """User, groups and capabilities; none can be had again."""

    def work() -> list[object]:
        drop_privileges(NOBODY)
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        try:
            os.setuid(0)
        except PermissionError:
            back = False
        else:
            back = True
        return [
            os.getresuid(),
            os.getgroups(),
            int(fields["CapEff"], 16),
            fields["NoNewPrivs"],
            back,
        ]

    uid = NOBODY.pw_uid
    assert in_child(work) == repr([(uid, uid, uid), [], 0, "1", False])


def test_it_dies_with_its_parent() -> None:
    """Also when the parent is dead already; that is how it ends."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            die_with_parent(os.getppid())
            os.write(theirs, b"x")
            signal.pause()
        os.read(ours, 1)
        os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    assert os.read(ours, 1) == b"", "its end of the pipe is closed: it is dead"
    os.close(ours)
    assert in_child(lambda: die_with_parent(1 << 30)) == "exit 1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_of_the_terminal(number: signal.Signals) -> None:
    """They reach the whole group; only the supervisor decides."""

    def work() -> str:
        ignore_terminal_signals()
        os.kill(os.getpid(), number)
        return "lives"

    assert in_child(work) == "'lives'"


def test_memory_is_bounded() -> None:
    """More than allowed is refused by the kernel; and when the host runs out, we go first."""

    def work() -> str:
        bound_memory(256 << 20)
        score = Path("/proc/self/oom_score_adj").read_text(encoding="ascii").strip()
        try:
            bytearray(512 << 20)
        except MemoryError:
            return f"refused, {score}"
        return f"granted, {score}"

    assert in_child(work) == "'refused, 1000'"


def test_without_a_limit_memory_is_not() -> None:
    """A control group does it then."""

    def work() -> tuple[int, int]:
        bound_memory(None)
        return resource.getrlimit(resource.RLIMIT_DATA)

    assert in_child(work) == repr(resource.getrlimit(resource.RLIMIT_DATA))


def test_the_end_of_memory_is_the_end() -> None:
    """By an exit code of its own, also from a callback of an event loop; nothing else is."""
    assert in_child(lambda: end_if_out_of_memory(ValueError("x"))) == "None"
    assert in_child(lambda: end_if_out_of_memory(MemoryError())) == f"exit {OUT_OF_MEMORY}"

    def work() -> None:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(on_loop_exception)

        def fail() -> None:
            raise MemoryError

        loop.call_soon(fail)
        loop.call_soon(loop.stop)
        loop.run_forever()

    assert in_child(work) == f"exit {OUT_OF_MEMORY}"


def test_what_the_kernel_refuses_is_an_error() -> None:
    """Nobody goes on with the privileges that were to be dropped."""
    with pytest.raises(OSError, match="prctl -1"):
        module._prctl(-1, 0)
