"""A control group of our own (cgroup v2) that holds the agent to its budget.

Below the group that we were started in, one group per agent with two leaves::

    shadow-agent-TARGET-PID      memory.max for all of us
      ├── supervisor             no processor limit: it keeps the lease and the off switch
      └── workers                cpu.max, memory.high

Only our own place is used: a group that systemd delegates to us, or one that nobody else lives in.
Elsewhere in the tree somebody else writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PREFIX: Final = "shadow-agent-"
_PERIOD_US: Final = 100_000  # the kernel's own default of cpu.max
_LEAST_QUOTA_US: Final = 1000  # and its least
_HIGH: Final = 0.9  # of the memory budget: from there on workers are slowed, then killed


class UnavailableError(Exception):
    """No group can be had here; one line says why and what would help."""


class Usage(NamedTuple):
    """What the kernel says of our group."""

    memory_bytes: int
    oom_kills: int  # processes of ours that memory.max has killed
    throttled_s: float  # for how long cpu.max kept workers waiting


class Written(NamedTuple):
    """A limit: the leaf ("" is the group itself), the file, the text."""

    leaf: str
    file: str
    text: str


def limits_of(cpu: float | None, memory: int | None) -> list[Written]:
    """As the kernel takes them: processors, bytes; None is no limit."""
    found = []
    if cpu is not None:
        quota = max(round(cpu * _PERIOD_US), _LEAST_QUOTA_US)
        found.append(Written("workers", "cpu.max", f"{quota} {_PERIOD_US}"))
    if memory is not None:
        found += [
            Written("", "memory.max", str(memory)),
            # what does not fit must not push production's pages out to a disk instead
            Written("", "memory.swap.max", "0"),
            Written("workers", "memory.high", str(round(memory * _HIGH))),
        ]
    return found


def own_group(proc: Path = Path("/proc/self")) -> Path:
    """The folder of the group that this process is in. Raises UnavailableError."""
    try:
        mounts = (proc / "mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        lines = (proc / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as exc:
        raise UnavailableError(f"{exc.filename}: {exc.strerror}") from exc
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    for mount in mounts:
        left, _, right = mount.partition(" - ")
        if path is not None and right.startswith("cgroup2 "):
            _, _, _, root, point, *_ = left.split(" ")
            inside = path.removeprefix(root.rstrip("/"))
            if ".." in inside.split("/"):
                break  # a mount that shows another part of the tree
            return Path(point) / inside.lstrip("/")
    raise UnavailableError("cgroup v2 is not mounted, or not where this process lives")


def remove_stale(parent: Path) -> list[str]:
    """Remove groups of agents that were killed; a group in which anybody lives is left alone."""
    removed = []
    for group in parent.glob(f"{PREFIX}*"):
        pid = group.name.rpartition("-")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with contextlib.suppress(OSError):  # somebody lives there, in another pid namespace
                _remove(group)
                removed.append(group.name)
    return removed


class Group:
    """Ours from ``create`` to ``close``, with this process in it."""

    def __init__(self, parent: Path, path: Path, enabled: list[str]) -> None:
        """``enabled``: controllers that we switched on for the parent's children."""
        self.path = path
        self._parent = parent
        self._enabled = enabled

    @classmethod
    def create(
        cls,
        target: str,
        limits: Iterable[Written],
        parent: Path | None = None,
        controllers: Iterable[str] = ("cpu", "memory"),
    ) -> Group:
        """Make it, limit it and move there. Raises UnavailableError, and then nothing is left."""
        parent = own_group() if parent is None else parent
        wanted = sorted(controllers)
        missing = set(wanted) - set(_words(parent / "cgroup.controllers"))
        if missing:
            names = " and ".join(sorted(missing))
            raise UnavailableError(
                f"{parent}: no {names} controller of cgroup v2 "
                "(on cgroup v1 here, or not delegated: Delegate=yes in the systemd unit)"
            )
        remove_stale(parent)
        group = cls(parent, parent / f"{PREFIX}{target}-{os.getpid()}", [])
        try:
            for folder in (group.path, group.path / "supervisor", group.path / "workers"):
                folder.mkdir()
            group._enter(wanted)
            for limit in limits:
                group._write(limit)
        except OSError as exc:
            group.close()
            raise UnavailableError(f"{exc.filename or group.path}: {exc.strerror}") from exc
        except UnavailableError:
            group.close()
            raise
        return group

    def add(self, pid: int) -> None:
        """A worker that was just forked. OSError when it has died meanwhile."""
        _put(self.path / "workers" / "cgroup.procs", str(pid))

    def usage(self) -> Usage:
        """Now; zeros for what this kernel does not say."""
        return Usage(
            memory_bytes=_number(self.path / "memory.current"),
            oom_kills=_field(self.path / "memory.events", "oom_kill"),
            throttled_s=_field(self.path / "workers" / "cpu.stat", "throttled_usec") / 1e6,
        )

    def close(self) -> None:
        """Go back to where we were and remove it; workers are dead by then."""
        with contextlib.suppress(OSError, UnavailableError):
            _switch(self.path, self._children_have(self.path), on=False)
        if self._enabled:  # a group whose children have controllers takes no process itself
            with contextlib.suppress(OSError):
                _switch(self._parent, self._enabled, on=False)
        with contextlib.suppress(OSError):
            _put(self._parent / "cgroup.procs", "0")
        with contextlib.suppress(OSError):
            _remove(self.path)

    def _enter(self, wanted: list[str]) -> None:
        """This process into its leaf, and controllers on for both leaves."""
        missing = sorted(set(wanted) - set(self._children_have(self._parent)))
        # the root has no such file, and may have processes beside groups
        is_root = not (self._parent / "cgroup.events").exists()
        if missing and not is_root:
            others = set(_words(self._parent / "cgroup.procs")) - {str(os.getpid())}
            if others:
                raise UnavailableError(
                    f"{self._parent}: {len(others)} other processes live there; start the agent as "
                    "a systemd unit with Delegate=yes, or by `systemd-run --scope -p Delegate=yes`"
                )
        _put(self.path / "supervisor" / "cgroup.procs", "0")
        if missing:
            _switch(self._parent, missing, on=True)
            if not is_root:
                self._enabled = missing
        _switch(self.path, wanted, on=True)

    def _write(self, limit: Written) -> None:
        file = self.path / limit.leaf / limit.file
        if limit.file != "memory.swap.max" or file.exists():  # not in kernels without swap
            _put(file, limit.text)

    @staticmethod
    def _children_have(group: Path) -> list[str]:
        return _words(group / "cgroup.subtree_control")


def _put(file: Path, text: str) -> None:
    # never created: what is not there is no control file
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    except OSError as exc:
        raise OSError(exc.errno, exc.strerror, str(file)) from exc
    finally:
        os.close(fd)


def _switch(group: Path, controllers: Iterable[str], *, on: bool) -> None:
    text = " ".join(f"{'+' if on else '-'}{name}" for name in controllers)
    if text:
        _put(group / "cgroup.subtree_control", text)


def _remove(group: Path) -> None:
    for leaf in sorted(one for one in group.iterdir() if one.is_dir()):
        leaf.rmdir()
    group.rmdir()


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError as exc:
        raise UnavailableError(f"{file}: {exc.strerror}") from exc


def _number(file: Path) -> int:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _field(file: Path, name: str) -> int:
    return fields(file).get(name, 0)


def fields(file: Path) -> Mapping[str, int]:
    """``NAME NUMBER`` lines of a control file; empty when it cannot be read."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
        return {name: int(number) for name, number in (line.split() for line in lines)}
    except (OSError, ValueError):
        return {}
