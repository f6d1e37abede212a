"""The command itself, on this kernel."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testbed.host import REPO
from tests.testbed.process import Process
from tests.testbed.wait import eventually

COMMAND = [sys.executable, "-m", "shadow_agent.cli.main", "selftest"]


def _namespaces() -> set[str]:
    """Of every process."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/task/[0-9]*/ns/net"):
        try:
            found.add(str(entry.readlink()))
        except OSError:
            continue
    return found


def _programs() -> set[str]:
    """Ids of loaded programs of the tap."""
    done = subprocess.run(
        ["bpftool", "prog", "show", "--json"], capture_output=True, text=True, check=False
    )
    return {
        str(one["id"])
        for one in json.loads(done.stdout or "[]")
        if str(one.get("name", "")).startswith("tap_l3")
    }


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
    before, loaded = _namespaces(), _programs()
    process = Process(
        "selftest", [*COMMAND, "--connections", "2000"], tmp_path, {"PYTHONPATH": str(REPO)}
    )
    try:
        eventually(lambda: _programs() > loaded, 20, "the tap is loaded", process.pid)
        process.send(number)
        process.wait(20)
    finally:
        process.kill()
    eventually(lambda: _programs() <= loaded, 10, "no program stays")
    assert _namespaces() <= before
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
