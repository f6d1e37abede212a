"""The metrics listener: an unprivileged child that serves what the supervisor last rendered."""

from __future__ import annotations

import asyncio
import pwd
import socket
from functools import partial
from typing import Final

from shadow_agent.daemon.apart import Child
from shadow_agent.daemon.listener import listen
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox
from shadow_agent.telemetry.exporter import render_metrics, serve
from shadow_agent.telemetry.exposition import Exposition

_LARGEST: Final = 1 << 20  # bytes of one page of metrics; some 60 KB are common


class MetricsChild:
    """Started once; a scrape never reaches the privileged process."""

    def __init__(
        self, address: tuple[str, int], user: pwd.struct_passwd, sandbox: Sandbox = NO_SANDBOX
    ) -> None:
        """Listening, in a child. Raises UsageError."""
        self._listener = listen(address, "--metrics")
        self._child = Child(
            "shadow-metrics", user, {self._listener.fileno()},
            partial(_run, listener=self._listener), sandbox, Profile.METRICS,
            largest=_LARGEST, first_to_go=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._child.pid

    def publish(self, exposition: Exposition) -> None:
        """What scrapes get from now on; skipped while the child is behind."""
        self._child.say(render_metrics(exposition))

    def revive(self) -> bool:
        """Start another if it died; says whether it had."""
        return self._child.revive()

    def close(self) -> None:
        """End the child."""
        self._child.close()
        self._listener.close()


def _run(channel: socket.socket, listener: socket.socket) -> None:
    asyncio.run(_serve(listener, channel))


async def _serve(listener: socket.socket, channel: socket.socket) -> None:
    latest = b""
    loop = asyncio.get_running_loop()
    channel.setblocking(False)
    server = asyncio.ensure_future(serve(listener, lambda: latest))
    while data := await loop.sock_recv(channel, _LARGEST):
        latest = data
    server.cancel()
