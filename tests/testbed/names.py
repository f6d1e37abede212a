"""Names of one run's namespaces and files, and whether the run that made them still lives.

A name carries the owner's pid *and* start time (clock ticks since boot), because pids are reused:
``sa4242-81730-9f3c-client``. That is all ``sweep`` needs to tell leftovers from a live run's.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

_PATTERN = re.compile(r"^sa(\d+)-(\d+)-([0-9a-f]{4})-([a-z0-9]+)$")


class RunName(NamedTuple):
    """Identity of one Testbed: the owning process and a random tag (a process may own several)."""

    pid: int
    started: int
    tag: str

    @classmethod
    def new(cls) -> RunName:
        """A fresh name owned by this process."""
        pid = os.getpid()
        started = process_start(pid)
        assert started is not None, "this process has no /proc entry"
        return cls(pid, started, secrets.token_hex(2))

    def of(self, role: str) -> str:
        """The full name for ``role`` (lower-case letters and digits), e.g. a namespace's."""
        return f"sa{self.pid}-{self.started}-{self.tag}-{role}"

    def owner_alive(self) -> bool:
        """Whether the very process that made this name still runs (a zombie does not)."""
        return process_start(self.pid) == self.started


def parse(name: str) -> tuple[RunName, str] | None:
    """Split a full name into run and role; None when it is not one of ours."""
    found = _PATTERN.match(name)
    if found is None:
        return None
    pid, started, tag, role = found.groups()
    return RunName(int(pid), int(started), tag), role


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None when gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and brackets: fields are counted after the last ")".
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
