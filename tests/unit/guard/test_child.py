"""The guard's children: unprivileged, replaced when they die."""

from __future__ import annotations

import os
import pwd
import signal
import socket
from pathlib import Path

from shadow_agent.guard.child import Child, Stats, read_stats, refusal_line
from shadow_agent.kernel.guard import Hook, Refusal
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


def test_a_refusal_as_a_line() -> None:
    """Address as people write it; the command's name cannot drive a terminal."""
    address = b"\0" * 10 + b"\xff\xff" + bytes((10, 0, 0, 9))
    one = Refusal(2_000_000_000, address, 443, 6, Hook.CONNECT, 7, b"py\x1b[2J")
    assert refusal_line(one, 1000.0) == {
        "time": 1002.0, "event": "refused", "protocol": "tcp", "address": "10.0.0.9",
        "port": 443, "pid": 7, "command": "py\x1b[2J",
    }  # fmt: skip
    line = refusal_line(one._replace(hook=Hook.SOCKET, protocol=262), 0.0)
    assert (line["event"], line["protocol"], line["address"]) == ("refused_socket", "mptcp", "")
    assert (
        refusal_line(one._replace(address=b"\0" * 15 + b"\1", protocol=99), 0.0)["address"] == "::1"
    )


def test_stats() -> None:
    """Summed over children; anything else is no statistics."""
    assert Stats(1, 2, 3, 4, 5).plus(Stats(1, 1, 1, 1, 1)) == (2, 3, 4, 5, 6)
    assert read_stats(b"\1" + b"\0" * 39) == Stats(1)
    assert read_stats(b"x") is None
