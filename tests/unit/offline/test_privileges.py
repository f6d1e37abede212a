"""What is given up before a byte is parsed, in processes of their own."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest

from shadow_agent.errors import HostError
from shadow_agent.offline import privileges
from tests.unit.isolated import needs_root


def run(code: str) -> str:
    """What a Python of its own prints."""
    before = "import os, resource; from shadow_agent.offline.privileges import *;"
    done = subprocess.run(
        [sys.executable, "-c", before + code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# The interpreter of a test may lie in a home that is closed to others.
CODECS = "import codecs; [codecs.lookup(name) for name in ('ascii', 'latin-1', 'unicode_escape')];"
STATUS = (
    "fields = dict(line.split(':', 1) for line in open('/proc/self/status'));"
    "print(*fields['Uid'].split(), fields['NoNewPrivs'].strip(), int(fields['CapEff'], 16))"
)


@needs_root
def test_root_becomes_nobody() -> None:
    """For good, and no exec brings anything back."""
    uid = pwd.getpwnam("nobody").pw_uid
    assert run("become_unprivileged('nobody');" + STATUS) == f"{uid} {uid} {uid} {uid} 1 0"


@needs_root
def test_others_stay_who_they_are() -> None:
    """But gain nothing by exec."""
    assert (
        run(CODECS + "os.setresuid(7, 7, 7); become_unprivileged(None);" + STATUS) == "7 7 7 7 1 0"
    )


@needs_root
def test_a_root_that_cannot_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container without other users: refused rather than parsed as root."""

    def refuse(entry: pwd.struct_passwd) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(privileges, "drop_privileges", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(HostError, match=r"cannot become user nobody: Operation not permitted"):
        privileges.become_unprivileged("nobody")


def test_memory_has_a_limit() -> None:
    """And a lower one that was set before stays."""
    assert run("limit_memory(); print(resource.getrlimit(resource.RLIMIT_AS)[0])") == str(2 << 30)
    lower = "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY));"
    shown = "limit_memory(); print(resource.getrlimit(resource.RLIMIT_AS)[0])"
    assert run(lower + shown) == str(1 << 30)
