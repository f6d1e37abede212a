"""What the hooks do not see is said."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from shadow_agent.guard import families
from shadow_agent.guard.cgroup import Cgroup
from shadow_agent.guard.uncovered import same_user, uncovered


class _Empty(Cgroup):
    def __init__(self) -> None:
        pass

    def pids(self) -> list[int]:
        return []


def test_processes_of_the_same_user(tmp_path: Path) -> None:
    """Those outside of the cgroup only."""
    for name in ("1", "2", "self"):
        (tmp_path / name).mkdir()
    assert same_user(os.getuid(), {2}, tmp_path) == 1
    assert same_user(os.getuid() + 1, set(), tmp_path) == 0


def test_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unix sockets always; the rest where it is so."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(families, "here", lambda: None)
    found = uncovered(nobody, _Empty(), tmp_path)
    assert ["Unix sockets" in found[0], "AF_VSOCK" in found[-1], len(found)] == [True, True, 2]
    me = pwd.getpwuid(os.getuid())
    (tmp_path / "7").mkdir()
    assert any("--user" in line for line in uncovered(me, _Empty(), tmp_path))
