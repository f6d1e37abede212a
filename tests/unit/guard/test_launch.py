"""What COMMAND is started with, and what it cannot get back."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from shadow_agent.errors import HostError, UsageError
from shadow_agent.guard import launch
from shadow_agent.guard.cgroup import Cgroup
from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root

pytestmark = needs_root

NOBODY = pwd.getpwnam("nobody")
# Debian's: the one that runs the tests may lie in a folder that nobody may enter.
PYTHON = "/usr/bin/python3"


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    """One of this test."""
    found = Cgroup.prepare(Path(f"shadow-agent-launch-{os.getpid()}"))
    yield found
    found.kill()
    eventually(lambda: not found.pids(), 5, "cgroup empty")
    found.close()


def _run(cgroup: Cgroup, code: str, cover: Collection[Path] = ()) -> str:
    """What a Python program started so says on standard output."""
    return _run_argv(cgroup, [PYTHON, "-I", "-c", code], cover)


def _run_argv(cgroup: Cgroup, argv: list[str], cover: Collection[Path] = ()) -> str:
    ours, theirs = os.pipe()
    saved = os.dup(1)
    try:
        os.dup2(theirs, 1)
        pid = launch.start(argv, cgroup, NOBODY, cover)
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return said


def test_it_has_no_privileges(cgroup: Cgroup) -> None:
    """Another user, no capability now or later, no group of root's, in the cgroup."""
    said = _run(
        cgroup,
        "import json, os\n"
        "lines = [l.split(':') for l in open('/proc/self/status').read().splitlines()]\n"
        "status = {l[0]: l[1].strip() for l in lines}\n"
        "cgroup = open('/proc/self/cgroup').read()\n"
        "print(json.dumps([status, cgroup, os.listdir('/proc/self/fd')]))",
    )
    status, groups, files = json.loads(said)
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {status[name] for name in sets} == {"0" * 16}
    assert status["Uid"].split() == [str(NOBODY.pw_uid)] * 4
    assert (status["Groups"], status["NoNewPrivs"], status["Seccomp"]) == ("", "1", "2")
    assert f"/{cgroup.path.name}\n" in groups
    # what was open here is not open there; one is the folder being listed
    assert sorted(map(int, files))[:3] == [0, 1, 2]
    assert len(files) == 4


