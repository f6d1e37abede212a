"""Starts COMMAND where every socket it makes is guarded.

In this order: into the cgroup (a socket belongs to the cgroup it was made in), known Unix sockets
whose owners would call out for it covered, every inherited file but the standard ones closed, all
capabilities out of the bounding set, the user, no_new_privs, the filter over kinds of sockets.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from shadow_agent.daemon.process import bound_capabilities, close_all_but, drop_privileges
from shadow_agent.errors import HostError, UsageError
from shadow_agent.guard import families
from shadow_agent.guard.cgroup import Cgroup

# Whoever listens there resolves names or starts programs for those who ask, outside the cgroup.
BROKERS: Final = (
    Path("/run/nscd/socket"),
    Path("/var/run/nscd/socket"),
    Path("/run/systemd/resolve/io.systemd.Resolve"),
    Path("/run/systemd/resolve/io.systemd.Resolve.Monitor"),
    Path("/run/dbus/system_bus_socket"),
    Path("/run/avahi-daemon/socket"),
    Path("/run/docker.sock"),
    Path("/run/containerd/containerd.sock"),
    Path("/run/podman/podman.sock"),
    Path("/run/crio/crio.sock"),
)
# Sockets of a user's own: D-Bus, systemd, Docker, Podman, dirmngr start programs and ask the
# network for whoever runs as that user.
_RUNTIME: Final = Path("/run/user")
_CLONE_NEWNS: Final = 0x00020000
_MS_NOSUID: Final = 2
_MS_NODEV: Final = 4
_MS_BIND: Final = 0x1000
_MS_PRIVATE: Final = 1 << 18
_MS_REC: Final = 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


class Broker(NamedTuple):
    """Which one it is: its owner, started again, makes another at the same place."""

    device: int
    inode: int
    changed_ns: int


def check_standard_files() -> None:
    """Standard input, output and error are the only files COMMAND inherits. Raises HostError."""
    for fd in range(3):
        if domain_of(fd) in {socket.AF_INET, socket.AF_INET6, socket.AF_PACKET, socket.AF_VSOCK}:
            raise HostError(
                f"file {fd} is a network socket that was opened outside of the cgroup",
                "start the guard with a file, pipe or terminal there",
            )


def domain_of(fd: int) -> int | None:
    """The family of an open socket; None of anything else."""
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return None
    except OSError:
        return None  # closed
    with contextlib.closing(socket.socket(fileno=os.dup(fd))) as found:
        return int(found.family)


def brokers(
    user: pwd.struct_passwd, candidates: Sequence[Path] = BROKERS, folders: Path = _RUNTIME
) -> dict[Path, Broker]:
    """Those that are there, each once; also the user's folder of them."""
    found: dict[Path, Broker] = {}
    for path in (*candidates, folders / str(user.pw_uid)):
        with contextlib.suppress(OSError):
            status = path.stat()
            if stat.S_ISSOCK(status.st_mode):
                found[path.resolve()] = Broker(status.st_dev, status.st_ino, status.st_ctime_ns)
            elif path.parent == folders:  # what happens inside is covered, and changes its time
                found[path] = Broker(status.st_dev, status.st_ino, 0)
    return found


def start(
    command: Sequence[str], cgroup: Cgroup, user: pwd.struct_passwd, cover: Collection[Path]
) -> int:
    """Start it; returns its pid. Raises UsageError when it cannot be run, HostError otherwise."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _become(command, cgroup, user, cover, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        trouble = pipe.read(512).decode("utf-8", "replace")
    if not trouble:
        return pid
    os.waitpid(pid, 0)
    step, _, reason = trouble.partition("\0")
    if step == "exec":
        raise UsageError(f"{command[0]}: {reason}", f"name a program that {user.pw_name} may run")
    raise HostError(f"cannot start {command[0]} guarded: {step}: {reason}", "run as root")


def _become(
    command: Sequence[str],
    cgroup: Cgroup,
    user: pwd.struct_passwd,
    cover: Collection[Path],
    pipe: int,
) -> NoReturn:
    step = "cgroup"
    try:
        Path(cgroup.path, "cgroup.procs").write_text("0", encoding="ascii")
        os.setsid()  # what a terminal says comes once: from the guard, not beside it too
        step = "cover sockets"
        hide(cover)
        step = "capabilities"
        close_all_but({pipe})
        bound_capabilities()
        drop_privileges(user)
        step = "seccomp"
        families.restrict()
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, COMMAND may not
            signal.signal(number, signal.SIG_DFL)
        step = "exec"
        environment = {**os.environ, "HOME": user.pw_dir, "USER": user.pw_name}
        os.execvpe(command[0], list(command), environment)  # noqa: S606 - no shell: as given
    except OSError as error:
        os.write(pipe, f"{step}\0{error.strerror or error}".encode())
    finally:
        os._exit(127)


def hide(paths: Collection[Path]) -> None:
    """In a mount namespace of its own, put something else over each: connecting is refused.

    Raises OSError.
    """
    if _libc.unshare(_CLONE_NEWNS) != 0:
        _fail("unshare")
    _mount(None, "/", _MS_REC | _MS_PRIVATE)
    _cover(paths)


def hide_again(pid: int, paths: Collection[Path]) -> bool:
    """The same for COMMAND while it runs: a socket that is made anew has nothing over it."""
    child = os.fork()
    if child == 0:
        try:
            with Path(f"/proc/{pid}/ns/mnt").open("rb") as namespace:
                if _libc.setns(namespace.fileno(), _CLONE_NEWNS) == 0:
                    _cover(paths)
                    os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _cover(paths: Collection[Path]) -> None:
    """A folder by an empty one of the same owner."""
    for path in paths:
        if path.is_dir():
            status = path.stat()
            owner = f"mode=0700,uid={status.st_uid},gid={status.st_gid},size=16m"
            _mount("tmpfs", str(path), _MS_NOSUID | _MS_NODEV, owner)
        else:
            _mount("/dev/null", str(path), _MS_BIND)


def _mount(source: str | None, target: str, flags: int, tmpfs: str | None = None) -> None:
    raw = None if source is None else source.encode()
    kind, options = (None, None) if tmpfs is None else (b"tmpfs", tmpfs.encode())
    if _libc.mount(raw, os.fsencode(target), kind, ctypes.c_ulong(flags), options) != 0:
        _fail(f"mount {target}")


def _fail(what: str) -> NoReturn:
    number = ctypes.get_errno()
    raise OSError(number, f"{what}: {os.strerror(number)}")
