"""What the guard's children do: one is the stub server and writes the record, one says hello.

They get their listeners, the ring and the record's files open, and can open nothing themselves.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from shadow_agent.calls.call import Call
from shadow_agent.daemon.apart import PACKET
from shadow_agent.guard.hello import HelloServer
from shadow_agent.guard.record import Record
from shadow_agent.guard.stub import Stub, StubServer
from shadow_agent.kernel.guard import Hook, Refusal, Refusals

_BATCH: Final = 256  # refusals taken before others get their turn
_TELL_S: Final = 0.25
_STATS: Final = struct.Struct("=6Q")
_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6", 132: "sctp", 136: "udplite",
                     255: "raw", 262: "mptcp"}  # fmt: skip
FINISH: Final = b"finish"


class Stats(NamedTuple):
    """What the stub child counted since it was started."""

    calls: int = 0
    crowded: int = 0
    written: int = 0
    lost: int = 0
    overwritten: int = 0
    last: int = 0  # number of the record's last line, whoever wrote it

    def plus(self, later: Stats) -> Stats:
        """With what a later child counted."""
        both = Stats(*(a + b for a, b in zip(self, later, strict=True)))
        return both._replace(last=max(self.last, later.last))


class Recorder:
    """Runs in the stub child: everything that is known of calls becomes lines of the record."""

    def __init__(self, record: Record, refusals: Refusals) -> None:
        self._record = record
        self._refusals = refusals
        self.calls = 0

    def tell(self, stub: Stub, call: Call) -> None:
        """A call that came to the stub server."""
        self.calls += 1
        self._record.write(
            {
                "time": round(time.time(), 3),
                "event": "call",
                **call.as_dict(),
                "stub": stub.host,
                "address": stub.address,
                "port": stub.port,
            }
        )

    def drain(self, limit: int = _BATCH) -> int:
        """Take refusals off the ring; how many."""
        found = self._refusals.take(limit)
        offset = time.time() - time.monotonic()
        for one in found:
            self._record.write(refusal_line(one, offset))
        return len(found)


def refusal_line(one: Refusal, offset: float) -> dict[str, object]:
    """A refusal as the record has it; ``offset`` from the monotonic clock to the epoch."""
    where = IPv6Address(one.address)
    return {
        "time": round(one.time_ns / 1e9 + offset, 3),
        "event": "refused_socket" if one.hook == Hook.SOCKET else "refused",
        "protocol": _PROTOCOLS.get(one.protocol, str(one.protocol)),
        "address": "" if one.hook == Hook.SOCKET else str(where.ipv4_mapped or where),
        "port": one.port,
        "pid": one.pid,
        "command": one.command.decode("ascii", "backslashreplace"),
    }


def run_stub(
    channel: socket.socket,
    listeners: Sequence[tuple[socket.socket, Stub]],
    ring_fd: int,
    files: tuple[int, int],
    max_bytes: int,
    key: bytes,
) -> None:
    """The stub child's life: until it is told to finish, or the channel closes."""
    record = Record(files, max_bytes)
    recorder = Recorder(record, Refusals(ring_fd))
    server = StubServer(key, recorder.tell)

    def stats() -> bytes:
        return _STATS.pack(
            recorder.calls, server.crowded, record.written, record.lost, record.overwritten,
            record.last,
        )  # fmt: skip

    asyncio.run(_stub_loop(channel, listeners, ring_fd, recorder, server, stats))


async def _stub_loop(
    channel: socket.socket,
    listeners: Sequence[tuple[socket.socket, Stub]],
    ring_fd: int,
    recorder: Recorder,
    server: StubServer,
    stats: Callable[[], bytes],
) -> None:
    loop = asyncio.get_running_loop()
    channel.setblocking(False)
    loop.add_reader(ring_fd, recorder.drain)
    tasks = [asyncio.ensure_future(server.serve(*one)) for one in listeners]
    tasks.append(asyncio.ensure_future(_report(channel, stats)))
    word = await loop.sock_recv(channel, PACKET)
    for task in tasks:
        task.cancel()
    while recorder.drain():
        pass
    if word == FINISH:
        await server.finish()
        await loop.sock_sendall(channel, stats())


async def _report(channel: socket.socket, stats: Callable[[], bytes]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await loop.sock_sendall(channel, stats())
        await asyncio.sleep(_TELL_S)


def read_stats(packet: bytes) -> Stats | None:
    """What the stub child said; None of anything else."""
    return Stats(*_STATS.unpack(packet)) if len(packet) == _STATS.size else None


def run_hello(
    channel: socket.socket, listener: socket.socket, files: tuple[int, int], key: bytes
) -> None:
    """The hello child's life: until the channel closes."""
    asyncio.run(_hello_loop(channel, listener, HelloServer(key, files)))


async def _hello_loop(channel: socket.socket, listener: socket.socket, server: HelloServer) -> None:
    channel.setblocking(False)
    serving = asyncio.ensure_future(server.serve(listener))
    loop = asyncio.get_running_loop()
    while state := await loop.sock_recv(channel, PACKET):
        server.hear(state)
    serving.cancel()
