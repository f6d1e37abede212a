"""The cgroup: found, made, refused where it cannot be guarded."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadow_agent.errors import HostError, UsageError
from shadow_agent.guard import cgroup as module
from shadow_agent.guard.cgroup import Cgroup, listening, unified_mount
from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root

MOUNTS = (
    "25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "30 25 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 none rw\n"
)


def test_the_mount_is_found() -> None:
    """Wherever it is."""
    assert unified_mount(MOUNTS) == Path("/sys/fs/cgroup/unified")
    assert unified_mount("25 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n") is None


def test_a_host_without_is_told() -> None:
    """With the fix."""
    with pytest.raises(HostError, match="mount -t cgroup2"):
        Cgroup.prepare(Path("x"), "")


@pytest.mark.parametrize("written", ["/etc", "../x", ".", "/sys/fs/cgroup"])
def test_other_places_are_refused(written: str) -> None:
    """Named, with what to write."""
    with pytest.raises(UsageError, match="is no cgroup below"):
        Cgroup.prepare(Path(written), MOUNTS)


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """One of this test."""
    found = Cgroup.prepare(Path(f"shadow-agent-unit-{os.getpid()}/inner"))
    yield found
    found.kill()
    eventually(lambda: not found.pids(), 5, "cgroup empty")
    found.close()
    assert not found.path.parent.exists()


@needs_root
def test_processes_are_seen_and_ended(cgroup: Cgroup) -> None:
    """Also the listening ports of them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = subprocess.Popen(["sleep", "60"], pass_fds=[server.fileno()])
    try:
        Path(cgroup.path, "cgroup.procs").write_text(str(child.pid))
        assert cgroup.pids() == [child.pid]
        assert port in listening(cgroup.pids())
        with pytest.raises(UsageError, match=r"1 processes are in it already.*cgroup\.kill"):
            Cgroup.prepare(cgroup.path)
        cgroup.kill()
        child.wait(5)
    finally:
        child.kill()
        child.wait(5)


@needs_root
def test_a_table_of_sockets_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes share it: each has every connection of the host."""
    read: list[Path] = []

    def ports_of(table: Path, inodes: set[str]) -> set[int]:
        read.append(table)
        return {int(one) for one in inodes}

    monkeypatch.setattr(module, "_ports_of", ports_of)
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(8)]
    try:
        listening([child.pid for child in children])
    finally:
        for child in children:
            child.kill()
            child.wait(5)
    assert [path.name for path in read] == ["tcp", "tcp6"]


@needs_root
def test_one_that_others_may_change_is_refused(cgroup: Cgroup) -> None:
    """They could move a process out."""
    procs = Path(cgroup.path.parent, "cgroup.procs")
    os.chown(procs, 65534, -1)
    try:
        with pytest.raises(UsageError, match="delegated"):
            Cgroup.prepare(cgroup.path)
    finally:
        os.chown(procs, 0, -1)


@needs_root
def test_what_was_made_is_removed() -> None:
    """And only that."""
    found = Cgroup.prepare(Path(f"shadow-agent-made-{os.getpid()}"))
    assert found.id == found.path.stat().st_ino
    found.close()
    assert not found.path.exists()
    found.path.mkdir()
    for _ in range(2):  # the lock is let go as well
        Cgroup.prepare(found.path).close()
    found.path.rmdir()


@needs_root
def test_one_guard_at_a_time(cgroup: Cgroup) -> None:
    """Also before anything runs in it."""
    with pytest.raises(UsageError, match=r"another guard is on it; give this one"):
        Cgroup.prepare(cgroup.path)


@needs_root
def test_all_are_ended_before_linux_5_14(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no cgroup.kill: one after the other."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        Path(cgroup.path, "cgroup.procs").write_text(str(child.pid))
        with monkeypatch.context() as old:
            old.setattr(Path, "write_text", _no_such_file)
            cgroup.kill()
        assert child.wait(5) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait(5)


def _no_such_file(*_: object, **__: object) -> int:
    raise FileNotFoundError


@needs_root
def test_who_came_in_before_the_lock_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another guard had it between the look and the lock, and was killed."""
    looks = iter([[], [7]])
    monkeypatch.setattr(Cgroup, "pids", lambda _: next(looks))
    with pytest.raises(UsageError, match="1 processes are in it already"):
        Cgroup.prepare(Path(f"shadow-agent-late-{os.getpid()}"))
