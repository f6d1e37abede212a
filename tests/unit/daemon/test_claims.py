"""What a worker leaves behind when it dies."""

from __future__ import annotations

import os

from shadow_agent.daemon.claims import ClaimPage, Progress


def test_it_is_read_after_the_worker_s_death() -> None:
    """A page that both share, written by the child only."""
    page = ClaimPage()
    assert page.progress() == Progress(0, 0, 0, 0)
    pid = os.fork()
    if pid == 0:
        page.claim(1 << 40)
        page.done(40, 7, 3)
        page.claim((1 << 40) + 8)
        os._exit(9)
    os.waitpid(pid, 0)
    assert page.progress() == Progress(claimed=(1 << 40) + 8, position=40, read=7, started=3)


def test_the_next_worker_counts_from_zero() -> None:
    """The claim stays: the ring goes on where it was."""
    page = ClaimPage()
    page.claim(64)
    page.done(40, 7, 3)
    page.reset()
    assert page.progress() == Progress(64, 40, 0, 0)
