"""A host without libseccomp."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.net.agent import COMMAND, PATIENCE_S, Home, attached, options, status_field, ungoverned
from tests.net.faults import drive, workers
from tests.testbed import Testbed, nginx

LIBRARY = "libseccomp.so.2"
MASKED = 'for one in $1; do mount --bind /dev/null "$one" || exit 9; done; shift; exec "$@"'


@pytest.fixture
def masked() -> tuple[str, ...]:
    """What a command is run by, so that it finds no libseccomp, and nobody else misses it."""
    shown = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = {line.split()[-1] for line in shown.splitlines() if LIBRARY in line}
    assert found
    paths = " ".join(sorted({str(Path(one).resolve()) for one in found}))
    return ("unshare", "--mount", "sh", "-c", MASKED, "sh", paths)


def test_without_libseccomp(bed: Testbed, masked: tuple[str, ...]) -> None:
    """Said by doctor and at the start, with the fix; workers run unfiltered and unprivileged."""
    nginx.start(bed.service)
    nginx.start(bed.shadow)
    home = Home(bed)
    doctor = bed.prod.run(
        *masked, COMMAND, "doctor", *options(bed), "--data-dir", bed.directory,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    (line,) = [one for one in doctor.stdout.splitlines() if " seccomp " in one]
    assert line.startswith("warn")
    assert "apt install libseccomp2" in line
    argv = ungoverned(home, *options(bed))
    command = (*masked, COMMAND, "attach", *argv, "--json", *home.options)
    required = bed.prod.run(*command, "--seccomp", "require", timeout=PATIENCE_S, check=False)
    assert required.returncode == 3
    assert "apt install libseccomp2" in required.stderr
    agent = attached(home, bed.prod.spawn(*command, name="agent"))
    assert "no libseccomp.so.2" in agent.process.errors()
    drive(bed, 10)
    agent.wait_compared(10)
    (worker,) = workers(agent)
    assert status_field(worker, "Seccomp") == "0"
    assert status_field(worker, "NoNewPrivs") == "1"
    assert status_field(worker, "CapEff").strip("0") == ""
    assert agent.stop()["isolation"]["seccomp"].startswith("off (no libseccomp.so.2")
