"""The worker's end of the channel, against the supervisor's."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from shadow_agent.daemon.channel import ChildChannel
from shadow_agent.daemon.uplink import Uplink, complain


def test_up_and_down() -> None:
    """Snapshots arrive as sent; four commands are heard, another is not."""
    drained: list[bool] = []
    allowed: list[bool] = []
    changes: list[dict[str, object]] = []
    links: list[bool] = []

    async def work() -> None:
        ours, theirs = socket.socketpair()
        channel = ChildChannel(ours)
        uplink = Uplink(lambda: drained.append(True), allowed.append, changes.append, links.append)
        uplink.send(b"to nobody")
        assert uplink.pending == 0
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: uplink, sock=theirs)
        uplink.send(b"snapshot")
        assert channel.receive() == [b"snapshot"]
        assert channel.send(b'{"command":"other"}')
        for value in ("true", "false", '"true"', "1"):
            assert channel.send(b'{"command":"writes","open":%s}' % value.encode())
            assert channel.send(b'{"command":"link","up":%s}' % value.encode())
        assert channel.send(b'{"command":"change","settings":{"methods":"all"}}')
        assert channel.send(b'{"command":"drain"}')
        async with asyncio.timeout(10):
            while not drained:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0)
        for _ in range(64):
            uplink.send(bytes(1 << 16))
        assert uplink.pending > 0
        uplink.connection_lost = lambda exc: None  # type: ignore[method-assign]  # noqa: ARG005
        transport.abort()
        await asyncio.sleep(0)
        channel.close()

    asyncio.run(work())
    assert drained == [True]
    assert allowed == links == [True, False]
    assert changes == [{"methods": "all"}]


def test_without_a_supervisor_a_worker_ends() -> None:
    """At once, whatever it was doing."""
    pid = os.fork()
    if pid == 0:
        Uplink(lambda: None, lambda _: None, lambda _: None, lambda _: None).connection_lost(None)
        os._exit(9)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1


def test_a_complaint_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    """Whatever bytes of the wire are in it."""
    complain("worker 0: two\nlines and \x1b[2J")
    assert capfd.readouterr().err == "shadow-agent: worker 0: two lines and \\x1b[2J\n"
