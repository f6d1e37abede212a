"""The demo does what it says, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo import judge, unplanted
from tests.testbed.host import REPO
from tests.testbed.names import RunName, parse, process_start
from tests.testbed.needs import missing
from tests.testbed.nginx import DIFFERENCES
from tests.testbed.ns import RUN_DIR
from tests.testbed.process import descendants
from tests.testbed.wait import eventually

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

# What is on the screen when the signal comes, and the longest time after it, in seconds.
STAGES = [("1. Hosts", 0.3), ("3. Traffic", 1.0), ("4. The agent", 1.5), ("5. Traffic has", 0.3)]


class Demo:
    """``python -m tests.demo``, shortened, in a session of its own."""

    def __init__(self, directory: Path) -> None:
        self.out = directory / "out"
        self.seen: set[int] = set()
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.demo", "--seconds", "3", "--rate", "200"],
                cwd=REPO,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "TMPDIR": str(directory)},
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it and its agent have printed so far."""
        return self.out.read_text(errors="replace")

    def wait_for(self, stage: str) -> None:
        """Return once it is that far."""

        def there() -> bool:
            self.seen.update(descendants(self.process.pid))
            return stage in self.text

        eventually(there, 30.0, f"the demo: print {stage!r}", self.process.pid)

    def end(self) -> int:
        """Exit status, once it ends by itself."""

        def ended() -> bool:
            self.seen.update(descendants(self.process.pid))
            return self.process.poll() is not None

        eventually(ended, 60.0, "the demo: end")
        return self.process.returncode

    def left(self) -> list[str]:
        """Processes, namespaces and folders that are still there."""
        names = [path for folder in (RUN_DIR, self.out.parent) for path in folder.iterdir()]
        mine = [path.name for path in names if (name := parse(path.name)) and self._owns(name[0])]
        return mine + [str(pid) for pid in self.seen if process_start(pid) is not None]

    def _owns(self, run: RunName) -> bool:
        return run.pid == self.process.pid


@pytest.fixture
def demo() -> Iterator[Demo]:
    """A running demo. Not under pytest's folder: a socket's path has 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        started = Demo(Path(folder))
        yield started
        if started.process.poll() is None:
            started.process.terminate()
            started.process.wait(30)


@pytest.mark.slow
def test_finds_what_was_planted_and_leaves_nothing(demo: Demo) -> None:
    """Exit 0, every planted difference named as found, everything gone."""
    status = demo.end()
    assert status == 0, demo.text
    assert demo.text.count("found ") == 4
    assert "ledger: balances" in demo.text
    assert demo.left() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("stage", "longest"), STAGES, ids=[stage for stage, _ in STAGES])
def test_interrupted_anywhere_leaves_nothing(
    demo: Demo, stage: str, longest: float, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM at a random moment of a stage: exit 128 + N and everything gone."""
    demo.wait_for(stage)
    time.sleep(random.uniform(0, longest))
    demo.process.send_signal(number)
    status = demo.end()
    if "is gone again" not in demo.text:  # or else it came when nothing was left to stop
        assert status == 128 + number, demo.text
    assert "Traceback" not in demo.text
    assert demo.left() == []


def test_a_second_signal_does_not_stop_the_clean_up(demo: Demo) -> None:
    """Impatience: Ctrl-C again and again still leaves nothing."""
    demo.wait_for("4. The agent")
    for _ in range(5):
        demo.process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert demo.end() == 128 + signal.SIGINT, demo.text
    assert demo.left() == []


def row(target: str, **changes: Any) -> dict[str, Any]:
    """An endpoint of a summary in which both builds agree."""
    latency = {"production": {"p50": 50.0}, "shadow": {"p50": 60.0}}
    agreeing = {"method": "GET", "path": target, "pairs": 9, "latency_us": latency}
    return {**agreeing, "status_mismatches": 0, "body_mismatches": 0, **changes}


def test_a_planted_difference_that_is_not_reported_is_missed() -> None:
    """Not compared at all, or compared and called alike: neither counts as found."""
    for planted in DIFFERENCES:
        assert not judge(planted, None).found
        assert not judge(planted, row(planted.target)).found


def test_what_was_not_planted_is_named() -> None:
    """A difference of another endpoint, or of another kind than planted there."""
    slow = {"production": {"p50": 50.0}, "shadow": {"p50": 60_000.0}}
    assert unplanted([row("/health"), row("/api/gone", status_mismatches=9)]) == []
    assert unplanted([row("/health", body_mismatches=1)]) == ["GET /health: body in 1 pairs"]
    assert unplanted([row("/api/price", status_mismatches=2)]) == [
        "GET /api/price: status in 2 pairs"
    ]
    assert unplanted([row("/health", latency_us=slow)]) == ["GET /health: slower"]
