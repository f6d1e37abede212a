"""The filter on system calls, loaded into real children."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
import termios
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import uvloop

from shadow_agent.daemon import seccomp as module
from shadow_agent.daemon.seccomp import Profile, Sandbox, open_sandbox
from shadow_agent.errors import HostError

LIBC = ctypes.CDLL(None, use_errno=True)
AARCH64 = 0xC00000B7  # SCMP_ARCH_AARCH64
X86_64 = 0xC000003E


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """Every profile's filter, not loaded here."""
    made = open_sandbox("require")
    assert made.on
    return made


def inside(sandbox: Sandbox, profile: Profile, work: Callable[[], object]) -> str:
    """What a filtered child says of the work, or how it ended."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "nothing"
        try:
            sandbox.load(profile)
            said = repr(work())
        except OSError as error:
            said = errno.errorcode.get(error.errno or 0, repr(error))
        finally:
            os.write(theirs, said.encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return said or (signal.Signals(-code).name if code < 0 else f"exit {code}")


def call(name: str, *arguments: int) -> str:
    """A system call by name, as libseccomp knows it; the name of its errno."""
    number = module._open().seccomp_syscall_resolve_name(name.encode())
    result = LIBC.syscall(number, *arguments)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else "done"


def test_what_a_worker_does(sandbox: Sandbox, tmp_path: Path) -> None:
    """Read, connect, wait, start a thread: all of it goes on."""
    (tmp_path / "file").write_text("text")

    def work() -> list[object]:
        found: list[object] = [(tmp_path / "file").read_text()]
        thread = threading.Thread(target=lambda: found.append("thread"))
        thread.start()
        thread.join()
        loop = uvloop.new_event_loop()
        loop.call_later(0.001, loop.stop)
        loop.run_forever()
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
            sock.bind(("127.0.0.1", 0))
            found.append(sock.connect_ex(("127.0.0.1", 1)) in (0, errno.EINPROGRESS, 111))
        left, right = socket.socketpair()
        left.send(b"x")
        found.append(right.recv(1))
        time.sleep(0.001)
        return found

    assert inside(sandbox, Profile.WORKER, work) == "['text', 'thread', True, b'x']"


@pytest.mark.parametrize(
    "work",
    [
        lambda: os.open("shadow-agent-never", os.O_WRONLY | os.O_CREAT),
        lambda: os.open("/dev/null", os.O_RDWR),
        Path("shadow-agent-never").unlink,
        Path("shadow-agent-never").mkdir,
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262),
        lambda: socket.socket(socket.AF_UNIX),
        lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        os.fork,
        lambda: os.kill(os.getppid(), 0),
        lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC),
        lambda: fcntl.ioctl(os.pipe()[0], termios.TIOCSTI, b"x"),
        lambda: os.memfd_create("x"),
    ],
)
def test_what_is_refused(sandbox: Sandbox, work: Callable[[], object]) -> None:
    """With EPERM, and the process goes on: a defect must not cost more than a refusal."""
    assert inside(sandbox, Profile.WORKER, work) == "EPERM"


@pytest.mark.parametrize("name", ["clone3", "io_uring_setup", "openat2", "epoll_pwait2"])
def test_what_is_said_not_to_exist(sandbox: Sandbox, name: str) -> None:
    """So that libc and libuv take their older way."""
    assert inside(sandbox, Profile.WORKER, lambda: call(name, 0, 0, 0, 0)) == "'ENOSYS'"


@pytest.mark.parametrize(
    "name",
    [
        "execve",
        "ptrace",
        "process_vm_readv",
        "bpf",
        "setns",
        "unshare",
        "mount",
        "setuid",
        "keyctl",
    ],
)
@pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.name)
def test_what_is_deadly(sandbox: Sandbox, profile: Profile, name: str) -> None:
    """No honest child asks for it."""
    assert inside(sandbox, profile, lambda: call(name, 0, 0, 0, 0)) == "SIGSYS"


def test_another_abi_is_deadly(sandbox: Sandbox) -> None:
    """Numbers of another architecture mean other calls: x32 on x86-64."""
    if os.uname().machine != "x86_64":
        pytest.skip("x32 is x86-64's")
    work = lambda: LIBC.syscall(0x40000000 + 39)  # noqa: E731 - getpid of x32
    assert inside(sandbox, Profile.WORKER, work) == "SIGSYS"


@pytest.mark.parametrize(
    ("profile", "connects", "listens"),
    [
        (Profile.WORKER, True, False),
        (Profile.METRICS, False, True),
        (Profile.ASKER, True, False),
        (Profile.READER, False, False),
    ],
    ids=["worker", "metrics", "asker", "reader"],
)
def test_each_has_its_own(
    sandbox: Sandbox, profile: Profile, connects: bool, listens: bool
) -> None:
    """A worker connects, the metrics listener accepts, a reader of files does neither."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = inside(sandbox, profile, lambda: bool(socket.socket()))
        listening = inside(sandbox, profile, lambda: server.listen(1))
    assert (made == "True", listening == "None") == (connects, listens)


def test_an_asker_resolves_names(sandbox: Sandbox) -> None:
    """And loads what its libraries are made of; no other family of sockets."""
    resolved = inside(sandbox, Profile.ASKER, lambda: len(socket.getaddrinfo("localhost", 80)) > 0)
    assert resolved == "True"
    for family, kind, protocol in (
        (socket.AF_PACKET, socket.SOCK_RAW, 0),
        (socket.AF_NETLINK, socket.SOCK_RAW, 12),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0),
    ):
        work = partial(socket.socket, family, kind, protocol)
        assert inside(sandbox, Profile.ASKER, work) == "EPERM"


def test_off_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for, or without the library, or without the kernel's support."""
    assert open_sandbox("off").state == "off (not asked for)"
    monkeypatch.setattr(module, "_LIBRARY", "libnowhere.so.0")
    found = open_sandbox("auto")
    assert not found.on
    assert found.state == "off (no libnowhere.so.0; apt install libseccomp2)"
    found.load(Profile.WORKER)
    with pytest.raises(HostError, match="no filter on system calls: no libnowhere"):
        open_sandbox("require")


def test_a_kernel_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out at start, in a child."""

    def refuse(self: module.Filter) -> None:
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(module.Filter, "load", refuse)
    assert open_sandbox("auto").state == "off (the kernel takes none: Invalid argument)"


def test_names_are_spelt_right() -> None:
    """Each is a call of x86-64 or of aarch64, or of a kernel newer than this libseccomp."""
    resolve = module._open().seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    names = {one.name for profile in Profile for one in profile.value}
    names |= {*module._ABSENT, *module._DEADLY}
    newer = {"map_shadow_stack", "fchmodat2", "statmount", "listmount", "futex_waitv"}
    old = {"fcntl64", "_llseek", "fstat64", "fstatat64", "stat64", "mmap2", "sigreturn"}  # 32 bits
    for name in names - newer - old:
        assert max(resolve(arch, name.encode()) for arch in (X86_64, AARCH64)) >= 0, name
    # what an interpreter cannot do without, where open, pipe and epoll_wait are no calls
    for name in ("openat", "ppoll", "epoll_pwait", "pipe2", "newfstatat", "dup3", "readlinkat"):
        assert name in {one.name for one in module._BASE}
        assert resolve(AARCH64, name.encode()) >= 0


def test_a_filter_that_is_not_in_force_is_an_error() -> None:
    """No worker goes on without."""
    with pytest.raises(OSError, match="seccomp_load: Invalid argument"):
        module._check(-errno.EINVAL, "seccomp_load")
