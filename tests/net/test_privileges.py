"""What a running agent could still do, should one of its processes be taken over."""

from __future__ import annotations

import json
import os
import re
import signal
from functools import partial
from pathlib import Path

from shadow_agent.kernel.features import CAPABILITIES
from tests.net.agent import PATIENCE_S, PORT, Home, at, attach, status_field
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


# Who runs, by the name that ps shows: the sets of capabilities at most, and whether system calls
# are filtered. A worker's bounding set is what the supervisor had left to give.
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
ALLOWED: dict[str, tuple[tuple[int, ...], bool]] = {
    "shadow-agent": ((0, NEEDED, NEEDED, NEEDED, 0), False),
    "shadow-worker0": ((0, 0, 0, NEEDED, 0), True),
    "shadow-metrics": ((0, 0, 0, 0, 0), True),
    "shadow-gate": ((0, 0, 0, 0, 0), True),
    "shadow-egress": ((0, 0, 0, 0, 0), True),
}


def test_every_process_has_what_it_needs(bed: Testbed) -> None:
    """All of them, thread by thread: nothing beyond the table, and nothing to gain."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    home = Home(bed)
    home.path.mkdir()
    flags = home.path / "flags.json"
    flag = {"variants": {"on": True}, "defaultVariant": "on"}
    flags.write_text(json.dumps({"flags": {"shadow.enabled": flag}}))
    config = home.path / "gate.toml"
    config.write_text(f'[gate]\nprovider = "file:{flags}"\n')
    agent = attach(
        bed, "--metrics", "127.0.0.1:9464", "--observe-egress", f"{bed.service_iface}:9",
        "--config", str(config), home=home,
    )  # fmt: skip
    found = set()
    for pid in agent.process.tree():
        name = status_field(pid, "Name")
        found.add(name)
        sets, sandboxed = ALLOWED[name]
        if sandboxed:  # it is loaded last
            eventually(partial(filtered, pid), PATIENCE_S, f"{name} filtered", agent.pid)
            assert int(status_field(pid, "Uid").split()[1]) != 0, name
        for task in Path(f"/proc/{pid}/task").iterdir():
            has = tuple(int(status_field(f"{pid}/task/{task.name}", one), 16) for one in SETS)
            assert has == sets, f"{name}: {dict(zip(SETS, map(hex, has), strict=True))}"
            assert status_field(f"{pid}/task/{task.name}", "NoNewPrivs") == "1", name
    assert found == set(ALLOWED)
    agent.stop()


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
