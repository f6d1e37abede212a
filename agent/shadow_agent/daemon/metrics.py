"""The metrics listener: an unprivileged child that serves what the supervisor last rendered."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from typing import NoReturn

from shadow_agent.config import endpoint
from shadow_agent.daemon.channel import ChildChannel, Unframer
from shadow_agent.daemon.process import (
    close_all_but,
    die_with_parent,
    drop_privileges,
    ignore_terminal_signals,
    name_process,
)
from shadow_agent.errors import UsageError
from shadow_agent.telemetry.exporter import Exposition, render_metrics, serve


class MetricsChild:
    """Started once; a scrape never reaches the privileged process."""

    def __init__(self, address: tuple[str, int], user: pwd.struct_passwd) -> None:
        """Listening, in a child. Raises UsageError."""
        listener = _listen(address)
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _run(listener, theirs, user, parent)
        theirs.close()
        listener.close()
        self._channel = ChildChannel(ours)

    def publish(self, exposition: Exposition) -> None:
        """What scrapes get from now on; skipped while the child is behind."""
        self._channel.send(render_metrics(exposition))

    def close(self) -> None:
        """End the child."""
        self._channel.close()
        os.waitpid(self.pid, 0)


def _listen(address: tuple[str, int]) -> socket.socket:
    host, port = address
    where = f"--metrics {endpoint(host, port)}"
    try:
        family, kind, _, _, sockaddr = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(sockaddr)
            listener.listen(16)
        except OSError:
            listener.close()
            raise
    except OSError as exc:
        raise UsageError(
            f"{where}: {exc.strerror or exc}", "give a free port on an address of this host"
        ) from exc
    return listener


def _run(
    listener: socket.socket, channel: socket.socket, user: pwd.struct_passwd, parent: int
) -> NoReturn:
    code = 1
    try:
        ignore_terminal_signals()
        name_process("shadow-metrics")
        close_all_but({listener.fileno(), channel.fileno()})
        drop_privileges(user)
        die_with_parent(parent)
        asyncio.run(_serve(listener, channel))
        code = 0
    finally:
        os._exit(code)


async def _serve(listener: socket.socket, channel: socket.socket) -> None:
    latest = b""
    unframer = Unframer()
    loop = asyncio.get_running_loop()
    channel.setblocking(False)
    server = asyncio.ensure_future(serve(listener, lambda: latest))
    while data := await loop.sock_recv(channel, 1 << 16):
        for message in unframer.feed(data):
            latest = message
    server.cancel()
