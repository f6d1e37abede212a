"""``scripts/test``: all tests in three processes, and a failure of any is one."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.testbed import eventually

SCRIPT = Path(__file__).parents[2] / "scripts/test"
PARTS = ("rest", "test_a", "test_b")
# Says what it was asked, and how it takes Ctrl-C; ends as a file of its part's name says.
PYTHON = """#!/bin/bash
part=rest; [[ "$4" = tests/net/* ]] && part=$(basename "$4" .py)
echo "$part: $*"
grep SigIgn /proc/self/status
if [ "$(cat $part)" = wait ]; then
    trap 'touch $part-ended; exit 1' TERM
    touch $part-runs
    while :; do sleep 0.05; done
fi
exit "$(cat $part)"
"""


def clone(folder: Path, *ends: str) -> Path:
    """A clone with a Python that only answers; its script."""
    made = {f"tests/net/test_{name}.py": "" for name in "abc"}
    made |= {".venv/bin/python": PYTHON, **dict(zip(PARTS, ends, strict=True))}
    for path, text in made.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / ".venv/bin/python").chmod(0o755)
    (folder / "scripts").mkdir()
    return Path(shutil.copy(SCRIPT, folder / "scripts/test"))


@pytest.mark.parametrize("ends", ["000", "100", "010", "001", "250"])
def test_all_parts(tmp_path: Path, ends: str) -> None:
    """Nothing is left out or run twice; what each says is shown, Ctrl-C ends them all."""
    done = subprocess.run([clone(tmp_path, *ends)], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (ends == "000")
    said = done.stdout.splitlines()
    assert said[0::2] == [
        "test_a: -m pytest -q tests/net/test_a.py tests/net/test_c.py",
        "test_b: -m pytest -q tests/net/test_b.py",
        "rest: -m pytest -q --ignore=tests/net tests",
    ]
    for line in said[1::2]:
        assert not int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1


def test_with_arguments(tmp_path: Path) -> None:
    """They are pytest's, and there is one process."""
    script = clone(tmp_path, "3", "0", "0")
    done = subprocess.run([script, "-k", "a b"], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stdout.splitlines()[0] == "rest: -m pytest -q -k a b"


def test_who_ends_it_ends_all(tmp_path: Path) -> None:
    """Nothing runs on behind a CI that gave up."""
    script = clone(tmp_path, "wait", "wait", "wait")
    running = subprocess.Popen([script], stdout=subprocess.DEVNULL)
    for part in PARTS:
        eventually((tmp_path / f"{part}-runs").exists, 20, f"{part} runs", running.pid)
    running.terminate()
    assert running.wait(20) == 130
    for part in PARTS:
        assert (tmp_path / f"{part}-ended").exists()
