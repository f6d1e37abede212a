"""One network namespace: create, remove, run a Python function in it, see what runs and listens.

Entering is ``setns`` of a *thread* (or ``nsenter --net=`` for commands): ``ip netns exec`` would
make a new mount namespace and hide bpffs. ``/sys/class/net`` keeps showing the devices of the
namespace where sysfs was mounted; code under test must use netlink.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import ParamSpec, TypeVar

from tests.testbed.names import parse
from tests.testbed.wait import eventually

P = ParamSpec("P")
T = TypeVar("T")

RUN_DIR = Path("/run/netns")
_LISTEN = "0A"
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A named network namespace (``/run/netns/NAME``, visible to ``ip netns``)."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        """The file that ``nsenter --net=`` and ``setns`` take."""
        return RUN_DIR / self.name

    def create(self) -> None:
        """Make the namespace; raises OSError when it exists or without CAP_SYS_ADMIN."""
        _in_thread(self._unshare, self.name)
        if self._is_ours_outside():
            _netns().remove(self.name)
            raise OSError(f"{self.path}: names the namespace we live in instead of a new one")

    def _unshare(self) -> None:
        # In a thread instead of pyroute2's forked helper, see links._netlink. The thread is named
        # by its own id: "self" would be the process, that is its main thread, in the old one.
        if _LIBC.unshare(_CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"unshare: {os.strerror(number)}")
        _netns().attach(self.name, threading.get_native_id())

    def _is_ours_outside(self) -> bool:
        """Whether this is the namespace of our own process or of init: never to be emptied."""
        mine = _identity(self.path)
        return mine is not None and mine in (
            _identity(Path("/proc/self/ns/net")),
            _identity(Path("/proc/1/ns/net")),
        )

    def exists(self) -> bool:
        """Whether the name is there (also as an empty file of a half-made namespace)."""
        return self.path.exists()

    def remove(self) -> None:
        """Forget the name; the kernel destroys it when its last process and socket are gone."""
        with contextlib.suppress(FileNotFoundError):
            _netns().remove(self.name)

    def command(self, *argv: str | Path) -> list[str]:
        """``argv`` wrapped so that it runs inside. nsenter execs: the pid stays the command's."""
        return ["nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` inside, in a thread of this process; its result or its exception.

        setns of the network namespace is per thread, so the caller's own never changes. Sockets
        made inside stay inside and may be returned. Files of ``/proc/net`` must be read as
        ``/proc/thread-self/net``.
        """

        def enter() -> T:
            _netns().setns(self.name, flags=0)
            return function(*args, **kwargs)

        return _in_thread(enter, self.name)

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0
    ) -> socket.socket:
        """A socket that lives in this namespace, for use from here."""
        return self.call(socket.socket, family, kind, proto)

    def sysctl(self, key: str, value: int) -> None:
        """Set ``net.*`` sysctl ``key`` (path under /proc/sys/net) of this namespace."""
        self.call(Path("/proc/sys/net", key).write_text, str(value))

    def listening(self, port: int) -> bool:
        """Whether a TCP socket listens on ``port``, of either family, on any address."""
        return port in self.call(_listening_ports)

    def wait_listening(self, port: int, timeout: float = 5.0, pid: int | None = None) -> None:
        """Return once ``port`` listens; see ``eventually`` for what is raised."""
        what = f"{self.name}: listen on port {port}"
        eventually(lambda: self.listening(port), timeout, what, pid)

    def pids(self) -> list[int]:
        """Processes (not this one) whose network namespace this is."""
        mine = _identity(self.path)
        found = []
        for entry in Path("/proc").iterdir():
            if mine is None or not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            if _identity(entry / "ns/net") == mine:
                found.append(int(entry.name))
        return found

    def kill_all(self, timeout: float = 5.0) -> None:
        """SIGKILL everything inside and wait until it is gone (zombies do not count).

        Raises PermissionError when the name stands for a namespace that is not the testbed's own:
        a slip there would end every process of the machine.
        """
        if parse(self.name) is None or self._is_ours_outside():
            raise PermissionError(f"{self.path}: not a testbed's namespace, nothing killed")

        def empty() -> bool:
            pids = self.pids()  # again each time: a dying parent may have forked meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not pids

        eventually(empty, timeout, f"{self.name}: no process left")


def _netns() -> ModuleType:
    # Servers and generators run as modules of this package, several a test, and make no namespace:
    # without this library each starts 0.15 s sooner.
    from pyroute2 import netns  # noqa: PLC0415

    return netns  # type: ignore[no-any-return]


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells one namespace from another; None when there is no such file or process."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _in_thread(function: Callable[[], T], name: str) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function())
        except BaseException as error:  # handed to the caller, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run, name=f"in {name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _listening_ports() -> set[int]:
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/thread-self/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports
