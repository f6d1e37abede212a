"""The metrics listener: an unprivileged child that serves what the supervisor last rendered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import socket
from typing import Final, NoReturn

from shadow_agent.config import endpoint
from shadow_agent.daemon.process import (
    bound_memory,
    close_all_but,
    die_with_parent,
    drop_privileges,
    ignore_terminal_signals,
    name_process,
)
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox
from shadow_agent.errors import UsageError
from shadow_agent.telemetry.exporter import Exposition, render_metrics, serve

_LARGEST: Final = 1 << 20  # bytes of one page of metrics; some 60 KB are common


class MetricsChild:
    """Started once; a scrape never reaches the privileged process."""

    def __init__(
        self, address: tuple[str, int], user: pwd.struct_passwd, sandbox: Sandbox = NO_SANDBOX
    ) -> None:
        """Listening, in a child. Raises UsageError."""
        self._user = user
        self._sandbox = sandbox
        self._listener = _listen(address)
        self._fork()

    def publish(self, exposition: Exposition) -> None:
        """What scrapes get from now on; skipped while the child is behind."""
        with contextlib.suppress(OSError):
            self._channel.send(render_metrics(exposition))

    def revive(self) -> bool:
        """Start another if it died; says whether it had."""
        if not os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        self._channel.close()
        self._fork()
        return True

    def close(self) -> None:
        """End the child."""
        self._channel.close()
        self._listener.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _fork(self) -> None:
        # a packet is whole or not there: nothing to frame, nothing to desynchronise
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _run(self._listener, theirs, self._user, self._sandbox, parent)
        theirs.close()


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
    listener: socket.socket, channel: socket.socket, user: pwd.struct_passwd, sandbox: Sandbox,
    parent: int,
) -> NoReturn:  # fmt: skip
    code = 1
    try:
        ignore_terminal_signals()
        name_process("shadow-metrics")
        bound_memory(None)
        close_all_but({listener.fileno(), channel.fileno()})
        drop_privileges(user)
        die_with_parent(parent)
        sandbox.load(Profile.METRICS)
        asyncio.run(_serve(listener, channel))
        code = 0
    finally:
        os._exit(code)


async def _serve(listener: socket.socket, channel: socket.socket) -> None:
    latest = b""
    loop = asyncio.get_running_loop()
    channel.setblocking(False)
    server = asyncio.ensure_future(serve(listener, lambda: latest))
    while data := await loop.sock_recv(channel, _LARGEST):
        latest = data
    server.cancel()
