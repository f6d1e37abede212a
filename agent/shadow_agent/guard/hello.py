"""The guard's side of the hello: an unprivileged child answers those who have the key."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import socket
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Final

import orjson

from shadow_agent.daemon import hello as wire
from shadow_agent.guard.record import lines

_HEADER: Final = 4 + 32
_MAX_QUESTION: Final = 1024
# Seconds for a whole conversation, and how many at a time. Over it the one goes that has said
# nothing authentic for longest: strangers who hold connections do not keep the agent out.
_WHOLE_S: Final = 30.0
_MAX_OPEN: Final = 16
_PIECE: Final = 64 << 10
# The supervisor says four times a second what is; older than that, it hangs or is dead.
STALE_S: Final = 2.0


class HelloServer:
    """Answers with what the supervisor said last; ``refused`` counts questions without the key."""

    def __init__(self, key: bytes, files: tuple[int, int]) -> None:
        """``files`` of the record, readable."""
        self._key = key
        self._files = files
        # who is talked to, in order of arrival, and whether the question was authentic
        self._open: dict[asyncio.Task[None], bool] = {}
        self._said: dict[str, Any] = {}
        self._heard = float("-inf")
        self.refused = 0

    def hear(self, state: bytes) -> None:
        """The supervisor's word, JSON."""
        self._said = orjson.loads(state)
        self._heard = time.monotonic()

    def state(self) -> dict[str, Any]:
        """What is true now: nothing is active that has not been said to be a moment ago."""
        fresh = time.monotonic() - self._heard <= STALE_S
        return {**self._said, "active": fresh and self._said.get("active") is True}

    async def serve(self, listener: socket.socket) -> None:
        """For ever."""
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            if len(self._open) >= _MAX_OPEN and not self._make_room():
                connection.close()
                continue
            task = asyncio.ensure_future(self._converse(connection))
            self._open[task] = False
            task.add_done_callback(partial(self._ended, connection))

    def _ended(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        connection.close()  # also of one that gave way before it began
        self._open.pop(task, None)

    def _make_room(self) -> bool:
        for task, authentic in self._open.items():
            if not authentic:
                task.cancel()
                del self._open[task]
                return True
        return False

    async def _converse(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_WHOLE_S):
                await self._answer(connection)

    async def _answer(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        mine = secrets.token_bytes(wire.NONCE_BYTES)
        await loop.sock_sendall(connection, wire.OPENING + mine)
        header = await _receive(connection, _HEADER)
        length = int.from_bytes(header[:4], "big")
        body = await _receive(connection, length) if length <= _MAX_QUESTION else b""
        proof = wire.mac(self._key, wire.agent_context(mine), 0, body)
        if not body or not hmac.compare_digest(header[4:], proof):
            self.refused += 1
            return
        if (task := asyncio.current_task()) in self._open and task is not None:
            self._open[task] = True
        question = orjson.loads(body)  # authentic, so ours
        context = wire.guard_context(mine, bytes.fromhex(question["nonce"]))
        index = 0
        async for piece in self._pieces(question["ask"]):
            await loop.sock_sendall(connection, wire.frame(self._key, context, piece, index))
            index += 1
        await loop.sock_sendall(connection, wire.frame(self._key, context, b"", index))

    async def _pieces(self, ask: str) -> AsyncIterator[bytes]:
        if ask == "hello":
            yield orjson.dumps(self.state())
            return
        # with what the lines are of, and how many there should be
        held = [orjson.dumps(self.state()) + b"\n"]
        size = 0
        for line in lines(self._files):
            held.append(line + b"\n")
            size += len(line) + 1
            if size >= _PIECE:
                yield b"".join(held)
                held, size = [], 0
        if held:
            yield b"".join(held)


async def _receive(connection: socket.socket, length: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < length:
        piece = await loop.sock_recv(connection, length - len(data))
        if not piece:
            raise ConnectionResetError
        data += piece
    return data
