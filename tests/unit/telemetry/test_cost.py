"""What the agent itself uses, of real processes."""

from __future__ import annotations

import os
import time

from shadow_agent.telemetry.cost import cost_of, cpu_of
from shadow_agent.telemetry.run import Cost


def test_of_this_process() -> None:
    """Processor time only grows, memory is some."""
    before = cost_of(os.getpid(), [])
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after = cost_of(os.getpid(), [])
    assert after.cpu_s > before.cpu_s
    assert after.max_rss_bytes > 1 << 20


def test_of_a_worker() -> None:
    """Its memory is added; once it has been waited for, its time is the supervisor's."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(theirs)
        os.read(ours, 1)
        os._exit(0)
    alone, together = cost_of(os.getpid(), []), cost_of(os.getpid(), [pid])
    os.close(theirs)
    os.waitpid(pid, 0)
    os.close(ours)
    assert together.max_rss_bytes > alone.max_rss_bytes / 2
    assert cost_of(os.getpid(), [pid]).cpu_s >= alone.cpu_s


def test_of_nobody() -> None:
    """A process that ended meanwhile costs nothing and breaks nothing."""
    assert cost_of(1 << 30, [1 << 30]) == Cost(0.0, 0)
    assert cpu_of(1 << 30, [1 << 30]) == 0.0


def test_by_process() -> None:
    """Each by the name that ps shows; together they are the whole, but for those that ended."""
    whole = cost_of(os.getpid(), [])
    (alone,) = whole.processes
    assert alone.pid == os.getpid()
    assert alone.name
    assert alone.memory_bytes == whole.max_rss_bytes
    assert alone.cpu_s <= whole.cpu_s <= cpu_of(os.getpid(), [])
