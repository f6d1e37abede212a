"""Log: whatever is behind standard error, writing takes no time and never fails."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_agent.daemon.log import offer, open_log

MUCH = "x" * 5000 + "\n"


def pipe_that_nobody_reads() -> tuple[int, ...]:
    """Its writing end first; ours to close."""
    ours, theirs = os.pipe()
    return theirs, ours


def pipe_without_a_reader() -> tuple[int, ...]:
    """``2>&1 | head -1``."""
    ours, theirs = os.pipe()
    os.close(ours)
    return (theirs,)


def terminal_that_nobody_reads() -> tuple[int, ...]:
    """Ctrl-S, or an emulator that hangs."""
    ours, theirs = pty.openpty()
    return theirs, ours


def terminal_that_was_closed() -> tuple[int, ...]:
    """The connection to the host is lost."""
    ours, theirs = pty.openpty()
    os.close(ours)
    return (theirs,)


def full_disk() -> tuple[int, ...]:
    """No space left."""
    return (os.open("/dev/full", os.O_WRONLY),)


def closed() -> tuple[int, ...]:
    """A number without a file."""
    fd = os.open("/dev/null", os.O_WRONLY)
    os.close(fd)
    return (fd,)


SINKS = [
    pipe_that_nobody_reads,
    pipe_without_a_reader,
    terminal_that_nobody_reads,
    terminal_that_was_closed,
    full_disk,
    closed,
]


# Raw, as workers write, a terminal that nobody reads may block: they have no description of it.
CASES = [(sink, raw) for sink in SINKS for raw in (True, False)]
CASES.remove((terminal_that_nobody_reads, True))


@pytest.mark.parametrize(("sink", "raw"), CASES)
def test_nobody_takes_it(sink: Callable[[], tuple[int, ...]], raw: bool) -> None:
    """What does not fit is dropped: no exception, no waiting."""
    fds = sink()

    def write() -> None:
        if raw:
            for _ in range(100):
                offer(fds[0], MUCH.encode())
            return
        with open_log(fds[0]) as log:
            for _ in range(100):
                log.write(MUCH)
                log.flush()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(20)
    assert not writer.is_alive()
    if sink is not closed:
        for fd in fds:
            os.close(fd)


def test_what_is_taken_is_whole(tmp_path: Path) -> None:
    """Into a file all of it, in order, and the file behind stays open."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with open_log(fd) as log:
        log.write(MUCH)
        log.write("→ \udcff\n")
    os.write(fd, b"end\n")
    os.close(fd)
    text = path.read_bytes()
    assert text.startswith(MUCH.encode())
    assert text.endswith(b"\\udcff\nend\n")


def test_a_terminal_is_one() -> None:
    """So that progress draws itself there, and reaches who looks."""
    ours, theirs = pty.openpty()
    with open_log(theirs) as log:
        assert log.isatty()
        assert log.fileno() == theirs
        log.write("hello")
        log.flush()
        assert os.read(ours, 100) == b"hello"
    os.close(ours)
    os.close(theirs)
