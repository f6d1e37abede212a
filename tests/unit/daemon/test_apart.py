"""A process apart: unprivileged, nothing open but what it needs, replaced when it dies."""

from __future__ import annotations

import os
import pwd
import re
import signal
import socket
from pathlib import Path

from shadow_agent.daemon.apart import PACKET, Child, pieces_of, send_long
from shadow_agent.daemon.seccomp import Profile, open_sandbox
from tests.unit.isolated import needs_root

NOBODY = pwd.getpwnam("nobody")


def _echo(channel: socket.socket) -> None:
    while packet := channel.recv(100):
        channel.send(packet + str(len(list(Path("/proc/self/fd").iterdir()))).encode())


@needs_root
def test_a_child_is_unprivileged_and_replaced() -> None:
    """It has nothing open but its channel, and another takes its place."""
    child = Child("guard-test", NOBODY, set(), _echo)
    try:
        child.say(b"a")
        child.channel.setblocking(True)
        assert child.heard() == b"a5"  # the three, the channel, the folder itself
        status = Path(f"/proc/{child.pid}/status").read_text()
        assert f"Uid:\t{NOBODY.pw_uid}" in status
        assert "CapEff:\t0000000000000000" in status
        before = child.pid
        os.kill(before, signal.SIGKILL)
        os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
        child.say(b"lost")
        assert child.heard() == b""
        assert child.revive()
        assert child.pid != before
        assert not child.revive()
    finally:
        child.close()
    child.close()


def _long(channel: socket.socket) -> None:
    channel.send(b"a packet of before")
    send_long(channel, bytes(range(256)) * 1024)
    channel.recv(1)


@needs_root
def test_a_long_message() -> None:
    """In packets, put together; one that never ends is none."""
    child = Child("apart-test", NOBODY, set(), _long)
    try:
        child.wait(10)
        assert pieces_of(iter(child.heard, b"")) == bytes(range(256)) * 1024
    finally:
        child.close()
    assert pieces_of(iter([b"+half", b""])) is None
    assert pieces_of(iter([b"+" + b"x" * PACKET] * 300)) is None


@needs_root
def test_it_is_filtered() -> None:
    """What reads bytes of strangers has only the calls that it needs."""
    sandbox = open_sandbox("require", (Profile.READER,))
    child = Child("apart-test", NOBODY, set(), _echo, sandbox)
    try:
        child.say(b"hello")
        child.wait(5)
        assert child.heard() is not None
        status = Path(f"/proc/{child.pid}/status").read_text(encoding="utf-8")
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    finally:
        child.close()
