"""The child that keeps CAP_SYS_ADMIN, for one thing."""

from __future__ import annotations

import os
import pwd
import re
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shadow_agent.daemon.capabilities import keep_what_attach_needs
from shadow_agent.daemon.seccomp import open_sandbox
from shadow_agent.daemon.stats import StatsChild
from tests.testbed.wait import eventually
from tests.unit.daemon.test_process import in_child
from tests.unit.isolated import needs_root

pytestmark = needs_root

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture
def child() -> Iterator[StatsChild]:
    """Filtered, as in an attachment."""
    with closing(StatsChild(NOBODY, open_sandbox("require"))) as made:
        yield made


def test_the_kernel_counts(child: StatsChild) -> None:
    """While what it hands over is open; as often as it is asked."""
    for _ in range(3):
        fd = child.enable()
        assert "bpf-stats" in str(Path(f"/proc/self/fd/{fd}").readlink())
        os.close(fd)


def test_also_for_one_who_may_not() -> None:
    """That is what it is for."""

    def work() -> str:
        child = StatsChild(NOBODY, open_sandbox("require"))
        keep_what_attach_needs([])
        fd = child.enable()
        found = str(Path(f"/proc/self/fd/{fd}").readlink())
        child.close()
        return found

    assert "bpf-stats" in in_child(work)


def test_it_can_do_nothing_else(child: StatsChild) -> None:
    """Nobody, one capability, a filter, and its end of the channel."""
    os.close(child.enable())
    text = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(\w+):\s*(.*)$", text, re.MULTILINE))
    assert set(found["Uid"].split()) == {str(NOBODY.pw_uid)}
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 1 << 21
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")
    links = [str(one.readlink()) for one in Path(f"/proc/{child.pid}/fd").iterdir()]
    assert sum("socket:" in link for link in links) == 1


def test_a_kernel_that_does_not_count() -> None:
    """Its errno arrives."""

    def refuse() -> int:
        raise OSError(22, "no")

    with closing(StatsChild(NOBODY, enable=refuse)) as child:
        for _ in range(2):
            with pytest.raises(OSError, match="not counted") as error:
                child.enable()
            assert error.value.errno == 22


def test_one_that_died(child: StatsChild) -> None:
    """Then nothing is counted, which is said; nobody waits."""
    os.kill(child.pid, signal.SIGKILL)

    def silent() -> bool:
        try:
            os.close(child.enable())
        except OSError:
            return True
        return False

    eventually(silent, 5.0, "an error")
