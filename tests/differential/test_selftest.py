"""The command itself, on this kernel."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import pytest

from tests.testbed.host import REPO
from tests.testbed.process import Process
from tests.testbed.wait import eventually

COMMAND = [sys.executable, "-m", "shadow_agent.cli.main", "selftest"]


def _living(word: str) -> set[int]:
    """Processes with that word in their environment."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue
    return found


def _programs() -> set[int]:
    """Ids of all loaded programs."""
    shown = subprocess.run(["bpftool", "prog", "show", "--json"], capture_output=True, check=True)
    return {one["id"] for one in json.loads(shown.stdout)}


def _held(pids: Iterable[int]) -> set[int]:
    """Ids of programs that these processes hold."""
    found: set[int] = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fdinfo").glob("*"):
            try:
                ids = re.findall(r"^prog_id:\s*(\d+)", entry.read_text(), re.MULTILINE)
            except OSError:
                continue
            found.update(map(int, ids))
    return found


def test_selftest_on_this_kernel() -> None:
    """Everything rebuilt or named, nothing wrong; mechanism, loader and cost are told."""
    done = subprocess.run(
        [*COMMAND, "--json", "--connections", "80", "--seed", "3"],
        capture_output=True, text=True, timeout=60, check=False, cwd=REPO,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    fidelity = report["fidelity"]
    assert fidelity["understood"] == fidelity["exact"] > 100
    assert report["withheld"]["exact"] < report["withheld"]["understood"]
    assert report["withheld"]["named"]
    assert report["wire"]["lost"] > 0
    assert report["loader"] in {"libbpf", "bcc"}
    assert report["mechanism"] in {"tcx", "clsact"}
    assert {one["program"] for one in report["cost"]} == {"tap_l3_ingress", "tap_l3_egress"}
    assert all(one["ns_per_packet"] > 0 for one in report["cost"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Ended in the middle, however: no process, no namespace, no program."""
    word = f"selftest-{uuid4().hex}"
    process = Process(
        "selftest",
        [*COMMAND, "--connections", "2000"],
        tmp_path,
        {"PYTHONPATH": str(REPO), "STARTED_BY": word},
    )
    try:
        eventually(lambda: bool(_held(_living(word))), 20, "the tap is loaded", process.pid)
        loaded = _held(_living(word))
        process.send(number)
        process.wait(20)
    finally:
        process.kill()
    eventually(lambda: not _programs() & loaded, 10, "no program stays")
    eventually(lambda: not _living(word), 10, "nobody stays, and no namespace with them")
    assert "Traceback" not in process.errors()


def test_not_root() -> None:
    """Exit code 3 and one line with the fix.

    In a user namespace of its own it is nobody, and still may read a clone under a closed home.
    """
    done = subprocess.run(
        ["unshare", "--user", *COMMAND], capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert "run as root" in line
