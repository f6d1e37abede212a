"""The summary on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from shadow_agent.daemon.show import show
from shadow_agent.telemetry.ledger import Ledger
from shadow_agent.telemetry.run import Run
from shadow_agent.telemetry.snapshot import Snapshot
from shadow_agent.telemetry.summary import summary_json
run = Run(version="1", target="web→", shadow="http://s", run_id="r")
show(summary_json(run, Ledger(), Snapshot(), duration_s=1.0), json=sys.argv[1] == "json")
"""


@pytest.mark.parametrize("kind", ["json", "text"])
def test_for_programs_and_for_people(kind: str) -> None:
    """All of it, also where the locale has no arrow."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, kind],
        capture_output=True,
        check=True,
        env={"PYTHONIOENCODING": "ascii"},
    )
    if kind == "json":
        assert json.loads(done.stdout)["target"] == "web→"
    else:
        assert b"No request was seen." in done.stdout
        assert b"web\\u2192" in done.stdout


def test_no_byte_of_the_wire_drives_a_terminal() -> None:
    """DEL and the controls that UTF-8 has for Latin-1's are escaped in JSON too."""
    hostile = CODE.replace("web→", "\\x7f\\x9b31m\\x1b[31m")
    done = subprocess.run([sys.executable, "-c", hostile, "json"], capture_output=True, check=True)
    assert not set(done.stdout[:-1]) & {0x7F, 0x9B, 0x1B}
    assert json.loads(done.stdout)["target"] == "\x7f\x9b31m\x1b[31m"


def test_no_room() -> None:
    """Known at once."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", CODE, "json"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert b"OSError" in done.stderr
