"""Our own control group: made, entered and left, in the kernel's own tree."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shadow_agent.daemon.cgroup import (
    PREFIX,
    Group,
    UnavailableError,
    Usage,
    fields,
    limits_of,
    own_group,
    remove_stale,
)
from tests.testbed.names import RunName, parse

_MOUNTS = "36 24 0:31 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def root() -> Path:
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if " - cgroup2 " in line:
            return Path(line.split()[4])
    pytest.skip("no cgroup v2 mount")


@pytest.fixture
def controller() -> str:
    """Any controller that cgroup v2 has here: what is done with it is the same for all."""
    found = (root() / "cgroup.controllers").read_text().split()
    if not found:
        pytest.skip("cgroup v2 has no controller here")
    return found[0]


@pytest.fixture
def place(controller: str) -> Iterator[Path]:
    """An empty group below the root, as systemd delegates one; what killed runs left goes first."""
    top = root()
    switch = top / "cgroup.subtree_control"
    held = os.open(top, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)  # another run would switch the controller off again
    try:
        for left in top.glob("sa*-group"):
            name = parse(left.name)
            if name is not None and not name[0].owner_alive():
                clear(left)
        was_on = controller in switch.read_text().split()
        switch.write_text(f"+{controller}")
        path = top / RunName.new().of("group")
        path.mkdir()
        yield path
        clear(path)
        if not was_on:
            switch.write_text(f"-{controller}")
    finally:
        os.close(held)


def clear(path: Path) -> None:
    """Remove a group and what is below it."""
    for below in sorted(path.rglob("*"), reverse=True):
        if below.is_dir():
            below.rmdir()
    path.rmdir()


def living_in(place: Path, what: Callable[[], None]) -> None:
    """Do it in a process that lives in this group; an exception there is the test's."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            (place / "cgroup.procs").write_text(str(os.getpid()))
            what()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def pids(group: Path) -> list[str]:
    """Who lives there."""
    return (group / "cgroup.procs").read_text().split()


def test_where_we_are() -> None:
    """The mount's point and our path below the part of the tree that it shows."""
    found = own_group()
    assert str(os.getpid()) in pids(found)


@pytest.mark.parametrize(
    ("mounts", "path", "found"),
    [
        (_MOUNTS, "/system.slice/a.service", "/sys/fs/cgroup/system.slice/a.service"),
        (_MOUNTS, "/", "/sys/fs/cgroup"),
        ("36 24 0:31 /pod /cg rw - cgroup2 none rw\n", "/pod/x", "/cg/x"),
        ("36 24 0:31 / /x rw - tmpfs none rw\n" + _MOUNTS, "/y", "/sys/fs/cgroup/y"),
    ],
)
def test_our_path_of_a_tree(tmp_path: Path, mounts: str, path: str, found: str) -> None:
    """As systemd, a container and a hybrid mount show it."""
    (tmp_path / "mountinfo").write_text(mounts)
    (tmp_path / "cgroup").write_text(f"4:memory:/elsewhere\n0::{path}\n")
    assert own_group(tmp_path) == Path(found)


@pytest.mark.parametrize(
    ("mounts", "path"),
    [("", "/"), (_MOUNTS, "/../other"), ("1 2 0:3 / /x rw - cgroup cgroup rw,memory\n", "/")],
)
def test_no_tree(tmp_path: Path, mounts: str, path: str) -> None:
    """Without cgroup v2, or outside the part that is shown, there is no place for us."""
    (tmp_path / "mountinfo").write_text(mounts)
    (tmp_path / "cgroup").write_text(f"0::{path}\n")
    with pytest.raises(UnavailableError):
        own_group(tmp_path)


