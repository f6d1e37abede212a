"""How a ``pyserver`` answers, well or badly, and what it notes of each request."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import TextIO, cast

import httptools

from tests.testbed.modes import Mode, Options

_WRITE = 65536  # bytes a time of what is endless, with back-pressure in between
_REASONS = {200: "OK", 201: "Created", 204: "No Content", 304: "Not Modified", 404: "Not Found"}
_BODYLESS = {204, 304}


class Request:
    """What was understood of one request."""

    def __init__(self) -> None:
        self.target = b""
        self.body_len = 0
        self.digest = sha256()
        self.headers: list[tuple[str, str]] = []
        self.method = ""
        self.version = ""
        self.keep_alive = True
        self.complete = False


class Shop:
    """What all connections share: options, answers, the log."""

    def __init__(self, options: Options, log: TextIO | None) -> None:
        self.options = options
        self.log = log
        self.connections = 0
        self.requests = 0
        self.open: set[Connection] = set()
        self.random = random.Random(1)
        self.one_by_one = asyncio.Lock()
        self.waiting = 0  # for their turn
        self.answers: dict[str, tuple[int, bytes]] = {}
        for text in options.answer:
            target, _, answer = text.partition("=")
            code, _, body = answer.partition(":")
            self.answers[target] = (int(code), body.encode())

    def note(self, connection: Connection, request: Request) -> None:
        """Log one request, complete or cut off."""
        if self.log is not None:
            self.log.write(
                json.dumps(
                    {
                        "connection": connection.number,
                        "peer": connection.peer,
                        "method": request.method,
                        "target": request.target.decode("latin-1"),
                        "version": request.version,
                        "headers": request.headers,
                        "body_len": request.body_len,
                        "body_sha256": request.digest.hexdigest(),
                        "complete": request.complete,
                        "ts": time.monotonic_ns(),
                    }
                )
                + "\n"
            )
            self.log.flush()

    async def close(self) -> None:
        """Cut every connection."""
        tasks = [connection.task for connection in self.open]
        for connection in self.open:
            connection.transport.abort()
            connection.task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def content(self, request: Request) -> tuple[int, bytes, bool]:
        """Status, body, and whether the body is sent in chunks."""
        target = request.target.decode("latin-1")
        if target in self.answers:
            return *self.answers[target], False
        kind, _, argument = target.lstrip("/").partition("/")
        if kind == "status" and argument.isdigit():
            return int(argument), b"", False
        if kind in {"bytes", "chunked"} and argument.isdigit():
            size = int(argument)
            return 200, (bytes(range(256)) * (size // 256 + 1))[:size], kind == "chunked"
        account = {
            "method": request.method,
            "target": target,
            "length": request.body_len,
            "sha256": request.digest.hexdigest(),
        }
        return 200, json.dumps(account).encode() + b"\n", False


class Connection(asyncio.Protocol):
    """One connection; requests are answered one after the other, in order (pipelining works)."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.options = shop.options
        shop.connections += 1
        self.number = shop.connections
        self.peer = ""
        self.request: Request | None = None
        self.queue: asyncio.Queue[Request] = asyncio.Queue()
        self.writable = asyncio.Event()
        self.writable.set()
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop: connected."""
        self.transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        self.peer = f"{address[0]} {address[1]}"
        if self.options.mode is Mode.RESET_ON_CONNECT:
            self._reset()
        self.shop.open.add(self)
        self.task = asyncio.get_running_loop().create_task(self._answer_all())

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop: closed by either side, or reset (``exc``)."""
        self.shop.open.discard(self)
        self.task.cancel()
        if self.request is not None:
            self.shop.note(self, self.request)

    def pause_writing(self) -> None:
        """Called by the loop: the peer does not keep up."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Called by the loop: the peer caught up."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Called by the loop: bytes came in."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.transport.write(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")
        except httptools.HttpParserError:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()

    # What llhttp calls while feed_data runs.

    def on_message_begin(self) -> None:
        """Start of a request."""
        self.request = Request()

    def on_url(self, target: bytes) -> None:
        """A piece of the target."""
        assert self.request is not None
        self.request.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field."""
        assert self.request is not None
        self.request.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """End of the head; 100-continue is granted."""
        assert self.request is not None
        request = self.request
        request.method = self.parser.get_method().decode("latin-1")
        request.version = self.parser.get_http_version()
        request.keep_alive = self.parser.should_keep_alive()
        if ("expect", "100-continue") in [(n.lower(), v.lower()) for n, v in request.headers]:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body, after chunked decoding."""
        assert self.request is not None
        self.request.body_len += len(body)
        self.request.digest.update(body)

    def on_message_complete(self) -> None:
        """The request is whole: logged at once, answered in its turn."""
        request, self.request = self.request, None
        assert request is not None
        request.complete = True
        self.shop.note(self, request)
        self.queue.put_nowait(request)

    async def _answer_all(self) -> None:
        while not self.transport.is_closing():
            request = await self.queue.get()
            self.shop.requests += 1
            await self._misbehave(request)
            if not request.keep_alive:
                self.transport.close()

    async def _misbehave(self, request: Request) -> None:
        mode, pause = self.options.mode, self.options.ms / 1000
        if mode is Mode.SLOW:
            await asyncio.sleep(pause)
        if (
            mode is Mode.HANG
            or (mode is Mode.HANG_SHARE and self.shop.requests % self.options.every == 0)
            or (mode is Mode.FLAP and not int(time.monotonic() / pause) % 2)
        ):
            await asyncio.Event().wait()
        elif mode is Mode.RESET:
            self._reset()
        elif mode is Mode.CLOSE:
            self.transport.close()
        elif mode is Mode.GARBAGE:
            self.transport.write(b"\xff" + self.shop.random.randbytes(4095))
        elif mode in {Mode.ENDLESS, Mode.ENDLESS_HEAD}:
            body = mode is Mode.ENDLESS
            self.transport.write(b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if body else b"X-Filler: "))
            async for piece in self._endless():
                self.transport.write(piece)
        elif mode is Mode.DRIP_FOREVER:
            self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.transport.is_closing():
                self.transport.write(b"x")
                await asyncio.sleep(pause)
        elif mode in {Mode.SERIAL, Mode.BUSY}:
            await self._in_turn(request, pause)
        else:
            await self._answer(request, pause)

    async def _in_turn(self, request: Request, pause: float) -> None:
        shop = self.shop
        if self.options.mode is Mode.BUSY and shop.waiting > self.options.every:
            busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
            self.transport.write(busy)
            return
        shop.waiting += 1
        try:
            async with shop.one_by_one:
                await asyncio.sleep(pause)
        finally:
            shop.waiting -= 1
        await self._answer(request, pause)

    async def _answer(self, request: Request, pause: float) -> None:
        mode = self.options.mode
        kind, _, argument = request.target.decode("latin-1").lstrip("/").partition("/")
        if kind == "sleep" and argument.isdigit():
            await asyncio.sleep(int(argument) / 1000)
        wire = self._response(request, closing=mode is Mode.CLOSE_EACH or not request.keep_alive)
        if mode is Mode.SLOW_DRIP:
            for byte in wire:
                self.transport.write(bytes((byte,)))
                await asyncio.sleep(pause)
        elif mode is Mode.TOO_SHORT:
            self.transport.write(wire[:-1] if request.method != "HEAD" else wire)
        elif mode is Mode.TOO_LONG:
            self.transport.write(wire + b"more than was declared")
        else:
            self.transport.write(wire)
        if mode in {Mode.TOO_SHORT, Mode.CLOSE_EACH, Mode.CLOSE_SILENT}:
            self.transport.close()

    def _response(self, request: Request, *, closing: bool) -> bytes:
        status, body, chunked = self.shop.content(request)
        head = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unnamed')}", "Server: pyserver"]
        if status not in _BODYLESS:
            head.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}")
            if body.startswith(b"{"):
                head.append("Content-Type: application/json")
        if closing:
            head.append("Connection: close")
        if request.method == "HEAD" or status in _BODYLESS:
            body = b""
        elif chunked:
            pieces = [body[start : start + 1000] for start in range(0, len(body), 1000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n\r\n"
        return "\r\n".join([*head, "", ""]).encode() + body

    async def _endless(self) -> AsyncIterator[bytes]:
        end = time.monotonic() + self.options.max_seconds
        for _ in range(self.options.max_bytes // _WRITE):
            if time.monotonic() > end or self.transport.is_closing():
                break
            yield b"x" * _WRITE
            await self.writable.wait()

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()
