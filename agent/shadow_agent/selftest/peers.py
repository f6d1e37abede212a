"""A client and a server that log what they understood; the truth that the tap is held against."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shadow_agent.selftest.reference import Message, Reader
from shadow_agent.selftest.truth import Understood

Truth = dict[str, Understood]

_READ: Final = 65536
_CHUNK: Final = 1000
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
# Styles of an answer, the second part of a target.
LENGTH, CHUNKED, CLOSE, EMPTY = "length", "chunked", "close", "empty"
STATUS: Final = {LENGTH: 200, CHUNKED: 203, CLOSE: 200, EMPTY: 204}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. ``/STYLE/SIZE/NAME`` tells the server how to answer."""

    method: str
    target: str
    body: bytes = b""
    chunked: bool = False
    expect: bool = False  # wait for 100 Continue before the body

    def head(self) -> bytes:
        """On the wire, with the empty line."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: selftest"]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        if self.expect:
            lines.append("Expect: 100-continue")
        return "\r\n".join([*lines, "", ""]).encode()

    def payload(self) -> bytes:
        """The body on the wire."""
        return b"".join(_chunks(self.body)) if self.chunked else self.body


def answer_body(target: str) -> bytes:
    """The body that a target is answered with: no two alike, and the same every time."""
    return random.Random(target).randbytes(int(target.split("/")[2]))  # noqa: S311


def answer(request: Message) -> bytes:
    """The whole response to a request."""
    _, style, _, _ = request.target.split("/", 3)
    body = answer_body(request.target)
    head = f"HTTP/1.1 {STATUS[style]} Fine\r\nX-For: {request.target}\r\n"
    if style == CHUNKED:
        head += "Transfer-Encoding: chunked\r\n"
        body = b"".join(_chunks(body))
    elif style == LENGTH:
        head += f"Content-Length: {len(body)}\r\n"
    elif style == CLOSE:
        head += "Connection: close\r\n"
    no_body = request.method == "HEAD" or style == EMPTY
    return head.encode() + b"\r\n" + (b"" if no_body else body)


class Server:
    """Answers every connection of a listening socket until cancelled; logs requests."""

    def __init__(self, listener: socket.socket, truth: Truth) -> None:
        self._listener = listener
        self._truth = truth
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Accept for ever."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection, _ = await loop.sock_accept(self._listener)
                task = loop.create_task(self._talk(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    async def _talk(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = Reader()
        with connection, contextlib.suppress(OSError):
            while data := await loop.sock_recv(connection, _READ):
                for request in reader.feed(data):
                    self._truth[request.target].request(request.body)
                    await loop.sock_sendall(connection, answer(request))
                    if request.target.startswith(f"/{CLOSE}/"):
                        return
                if reader.head is not None and b"expect" in reader.head.fields:
                    reader.head.fields.pop(b"expect")
                    await loop.sock_sendall(connection, _CONTINUE)


async def converse(
    channel: socket.socket, address: tuple[str, int], asks: list[Ask], truth: Truth, *,
    pipelined: bool = False, reset: bool = False,
) -> None:  # fmt: skip
    """One connection's requests, one after the other or all at once; logs the responses.

    ``reset``: closes with a RST instead of a FIN. Raises OSError, EOFError.
    """
    loop = asyncio.get_running_loop()
    reader = Reader(responses=True)
    with channel:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(channel, address)
        waiting: list[Ask] = []
        for ask in asks:
            reader.methods.append(ask.method)
            waiting.append(ask)
            truth[ask.target] = Understood(ask.method)
            await loop.sock_sendall(channel, ask.head())
            if ask.expect:
                await _read(channel, reader, waiting, truth, interim=True)
            if payload := ask.payload():
                await loop.sock_sendall(channel, payload)
            if not pipelined:
                await _read(channel, reader, waiting, truth)
        await _read(channel, reader, waiting, truth)
        if reset:
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _read(
    channel: socket.socket, reader: Reader, waiting: list[Ask], truth: Truth, *,
    interim: bool = False,
) -> None:  # fmt: skip
    """Until nothing is waited for, or (``interim``) a 100 has come."""
    loop = asyncio.get_running_loop()
    while waiting:
        data = await loop.sock_recv(channel, _READ)
        responses = list(reader.feed(data)) if data else [reader.eof()]
        for response in responses:
            if response is None:
                raise EOFError(f"closed before the answer to {waiting[0].target}")
            if response.status == 100:
                if interim:
                    return
                continue
            truth[waiting.pop(0).target].response(response.status, response.body)


def _chunks(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), _CHUNK):
        piece = body[at : at + _CHUNK]
        yield b"%x;n=%d\r\n%b\r\n" % (len(piece), at, piece)
    yield b"0\r\nX-Trailer: last\r\n\r\n"
