"""Progress: a panel on a terminal, a line now and then elsewhere; time is an argument."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.progress import Progress
from shadow_agent.telemetry.run import Run, State
from shadow_agent.telemetry.snapshot import Snapshot


def heads(ledger: Ledger, n: int) -> Ledger:
    """The ledger with another number of request heads."""
    return replace(ledger, requests=replace(ledger.requests, heads=n))


def test_lines_come_every_few_seconds(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """Ten updates a second make one line in five seconds, each whole on its own."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), run) as progress:
        for tick in range(101):
            progress.update(1000.0 + tick / 10, heads(ledger, tick * 20), snapshot, State())
    first, second, third = out.getvalue().splitlines()
    assert first.startswith("00:00:00 · … req/s · 90 compared · 10 differ (11.11 %)")
    assert second.startswith("00:00:05 · 200 req/s · ")
    assert third.startswith("00:00:10 · 200 req/s · ")
    assert "coverage 90.00 %" in first
    assert "production p50/p95/p99" in first
    assert "lost: replay.shed.queue_full 5, requests.gap 2" in first


def test_state_is_shown(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """A pause and a sample of less than everything are impossible to miss."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), run) as progress:
        progress.update(0.0, ledger, snapshot, State(sample=0.05, paused=True))
    assert "PAUSED" in out.getvalue()
    assert "sample 0.05" in out.getvalue()
    assert "governor" not in out.getvalue()


def test_a_lowered_sample_names_its_cause(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """Nobody has to guess who lowered it."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), run) as progress:
        progress.update(0.0, ledger, snapshot, State(0.1, factor=0.2, cause="ring_full"))
    assert "sample 0.1 (governor: ring_full)" in out.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_panel(run: Run, ledger: Ledger, snapshot: Snapshot, width: int) -> None:
    """On a terminal each update draws at once; both sides, shares and losses are there."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    with Progress(console, run) as progress:
        progress.update(0.0, heads(ledger, 0), snapshot, State())
        out.seek(0)
        out.truncate()
        progress.update(2.0, heads(ledger, 100), snapshot, State())
        drawn = out.getvalue()
    lines = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", drawn).splitlines()
    assert max(map(len, lines)) <= width
    for part in ("50 req/s", "90 compared", "production", "shadow", "00:00:02", "lost:"):
        assert part in drawn


def test_names_are_escaped(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """A target or build name cannot write to the terminal."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)
    with Progress(console, replace(run, target="\x1b]0;t\x07[red]")) as progress:
        progress.update(0.0, ledger, snapshot, State())
    assert r"\x1b]0;t\x07[red]" in out.getvalue()
    assert "\x1b]" not in out.getvalue()


def test_the_terminal_is_given_back(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """The cursor returns also when the block is left by an exception."""
    out = io.StringIO()
    console = Console(file=out, width=80, force_terminal=True, color_system=None)

    def interrupted() -> None:
        with Progress(console, run) as progress:
            progress.update(0.0, ledger, snapshot, State())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_an_idle_start(run: Run) -> None:
    """Without any traffic there is still something to show."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), run) as progress:
        progress.update(0.0, Ledger(), Snapshot(), State())
        progress.update(0.0, Ledger(), Snapshot(), State())
    assert "0 compared · 0 differ · coverage — " in out.getvalue()
    assert "nothing lost" in out.getvalue()


def test_a_clock_that_stands_still(run: Run, ledger: Ledger, snapshot: Snapshot) -> None:
    """Two updates at one instant divide by nothing."""
    out = io.StringIO()
    with Progress(Console(file=out, width=80), run, every_s=0.0) as progress:
        progress.update(1.0, ledger, snapshot, State())
        progress.update(1.0, ledger, snapshot, State())
    assert out.getvalue().count("… req/s") == 2
