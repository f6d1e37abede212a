"""What the testbed needs of the machine."""

from __future__ import annotations

import os
import shutil

TOOLS = ("nsenter", "nginx", "curl", "wrk", "tcpdump")


def missing() -> str | None:
    """The first thing that is not there, with the fix; None when the testbed can run."""
    if os.geteuid() != 0:
        return "not root (fix: run as root)"
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return f"{tool} not installed (fix: make setup)"
    return None
