"""The stub server: answers in another's place, and tells what was asked of it.

Bytes come from the shadow build, which is not trusted: every buffer is bounded, a connection has a
deadline, and over the cap on connections a new one is closed at once and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shadow_agent.calls.call import Call, Protocol
from shadow_agent.calls.mail import GREETING, MailReader
from shadow_agent.calls.reader import Reader
from shadow_agent.calls.tls import TlsReader
from shadow_agent.calls.web import WebReader
from shadow_agent.config import endpoint
from shadow_agent.errors import HostError
from shadow_agent.guard.answers import NO_ANSWER, Answer

# Open at once. Over it: closed unread, counted as `crowded`.
MAX_CONNECTIONS: Final = 256
# Calls on one connection; over it: closed. 10,000 requests are no service's keep-alive limit.
_MAX_CALLS: Final = 10_000
# Seconds that a connection may stay open, and stay silent.
_WHOLE_S: Final = 300.0
_IDLE_S: Final = 60.0
# Bytes of answers to what came in one read; over it the rest is unanswered: 64 KiB of pipelined
# requests could ask for gigabytes.
_MAX_SAID: Final = 4 << 20
_READ: Final = 64 << 10
# What a host without IPv6 on its loopback interface says, or without any.
_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Stub:
    """One address and port that is stood in for; ``answers`` by method, "" for any other."""

    host: str
    address: str
    port: int
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def mail(self) -> bool:
        """Whether it speaks SMTP, and therefore first."""
        return any(answer.mail for answer in self.answers.values())

    def answer(self, method: str) -> Answer:
        """What a request gets."""
        return self.answers.get(method) or self.answers.get("", NO_ANSWER)


Tell = Callable[[Stub, Call], None]
Listening = tuple[socket.socket | None, Stub]


def listeners(stubs: Sequence[Stub]) -> list[Listening]:
    """For each stub one on 127.0.0.1 or ::1, as its address is; none where this host has no ::1.

    Raises HostError when a stub could answer at none of its addresses.
    """
    found: list[Listening] = []
    for stub in stubs:
        six = ":" in stub.address
        listener = None
        try:
            listener = socket.create_server(
                ("::1" if six else "127.0.0.1", 0),
                family=socket.AF_INET6 if six else socket.AF_INET, backlog=128,
            )  # fmt: skip
        except OSError as error:
            missing = six and error.errno in _NO_IPV6
            if not (missing and _has_ipv4(stub, stubs)):
                raise HostError(
                    f"--stub {endpoint(stub.host, stub.port)}: cannot listen on "
                    f"{'::1' if six else '127.0.0.1'}: {os.strerror(error.errno or 0)}",
                    "sysctl net.ipv6.conf.lo.disable_ipv6=0, or name its IPv4 address"
                    if missing else "bring the loopback interface up: ip link set lo up",
                ) from error  # fmt: skip
        found.append((listener, stub))
    return found


def _has_ipv4(stub: Stub, stubs: Sequence[Stub]) -> bool:
    same = [one for one in stubs if (one.host, one.port) == (stub.host, stub.port)]
    return any(":" not in one.address for one in same)


class StubServer:
    """Serves listeners until it is cancelled; ``crowded`` counts connections over the cap."""

    def __init__(self, key: bytes, tell: Tell) -> None:
        """``key`` for the hashes of bodies."""
        self._key = key
        self._tell = tell
        self._open: set[asyncio.Task[None]] = set()
        self.crowded = 0

    async def serve(self, listener: socket.socket, stub: Stub) -> None:
        """Accept for one stub, for ever."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.05)  # out of descriptors: they come back
                continue
            if len(self._open) >= MAX_CONNECTIONS:
                self.crowded += 1
                connection.close()
                continue
            task = asyncio.ensure_future(self._converse(connection, stub))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def finish(self) -> None:
        """Cut what is still open; it is told as not complete."""
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _converse(self, connection: socket.socket, stub: Stub) -> None:
        conversation = Conversation(stub, self._key, self._tell)
        with contextlib.closing(connection), contextlib.suppress(OSError, TimeoutError):
            try:
                async with asyncio.timeout(_WHOLE_S):
                    await self._talk(connection, conversation)
            finally:
                conversation.end()

    async def _talk(self, connection: socket.socket, conversation: Conversation) -> None:
        loop = asyncio.get_running_loop()
        reply = conversation.greeting()
        while True:
            if reply:
                await asyncio.wait_for(loop.sock_sendall(connection, reply), _IDLE_S)
            if conversation.over:
                break
            data = await asyncio.wait_for(loop.sock_recv(connection, _READ), _IDLE_S)
            if not data:
                break
            reply = conversation.received(data)


class Conversation:
    """One connection without the connection: bytes in, bytes to say out."""

    def __init__(self, stub: Stub, key: bytes, tell: Tell) -> None:
        self._stub = stub
        self._tell = tell
        self._reader = Reader(key, mail=stub.mail)
        self._calls = 0
        self._said: list[bytes] = []
        self.over = False

    def greeting(self) -> bytes:
        """What is said before anything was heard."""
        return GREETING if self._stub.mail else b""

    def received(self, data: bytes) -> bytes:
        """What to say to these bytes."""
        said = 0
        for call in self._reader.feed(data):
            self._count(call)
            if call.protocol is Protocol.HTTP:
                answer = self._stub.answer(call.method)
                if said > _MAX_SAID:
                    self.over = True
                    continue
                self._said.append(answer.to(call.method))
                said += len(self._said[-1])
                self.over = self.over or answer.closes
        self._after(self._reader.said)
        whole, self._said = b"".join(self._said), []
        return whole

    def _after(self, reader: object) -> None:
        match reader:
            case WebReader():
                if reader.malformed:
                    self._said.append(_BAD_REQUEST)
                elif reader.expects:
                    reader.expects = False
                    self._said.append(_CONTINUE)
                self.over = self.over or not reader.keep_alive
            case MailReader():
                self._said += reader.replies
                reader.replies.clear()
                self.over = self.over or reader.closed
            case TlsReader():
                self.over = reader.complete
            case None:
                pass
            case _:
                self.over = True  # nothing here could answer

    def _count(self, call: Call) -> None:
        self._tell(self._stub, call)
        self._calls += 1
        self.over = self.over or self._calls >= _MAX_CALLS

    def end(self) -> None:
        """Tell what was not finished."""
        for call in self._reader.end():
            self._tell(self._stub, call)
