"""Nothing from a capture is looked at with more privilege than nobody has."""

from __future__ import annotations

import codecs
import os
import resource
from typing import Final

from shadow_agent.config import unprivileged_user
from shadow_agent.daemon.process import drop_privileges, no_new_privileges
from shadow_agent.errors import HostError

# Bytes of address space. Far above what a capture may make us hold; a defect ends the process
# there, and not the machine.
ADDRESS_SPACE: Final = 2 << 30
# Python looks codecs up when they are first used, in a folder that may be closed to us by then:
# what escapes an odd name in a message, what /proc is read with, what terminals may want.
_CODECS: Final = ("ascii", "latin-1", "unicode_escape", "utf-8")


def become_unprivileged(user: str | None) -> None:
    """Root becomes ``user`` (None: as attach chooses); nobody gains anything by exec from here on.

    Everything must be imported and opened. Raises UsageError and HostError.
    """
    for name in _CODECS:
        codecs.lookup(name)
    if 0 not in {os.getuid(), os.geteuid()}:
        no_new_privileges()
        return
    entry = unprivileged_user(user)
    try:
        drop_privileges(entry)
    except OSError as exc:
        raise HostError(
            f"cannot become user {entry.pw_name}: {exc.strerror}", "run as an unprivileged user"
        ) from exc


def limit_memory() -> None:
    """Never raises a limit that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lowest = min(one for one in (soft, hard, ADDRESS_SPACE) if one != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (lowest, hard))
