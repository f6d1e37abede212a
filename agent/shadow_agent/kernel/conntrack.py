"""How full this namespace's conntrack table is, and whether connections can be kept out of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from shadow_agent.kernel.features import Finding
from shadow_agent.kernel.netns import tried
from shadow_agent.kernel.nftables import NotrackTable, Untracked

_SYSCTL: Final = Path("/proc/sys/net/netfilter")
# A full table drops connections of production's clients.
_NEARLY_FULL: Final = 0.8
_UNOWNED: Final = 255  # no errno


@dataclass(frozen=True, slots=True)
class Usage:
    """Entries now, and at most."""

    count: int
    limit: int


def usage() -> Usage | None:
    """Of this thread's network namespace; None: conntrack is not loaded."""
    try:
        return Usage(
            *(
                int((_SYSCTL / f"nf_conntrack_{name}").read_text(encoding="ascii"))
                for name in ("count", "max")
            )
        )
    except OSError:
        return None


def headroom() -> Finding:
    """How much room is left for what this host tracks."""
    found = usage()
    if found is None:
        return Finding("conntrack", True, "not loaded: nothing is tracked")
    share = found.count / max(found.limit, 1)
    detail = f"{found.count} of {found.limit} entries ({share:.0%})"
    if share < _NEARLY_FULL:
        return Finding("conntrack", True, detail)
    fix = f"sysctl net.netfilter.nf_conntrack_max={found.limit * 2}"
    return Finding("conntrack", None, f"{detail}: when it is full, connections fail", fix)


def notrack() -> Finding:
    """Whether connections to the shadow could be kept out, tried in a namespace of its own."""
    code = tried(_try)
    if code == 0:
        return Finding("notrack", True, "nftables; the table goes with the agent")
    if code == _UNOWNED:
        what = "nftables; after kill -9 the table stays until the next start or detach"
        return Finding("notrack", True, f"{what} (Linux 5.12 ends it)")
    if code == errno.EPERM:
        return Finding("notrack", None, "could not be tried", "run as root")
    return Finding(
        "notrack",
        None,
        f"no nftables ({os.strerror(code)}): connections to the shadow are tracked like others",
        "modprobe nf_tables, or use --isolate",
    )


def _try() -> int:
    what = Untracked(IPv4Address("192.0.2.1"), 1, "lo", local=True)
    return 0 if NotrackTable("doctor", what).owned else _UNOWNED
