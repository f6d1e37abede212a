"""What a running agent could still do, should one of its processes be taken over."""

from __future__ import annotations

import os
import re
import signal
from functools import partial
from pathlib import Path

from shadow_agent.kernel.features import CAPABILITIES
from tests.net.agent import PATIENCE_S, PORT, at, attach, status_field
from tests.testbed import Testbed, eventually, nginx, tools

NEEDED = sum(1 << bit for bit in CAPABILITIES.values())


def filtered(pid: int) -> bool:
    """Whether a filter stands between a process and its system calls."""
    return status_field(pid, "Seccomp") == "2"


def test_the_supervisor_keeps_what_attach_needs(bed: Testbed) -> None:
    """Exactly that list, from before the first fork; a killed worker is replaced all the same."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, "--workers", "2")
    for name in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status_field(agent.pid, name), 16) == NEEDED, name
    assert int(status_field(agent.pid, "CapInh"), 16) == 0
    assert status_field(agent.pid, "NoNewPrivs") == "1"
    status = agent.ask("status")
    assert status["isolation"]["capabilities"] == ", ".join(sorted(CAPABILITIES))
    before = status["workers"]
    os.kill(before[0], signal.SIGKILL)
    eventually(
        lambda: (
            len(set(agent.ask("status")["workers"]) | set(before)) == 3
            and len(agent.ask("status")["workers"]) == 2
        ),
        PATIENCE_S,
        "another worker",
        agent.pid,
    )
    for pid in agent.ask("status")["workers"]:
        assert status_field(pid, "CapEff").strip("0") == ""
        # it is loaded a moment after the rest
        eventually(partial(filtered, pid), PATIENCE_S, "filtered", agent.pid)
    assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200
    agent.wait_compared(1)
    assert at(agent.stop()["ledger"], "pairs.compared") == 1


def test_memory_of_workers_is_still_known(bed: Testbed) -> None:
    """Children are another user's, and CAP_SYS_PTRACE is gone: their files were opened before."""
    nginx.start(bed.service, "v1")
    agent = attach(bed, "--workers", "2")
    status = agent.ask("status")

    def pss() -> int:
        found = 0
        for pid in agent.process.tree():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            found += int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0]) * 1024
        return found

    assert 0.8 < status["agent"]["max_rss_bytes"] / pss() < 1.25
    agent.stop()
