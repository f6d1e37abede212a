"""What the guard's children say."""

from __future__ import annotations

from shadow_agent.guard.child import Stats, read_stats, refusal_line
from shadow_agent.kernel.guard import Hook, Refusal


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
    """Summed over children, but for the last line's number; anything else is no statistics."""
    assert Stats(1, 2, 3, 4, 5, 9).plus(Stats(1, 1, 1, 1, 1, 7)) == (2, 3, 4, 5, 6, 9)
    assert read_stats(b"\1" + b"\0" * 47) == Stats(1)
    assert read_stats(b"x") is None
