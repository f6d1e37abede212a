"""The one thing that still takes CAP_SYS_ADMIN: letting the kernel count the run time of programs.

A child keeps that capability, and nothing else, so that the supervisor need not. It hears one byte
and answers with one file descriptor; the kernel counts while that is open.
"""

from __future__ import annotations

import os
import pwd
import signal
import socket
from collections.abc import Callable
from typing import Final, NoReturn

from shadow_agent.daemon.capabilities import become_unprivileged_but
from shadow_agent.daemon.process import (
    close_all_but,
    die_with_parent,
    ignore_terminal_signals,
    name_process,
)
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox
from shadow_agent.kernel import bpf

_SYS_ADMIN: Final = 21
_PATIENCE_S: Final = 1.0


class StatsChild:
    """Forked before the supervisor drops its capabilities. Not started again when it dies."""

    def __init__(
        self, user: pwd.struct_passwd, sandbox: Sandbox = NO_SANDBOX,
        enable: Callable[[], int] = bpf.enable_run_time_stats,
    ) -> None:  # fmt: skip
        """Running."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(_PATIENCE_S)
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _run(theirs, user, sandbox, enable, parent)
        theirs.close()

    def enable(self) -> int:
        """An fd; the kernel counts until it is closed. Raises OSError when it does not."""
        self._channel.send(b"?")
        said, fds, _, _ = socket.recv_fds(self._channel, 16, 1)
        if fds:
            return fds[0]
        raise OSError(int(said or b"5"), "run time of BPF programs is not counted")

    def close(self) -> None:
        """End it."""
        self._channel.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _run(
    channel: socket.socket, user: pwd.struct_passwd, sandbox: Sandbox, enable: Callable[[], int],
    parent: int,
) -> NoReturn:  # fmt: skip
    try:
        ignore_terminal_signals()
        name_process("shadow-stats")
        close_all_but({channel.fileno()})
        become_unprivileged_but(_SYS_ADMIN, user)
        die_with_parent(parent)
        sandbox.load(Profile.STATS)
        while channel.recv(1):
            try:
                fd = enable()
            except OSError as exc:
                channel.send(str(exc.errno or 5).encode())
                continue
            socket.send_fds(channel, [b"!"], [fd])
            os.close(fd)
    finally:
        os._exit(1)
