"""What the hooks do not see on this host: looked for at the start, and said."""

from __future__ import annotations

import contextlib
import pwd
from pathlib import Path

from shadow_agent.guard import families
from shadow_agent.guard.cgroup import Cgroup

_PROC = Path("/proc")


def uncovered(user: pwd.struct_passwd, cgroup: Cgroup, proc: Path = _PROC) -> list[str]:
    """One line each, with the fix where there is one."""
    found = [
        (
            "Unix sockets are not refused: a process outside that calls out for others (a local "
            "mail queue, an abstract socket) could do so for COMMAND"
        )
    ]
    if others := same_user(user.pw_uid, set(cgroup.pids()), proc):
        found.append(
            f"{others} processes outside run as {user.pw_name} too: COMMAND could take their "
            "sockets; give it a user of its own with --user"
        )
    if families.here() is None:
        found.append("no filter over kinds of sockets for this machine: AF_VSOCK is not refused")
    return found


def same_user(uid: int, inside: set[int], proc: Path = _PROC) -> int:
    """Processes of this user that are not in the cgroup."""
    count = 0
    for entry in proc.iterdir():
        if entry.name.isdigit() and int(entry.name) not in inside:
            with contextlib.suppress(OSError):
                count += entry.stat().st_uid == uid
    return count
