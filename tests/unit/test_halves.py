"""``scripts/test``: all tests in two processes, and a failure of either is one."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.testbed import eventually

SCRIPT = Path(__file__).parents[2] / "scripts/test"
# Says what it was asked, and how it takes Ctrl-C; ends as a file of its half's name says.
PYTHON = """#!/bin/bash
half=rest; [ "$4" = tests/net ] && half=net
echo "$half: $*"
grep SigIgn /proc/self/status
if [ "$(cat $half)" = wait ]; then
    trap 'touch $half-ended; exit 1' TERM
    touch $half-runs
    while :; do sleep 0.05; done
fi
exit "$(cat $half)"
"""


def clone(folder: Path, net: str, rest: str) -> Path:
    """A clone with a Python that only answers; its script."""
    for path, text in (("net", net), ("rest", rest), (".venv/bin/python", PYTHON)):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / ".venv/bin/python").chmod(0o755)
    (folder / "scripts").mkdir()
    return Path(shutil.copy(SCRIPT, folder / "scripts/test"))


@pytest.mark.parametrize(("net", "rest"), [("0", "0"), ("1", "0"), ("0", "1"), ("2", "5")])
def test_both_halves(tmp_path: Path, net: str, rest: str) -> None:
    """Nothing is left out or run twice; what either says is shown, Ctrl-C ends both."""
    done = subprocess.run([clone(tmp_path, net, rest)], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (net == rest == "0")
    said = done.stdout.splitlines()
    assert said[0::2] == [
        "net: -m pytest -q tests/net",
        "rest: -m pytest -q --ignore=tests/net tests",
    ]
    for line in said[1::2]:
        assert not int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1


def test_with_arguments(tmp_path: Path) -> None:
    """They are pytest's, and there is one process."""
    script = clone(tmp_path, "0", "3")
    done = subprocess.run([script, "-k", "a b"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == "rest: -m pytest -q -k a b"


def test_who_ends_it_ends_both(tmp_path: Path) -> None:
    """Nothing runs on behind a CI that gave up."""
    running = subprocess.Popen([clone(tmp_path, "wait", "wait")], stdout=subprocess.DEVNULL)
    for half in ("net", "rest"):
        eventually((tmp_path / f"{half}-runs").exists, 20, f"{half} runs", running.pid)
    running.terminate()
    assert running.wait(20) == 130
    assert (tmp_path / "net-ended").exists()
    assert (tmp_path / "rest-ended").exists()
