"""The filter over kinds of sockets, in force in a child."""

from __future__ import annotations

import subprocess
import sys

import pytest

from shadow_agent.guard import families

_TRY = """
import ctypes, errno, os, socket, sys
from shadow_agent.daemon.process import no_new_privileges
from shadow_agent.guard import families
no_new_privileges()
assert families.restrict()
def attempt(family, kind=socket.SOCK_STREAM):
    try:
        socket.socket(family, kind).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "made"
print([attempt(one) for one in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)],
      attempt(socket.AF_NETLINK, socket.SOCK_RAW), attempt(socket.AF_VSOCK),
      attempt(socket.AF_PACKET, socket.SOCK_RAW), attempt(socket.AF_ALG))
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(425, 1, 0)
print(errno.errorcode[ctypes.get_errno()], len(os.pipe()), len(socket.socketpair()))
"""

_TYPE = """
import errno, fcntl, os, pty, sys, termios
from shadow_agent.daemon.process import no_new_privileges
from shadow_agent.guard import families
TIOCLINUX = 0x541C
def attempt(what):
    try:
        fcntl.ioctl(0, what, b"\\n")
    except OSError as error:
        return errno.errorcode[error.errno]
    return "typed"
pid, terminal = pty.fork()
if pid == 0:
    no_new_privileges()
    assert families.restrict()
    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
    said = f"{attempt(termios.TIOCSTI)} {attempt(TIOCLINUX)} {len(size)}"
    os.write(1, said.encode())
    os._exit(0)
print(os.read(terminal, 100).decode())
os.waitpid(pid, 0)
"""


@pytest.mark.skipif(families.here() is None, reason="a machine the filter knows")
def test_other_families_cannot_be_made() -> None:
    """Unix, IP and netlink can; io_uring, which goes past the filter, is not there."""
    done = subprocess.run(
        [sys.executable, "-c", _TRY],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "['made', 'made', 'made'] made EAFNOSUPPORT EAFNOSUPPORT EAFNOSUPPORT",
        "ENOSYS 2 2",
    ]


@pytest.mark.skipif(families.here() is None, reason="a machine the filter knows")
def test_nothing_is_typed_into_the_terminal() -> None:
    """A shell of root's reads there; what else a terminal is asked goes on."""
    done = subprocess.run([sys.executable, "-c", _TYPE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["EPERM EPERM 8"]


def test_jumps_stay_inside() -> None:
    """For every machine; the kernel would refuse it."""
    for machine in families.MACHINES.values():
        code = families.program(machine)
        count = len(code) // 8
        for at in range(count):
            left, right = code[8 * at + 2], code[8 * at + 3]
            assert at + 1 + max(left, right) < count + (code[8 * at] == 6)


def test_another_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not filtered, so that the guard can tell."""
    monkeypatch.setattr(families, "here", lambda: None)
    assert families.restrict() is False


@pytest.mark.skipif(families.here() is None, reason="a machine the filter knows")
def test_a_filter_that_the_kernel_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """COMMAND does not run without it."""
    monkeypatch.setattr(families, "program", lambda _: b"")
    with pytest.raises(OSError, match="seccomp"):
        families.restrict()
