"""What is left of root's capabilities, in real children."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable
from pathlib import Path

from shadow_agent.daemon.capabilities import keep_what_attach_needs
from shadow_agent.kernel.features import CAPABILITIES
from tests.unit.daemon.test_process import in_child
from tests.unit.isolated import needs_root

pytestmark = needs_root

NEEDED = sum(1 << bit for bit in CAPABILITIES.values())


def sets() -> dict[str, str]:
    """The sets of this process, and whether it may gain anything."""
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    return dict(re.findall(r"^(Cap\w+|NoNewPrivs):\s*(\w+)$", text, re.MULTILINE))


def test_only_these(tmp_path: Path) -> None:
    """Effective, permitted and bounding; nothing to inherit, nothing to gain."""

    def work() -> list[object]:
        kept = keep_what_attach_needs([tmp_path])
        found = sets()
        return [
            kept == tuple(sorted(CAPABILITIES)),
            *(int(found[name], 16) == NEEDED for name in ("CapEff", "CapPrm", "CapBnd")),
            *(int(found[name], 16) for name in ("CapInh", "CapAmb", "NoNewPrivs")),
        ]

    assert in_child(work) == repr([True] * 4 + [0, 0, 1])


def test_what_is_gone_is_gone(tmp_path: Path) -> None:
    """Files of others, other namespaces, the bounding set; what is kept still works."""
    (tmp_path / "others").mkdir(mode=0o700)
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path / "others", nobody.pw_uid, nobody.pw_gid)

    def refused(work: Callable[[], object]) -> bool:
        try:
            work()
        except PermissionError:
            return True
        return False

    def work() -> list[bool]:
        keep_what_attach_needs([tmp_path])
        pid = os.fork()
        if pid == 0:
            os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)
            os.kill(os.getpid(), 19)
            os._exit(0)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        os.kill(pid, 9)
        return [
            refused(lambda: (tmp_path / "others" / "file").write_text("x")),
            refused(lambda: os.chroot("/")),
            refused(lambda: os.chown(tmp_path, 1, 1)),
            os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9,
        ]

    assert in_child(work) == repr([True] * 4)


def test_a_folder_of_another_user(tmp_path: Path) -> None:
    """Rather one capability more than a run without its summary."""
    nobody = pwd.getpwnam("nobody")
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    tmp_path.chmod(0o755)

    def work() -> list[object]:
        kept = keep_what_attach_needs([tmp_path])
        (tmp_path / "file").write_text("x")
        return [set(kept) - set(CAPABILITIES)]

    assert in_child(work) == repr([{"CAP_DAC_OVERRIDE"}])
