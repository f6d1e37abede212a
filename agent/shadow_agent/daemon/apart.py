"""A process of its own for what reads bytes of strangers: unprivileged, killed with its parent.

It gets its descriptors open, and speaks over a channel of whole packets.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import pwd
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from typing import Final, NoReturn

from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.process import (
    bound_memory,
    close_all_but,
    die_with_parent,
    drop_privileges,
    ignore_terminal_signals,
    name_process,
)
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox

PACKET: Final = 64 << 10
# Packets of a long message: pieces, then its end.
_PIECE: Final = b"+"
_END: Final = b"."
_MAX_LONG: Final = 16 << 20


class Child:
    """A forked process and the channel to it; ``revive`` starts another when it died."""

    def __init__(
        self,
        name: str,
        user: pwd.struct_passwd,
        keep: Collection[int],
        run: Callable[[socket.socket], None],
        sandbox: Sandbox = NO_SANDBOX,
        profile: Profile = Profile.READER,
        fork: Callable[[Callable[[], NoReturn]], int] = fork_here,
        largest: int = PACKET,
        first_to_go: bool = False,
    ) -> None:
        """Started. ``keep`` are the descriptors that ``run`` uses; ``fork`` decides where.

        ``largest``: bytes of what it may be told at once; ``first_to_go``: see ``bound_memory``.
        """
        self._largest, self._first_to_go = largest, first_to_go
        self._sandbox, self._profile, self._fork_child = sandbox, profile, fork
        self._name, self._user, self._keep, self._run = name, user, keep, run
        self._fork()

    def _fork(self) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.setblocking(False)
        self.channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._largest)
        parent = os.getpid()

        def child() -> NoReturn:
            code = 1
            try:
                ignore_terminal_signals()
                for codec in ("ascii", "latin-1", "utf-8", "idna"):
                    codecs.lookup(codec)
                name_process(self._name)
                if self._first_to_go:
                    bound_memory(None)
                close_all_but({*self._keep, theirs.fileno()})
                drop_privileges(self._user)
                die_with_parent(parent)
                self._sandbox.load(self._profile)
                self._run(theirs)
                code = 0
            finally:
                os._exit(code)

        self.pid = self._fork_child(child)
        theirs.close()

    def say(self, packet: bytes) -> None:
        """Send; skipped while it is behind, or dead."""
        with contextlib.suppress(OSError):
            self.channel.send(packet)

    def heard(self) -> bytes | None:
        """The next packet from it; empty: it closed; None: nothing yet."""
        try:
            return self.channel.recv(PACKET)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def wait(self, seconds: float) -> None:
        """From here on ``heard`` waits so long for the next packet, and is empty after it."""
        self.channel.settimeout(seconds)

    def revive(self) -> bool:
        """Start another if it died; says whether it had."""
        if not os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        self.channel.close()
        self._fork()
        return True

    def close(self) -> None:
        """End it; harmless when repeated."""
        self.channel.close()
        pid, self.pid = self.pid, 0
        if pid:  # not twice: its number may be another's by then
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def send_long(channel: socket.socket, message: bytes) -> None:
    """Say more than a packet holds, in the child. Raises OSError."""
    channel.setblocking(True)
    step = PACKET // 2
    for at in range(0, len(message), step):
        channel.send(_PIECE + message[at : at + step])
    channel.send(_END)


def pieces_of(packets: Iterator[bytes | None]) -> bytes | None:
    """The next long message among packets, others passed over; None if it never ends."""
    found: list[bytes] = []
    size = 0
    for packet in packets:
        if not packet:
            return None
        if packet == _END:
            return b"".join(found)
        if packet[:1] == _PIECE:
            size += len(packet)
            found.append(packet[1:])
            if size > _MAX_LONG:
                return None
    return None
