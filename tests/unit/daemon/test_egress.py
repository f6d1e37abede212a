"""Production's own calls, from packets to the summary's rows."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import struct

import orjson
import pytest

from shadow_agent.calls.effects import Effects
from shadow_agent.config.egress import Egress
from shadow_agent.daemon.egress import EgressWatch, Observer
from shadow_agent.errors import HostError
from tests.unit.isolated import ip, isolated, needs_root

NOBODY = pwd.getpwnam("nobody")
KEY = b"k" * 32
NOT_OURS = (b"\0" * 16, 0)
REQUEST = b"POST /v1/charges/7 HTTP/1.1\r\nHost: pay.example\r\nContent-Length: 1\r\n\r\nx"


def _packet(seq: int, data: bytes = b"", flags: int = 0x10) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", 4000, 80, seq, 1, 0x50, flags, 1000, 0, 0) + data
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, bytes((10, 0, 0, 1)),
        bytes((10, 0, 0, 9)),
    )  # fmt: skip
    return head + tcp


def _observe(observer: Observer) -> tuple[Effects, dict[str, int]]:
    for packet in (_packet(9, flags=2), _packet(10, REQUEST[:20]), _packet(30, REQUEST[20:])):
        observer.packet(packet, 1)
    observer.packet(b"\x45" + bytes(10), 1)
    said = orjson.loads(observer.summed_up())
    return Effects.load(said["effects"]), said["losses"]


def test_packets_become_calls() -> None:
    """With what could not be read, by name."""
    effects, losses = _observe(Observer(frozenset({80}), KEY, NOT_OURS))
    (row,) = effects.rows()
    assert (row["host"], row["path"], row["count"]) == ("pay.example", "/v1/charges/{id}", 1)
    assert losses == {"gaps": 0, "unaligned": 0, "evicted": 0, "dropped": 0, "unsupported": 1}


def test_what_is_open_is_told_as_far_as_it_came() -> None:
    """At the end, and of a connection that fell silent."""
    ended, silent = (Observer(frozenset({80}), KEY, NOT_OURS) for _ in range(2))
    for observer in (ended, silent):
        observer.packet(_packet(9, flags=2), 1)
        observer.packet(_packet(10, REQUEST[:-1]), 1)
        assert observer.effects.rows() == []
    silent.expire(1 << 60)
    assert [row["count"] for row in silent.effects.rows()] == [1]
    said = orjson.loads(ended.summed_up())
    assert [row["count"] for row in Effects.load(said["effects"]).rows()] == [1]


def test_our_own_replay_is_no_call_of_production() -> None:
    """Where the shadow is reached by the same interface and port."""
    shadow = (b"\0" * 10 + b"\xff\xff" + bytes((10, 0, 0, 9)), 80)
    effects, _ = _observe(Observer(frozenset({80}), KEY, shadow))
    assert effects.rows() == []


def _call(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(REQUEST)


@needs_root
def test_a_real_call_is_seen() -> None:
    """All that was sent before it is asked, by a process that has no privileges."""

    def watch() -> tuple[Effects | None, dict[str, int]]:
        ip("link set lo up")
        watch = EgressWatch(Egress("lo", (7001,)), KEY, NOT_OURS, NOBODY)
        with socket.create_server(("127.0.0.1", 7001)) as server:
            _call(7001)
            connection, _ = server.accept()
            connection.close()
        return watch.finish()

    effects, losses = isolated(watch)
    assert effects is not None
    (row,) = effects.rows()
    assert (row["host"], row["count"], row["port"]) == ("pay.example", 1, 7001)
    assert losses["dropped"] == 0


@needs_root
def test_a_process_that_died_is_no_empty_list() -> None:
    """Nothing is known then."""

    def watch() -> tuple[Effects | None, dict[str, int]]:
        ip("link set lo up")
        watch = EgressWatch(Egress("lo", (7001,)), KEY, NOT_OURS, NOBODY)
        os.kill(watch._child.pid, signal.SIGKILL)
        return watch.finish()

    assert isolated(watch) == (None, {})


@needs_root
def test_an_interface_that_is_not_there() -> None:
    """Named, with the fix."""
    with pytest.raises(HostError, match="--observe-egress nothere:80: No such device; `ip link`"):
        EgressWatch(Egress("nothere", (80,)), KEY, NOT_OURS, NOBODY)