def test_limits() -> None:
    """Processors for the workers, memory for all; what is not asked for is not written."""
    assert limits_of(None, None) == []
    assert limits_of(0.5, None) == [("workers", "cpu.max", "50000 100000")]
    assert limits_of(0.0001, None) == [("workers", "cpu.max", "1000 100000")]
    assert [(one.leaf, one.file, one.text) for one in limits_of(None, 1000)] == [
        ("", "memory.max", "1000"),
        ("", "memory.swap.max", "0"),
        ("workers", "memory.high", "900"),
    ]


def test_made_entered_and_left(place: Path, controller: str) -> None:
    """The supervisor in one leaf, a worker in the other, both leaves limited; then no trace."""

    def live() -> None:
        group = Group.create("web", [], place, [controller])
        assert group.path == place / f"{PREFIX}web-{os.getpid()}"
        assert pids(group.path / "supervisor") == [str(os.getpid())]
        assert controller in (group.path / "workers" / "cgroup.controllers").read_text()
        worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        group.add(worker.pid)
        assert pids(group.path / "workers") == [str(worker.pid)]
        assert group.usage().oom_kills == 0
        worker.communicate(b"\n")
        group.close()
        assert pids(place) == [str(os.getpid())]
        assert (place / "cgroup.subtree_control").read_text().split() == []

    living_in(place, live)
    assert list(place.glob(f"{PREFIX}*")) == []


def test_not_where_others_live(place: Path, controller: str) -> None:
    """A group with other processes cannot hand controllers on; nothing of ours is left in it."""

    def live() -> None:
        neighbour = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        with pytest.raises(UnavailableError, match=r"1 other processes .* Delegate=yes"):
            Group.create("web", [], place, [controller])
        assert sorted(pids(place)) == sorted([str(os.getpid()), str(neighbour.pid)])
        assert list(place.glob(f"{PREFIX}*")) == []
        neighbour.communicate(b"\n")

    living_in(place, live)


def test_a_limit_that_the_kernel_refuses(place: Path, controller: str) -> None:
    """One that is not there leaves nothing behind, and the process where it was."""
    # of a controller that the group does not get
    file, limits = ("cpu.max", limits_of(0.5, None))
    if controller == "cpu":
        file, limits = ("memory.max", limits_of(None, 64 << 20))

    def live() -> None:
        with pytest.raises(UnavailableError, match=re.escape(file)):
            Group.create("web", limits, place, [controller])
        assert pids(place) == [str(os.getpid())]

    living_in(place, live)
    assert list(place.glob(f"{PREFIX}*")) == []


def test_no_controllers(place: Path) -> None:
    """On a host with cgroup v1's controllers one line says so."""
    with pytest.raises(UnavailableError, match="no cpu and memory and other controller"):
        Group.create("web", [], place, ["cpu", "memory", "other"])
    assert list(place.iterdir())
    assert list(place.glob(f"{PREFIX}*")) == []


def test_what_a_killed_agent_left_is_removed(place: Path, controller: str) -> None:
    """Its empty groups go at the next start; a living agent's and others' stay."""

    def killed() -> None:
        Group.create("web", [], place, [controller])
        os.kill(os.getpid(), 9)

    with pytest.raises(AssertionError):
        living_in(place, killed)
    (left,) = place.glob(f"{PREFIX}*")
    (place / f"{PREFIX}web-{os.getpid()}").mkdir()
    (place / "shadow-other-1").mkdir()
    assert remove_stale(place) == [left.name]
    assert sorted(one.name for one in place.iterdir() if one.is_dir()) == [
        f"{PREFIX}web-{os.getpid()}",
        "shadow-other-1",
    ]


def test_usage_of_files(tmp_path: Path) -> None:
    """Memory, kills and time in which workers were kept waiting."""
    (tmp_path / "workers").mkdir()
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 3\nmax 2\noom 1\noom_kill 1\n")
    (tmp_path / "workers/cpu.stat").write_text("usage_usec 5\nthrottled_usec 1500000\n")
    assert Group(tmp_path, tmp_path, []).usage() == Usage(4096, 1, 1.5)
    assert fields(tmp_path / "absent") == {}
