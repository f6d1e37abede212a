"""The cgroup that is guarded: found, made, looked into, emptied."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import stat
from pathlib import Path
from typing import Final

from shadow_agent.errors import HostError, UsageError

_MOUNTS: Final = Path("/proc/self/mountinfo")
# Listening sockets are looked for in so many processes, with so many files each.
_MAX_PROCESSES: Final = 64
_MAX_FILES: Final = 1024
_LISTEN: Final = "0A"


def unified_mount(mounts: str) -> Path | None:
    """Where cgroup2 is mounted, from ``/proc/self/mountinfo``."""
    for line in mounts.splitlines():
        mounted, _, kind = line.partition(" - ")
        if kind.split()[:1] == ["cgroup2"]:
            return Path(mounted.split()[4])
    return None


class Cgroup:
    """A cgroup by its folder; ``fd`` is what programs are attached to."""

    def __init__(self, path: Path, fd: int, *, made: tuple[Path, ...] = ()) -> None:
        self.path = path
        self.fd = fd
        self._made = made

    @classmethod
    def prepare(cls, written: Path, mounts: str | None = None) -> Cgroup:
        """Open it, made if missing; ``written`` may be relative to the cgroup2 mount.

        Raises HostError without cgroup v2, and UsageError for a place that cannot be guarded:
        outside of the mount, its root, one that others than root may change, one in use.
        """
        root = unified_mount(_MOUNTS.read_text(encoding="utf-8") if mounts is None else mounts)
        if root is None:
            raise HostError(
                "no cgroup v2 is mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified"
            )
        path = root / written
        flag = f"--cgroup {written}"
        if ".." in path.parts or not path.is_relative_to(root) or path == root:
            raise UsageError(f"{flag}: is no cgroup below {root}", f"write {root}/shadow")
        made = tuple(one for one in _folders(root, path) if not one.exists())
        try:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{flag}: {error.strerror}", f"write {root}/shadow") from error
        found = cls(path, fd, made=made)
        try:
            found._check(root, flag)
            found._take(flag)
        except UsageError:
            found.close()
            raise
        return found

    def _check(self, root: Path, flag: str) -> None:
        open_to = next((one for one in _folders(root, self.path) if _others_may_change(one)), None)
        if open_to is not None:
            raise UsageError(
                f"{flag}: others than root may move processes out of {open_to}",
                "take a cgroup that is delegated to nobody, all its parents too",
            )
        self._check_empty(flag)

    def _check_empty(self, flag: str) -> None:
        if number := len(self.pids()):
            raise UsageError(
                f"{flag}: {number} processes are in it already, with sockets that may be older",
                f"end them: echo 1 > {self.path}/cgroup.kill",
            )

    def _take(self, flag: str) -> None:
        """Of two guards that are started at once, one: else the other's programs come off."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"{flag}: another guard is on it", "give this one a cgroup of its own"
            ) from error
        self._check_empty(flag)

    @property
    def id(self) -> int:
        """As the kernel and bpftool number it."""
        return os.fstat(self.fd).st_ino

    def pids(self) -> list[int]:
        """Processes in it and below it; empty when it is gone."""
        found = []
        for folder, _, _ in os.walk(self.path):
            with contextlib.suppress(OSError):
                text = Path(folder, "cgroup.procs").read_text(encoding="ascii")
                found += [int(line) for line in text.split() if line != "0"]
        return found

    def kill(self) -> None:
        """SIGKILL to all in it; ask ``pids`` whether they are gone."""
        try:
            Path(self.path, "cgroup.kill").write_text("1", encoding="ascii")  # Linux 5.14
        except OSError:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it, and remove it if it was made here and is empty."""
        os.close(self.fd)
        if self._made:
            inside = [Path(folder) for folder, _, _ in os.walk(self.path, topdown=False)]
            for folder in (*inside, *reversed(self._made)):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _folders(root: Path, path: Path) -> list[Path]:
    below = path.relative_to(root).parts
    return [root.joinpath(*below[: count + 1]) for count in range(len(below))]


def _others_may_change(folder: Path) -> bool:
    for path in (folder, folder / "cgroup.procs"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return True
    return False


def listening(pids: list[int]) -> list[int]:
    """TCP ports on which these processes listen; of very many, of the first."""
    # A table has all sockets of a network namespace and is read once: with one look for each
    # process, thousands of connections would take longer than the stubs' lease lasts.
    tables: dict[str, tuple[list[int], set[str]]] = {}
    for pid in pids[:_MAX_PROCESSES]:
        with contextlib.suppress(OSError):
            namespace = os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - no path
            members, inodes = tables.setdefault(namespace, ([], set()))
            members.append(pid)
            for fd in os.listdir(f"/proc/{pid}/fd")[:_MAX_FILES]:  # noqa: PTH208 - names only
                with contextlib.suppress(OSError):
                    link = os.readlink(f"/proc/{pid}/fd/{fd}")  # noqa: PTH115 - no path
                    if number := re.fullmatch(r"socket:\[(\d+)\]", link):
                        inodes.add(number[1])
    found = set()
    for members, inodes in tables.values():
        for pid in members:  # the first that is still there
            with contextlib.suppress(OSError):
                for table in ("tcp", "tcp6"):
                    found |= _ports_of(Path(f"/proc/{pid}/net/{table}"), inodes)
                break
    return sorted(found)


def _ports_of(table: Path, inodes: set[str]) -> set[int]:
    found = set()
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTEN and fields[9] in inodes:
            found.add(int(fields[1].rpartition(":")[2], 16))
    return found