def test_signals_are_as_a_shell_leaves_them(cgroup: Cgroup) -> None:
    """SIGPIPE too, which Python ignores: `producer | head` ends."""
    said = _run_argv(cgroup, ["/bin/grep", "SigIgn", "/proc/self/status"])
    ignored = int(said.split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_it_cannot_leave_its_cgroup(cgroup: Cgroup) -> None:
    """Nobody but root moves a process."""
    parent = cgroup.path.parent / "cgroup.procs"
    said = _run(
        cgroup,
        "import os\n"
        f"try: open({str(parent)!r}, 'w').write(str(os.getpid()))\n"
        "except OSError as error: print(error.strerror)",
    )
    assert said == "Permission denied\n"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that everybody may enter; pytest closes its own to others, at any time."""
    with tempfile.TemporaryDirectory(prefix="shadow-agent-launch-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_brokers_are_covered(cgroup: Cgroup, open_folder: Path) -> None:
    """Who resolves names or starts programs for others is not there; other sockets are."""
    broker, other = open_folder / "broker", open_folder / "other"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for listener, path in ((one, broker), (two, other)):
            listener.bind(str(path))
            listener.listen()
            path.chmod(0o777)
        candidates = (broker, open_folder / "none", open_folder)
        assert list(launch.brokers(NOBODY, candidates, open_folder)) == [broker]
        said = _run(
            cgroup,
            "import socket\n"
            f"for path in ({str(broker)!r}, {str(other)!r}):\n"
            "    try: print(socket.socket(socket.AF_UNIX).connect(path))\n"
            "    except OSError as error: print(error.strerror)",
            launch.brokers(NOBODY, (broker,), open_folder),
        )
        assert said == "Connection refused\nNone\n"
        with socket.socket(socket.AF_UNIX) as here:
            here.connect(str(broker))  # only COMMAND sees it covered


def test_the_user_s_own_brokers_are_covered(cgroup: Cgroup, open_folder: Path) -> None:
    """D-Bus, systemd and more of a user's session: an empty folder in place of all of them."""
    own = open_folder / str(NOBODY.pw_uid)
    (own / "systemd").mkdir(parents=True)
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    bus, private = own / "bus", own / "systemd" / "private"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        for listener, path in ((one, bus), (two, private)):
            listener.bind(str(path))
            listener.listen()
            path.chmod(0o777)
        said = _run(
            cgroup,
            "import os, socket\n"
            f"print(os.listdir({str(own)!r}))\n"
            f"for path in ({str(bus)!r}, {str(private)!r}):\n"
            "    try: print(socket.socket(socket.AF_UNIX).connect(path))\n"
            "    except OSError as error: print(error.strerror)\n"
            f"print(open({str(own / 'mine')!r}, 'w').write('x'))",
            launch.brokers(NOBODY, (), open_folder),
        )
    assert said.splitlines() == ["[]", *["No such file or directory"] * 2, "1"]
    assert sorted(path.name for path in own.iterdir()) == ["bus", "systemd"]


def test_a_broker_started_again_is_covered_again(cgroup: Cgroup, open_folder: Path) -> None:
    """Its new socket has nothing over it, and is known for another one."""
    path = open_folder / "broker"

    def listening() -> socket.socket:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o777)
        return listener

    code = (
        "import socket, sys\n"
        "for _ in sys.stdin:\n"
        f"    try: print(socket.socket(socket.AF_UNIX).connect({str(path)!r}), flush=True)\n"
        "    except OSError as error: print(error.strerror, flush=True)\n"
    )
    saved = os.dup(0), os.dup(1)
    asks, question = os.pipe()
    answer, answers = os.pipe()
    with listening():
        before = launch.brokers(NOBODY, (path,), open_folder)
        os.dup2(asks, 0)
        os.dup2(answers, 1)
        try:
            pid = launch.start([PYTHON, "-I", "-c", code], cgroup, NOBODY, before)
        finally:
            for number, fd in enumerate(saved):
                os.dup2(fd, number)
            for fd in (*saved, asks, answers):
                os.close(fd)
    with os.fdopen(question, "w") as ask, os.fdopen(answer) as said, listening():
        print("?", file=ask, flush=True)
        assert said.readline() == "None\n"  # as it was to be feared
        after = launch.brokers(NOBODY, (path,), open_folder)
        assert after != before
        assert launch.hide_again(pid, after)
        print("?", file=ask, flush=True)
        assert said.readline() == "Connection refused\n"
        ask.close()
        os.waitpid(pid, 0)
    assert not launch.hide_again(pid, after)


def test_it_has_a_session_of_its_own(cgroup: Cgroup) -> None:
    """A terminal's Ctrl-C comes from the guard alone, and nothing is typed into it."""
    assert _run(cgroup, "import os; print(os.getsid(0) == os.getpid())") == "True\n"


def test_a_command_that_is_not_there(cgroup: Cgroup) -> None:
    """Is named, and nothing is left."""
    with pytest.raises(UsageError, match="/no/such: No such file or directory; name a program"):
        launch.start(["/no/such"], cgroup, NOBODY, ())
    assert cgroup.pids() == []


def test_a_cgroup_that_cannot_be_entered(cgroup: Cgroup) -> None:
    """The command does not run."""
    gone = Cgroup(cgroup.path / "gone", cgroup.fd)
    with pytest.raises(HostError, match="cannot start /bin/true guarded: cgroup"):
        launch.start(["/bin/true"], gone, NOBODY, ())


def test_a_broker_that_cannot_be_covered(cgroup: Cgroup) -> None:
    """The command does not run beside it."""
    with pytest.raises(HostError, match="cover sockets: mount /no/such: No such file"):
        launch.start(["/bin/true"], cgroup, NOBODY, (Path("/no/such"),))
    with pytest.raises(OSError, match="mount /no/such: No such file"):
        launch._mount("/dev/null", "/no/such", 0x1000)


def test_standard_files_are_no_network_sockets() -> None:
    """A socket from before the cgroup is not guarded; a journal's Unix socket is none of those."""
    left, right = socket.socketpair()
    with left, right, socket.socket() as network:
        assert launch.domain_of(left.fileno()) == socket.AF_UNIX
        assert launch.domain_of(network.fileno()) == socket.AF_INET
        saved = os.dup(0)
        try:
            os.dup2(network.fileno(), 0)
            with pytest.raises(HostError, match="file 0 is a network socket"):
                launch.check_standard_files()
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    launch.check_standard_files()
    assert launch.domain_of(9999) is None
