"""The smallest HTTP server a scraper needs, for a child process that has no privileges left.

It reads one request of at most 4 KiB, answers ``GET /metrics`` and nothing else, in HTTP/1.0,
and closes: no keep-alive, no bodies, no headers looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

__all__ = ["CONTENT_TYPE", "DEADLINE_S", "MAX_CONNECTIONS", "MAX_REQUEST_BYTES", "serve"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MAX_REQUEST_BYTES: Final = 4096  # scrapers send some 300 bytes; beyond: 431
MAX_CONNECTIONS: Final = 32  # a handful of scrapers; beyond: closed unanswered
DEADLINE_S: Final = 5.0  # for one connection from accept to close; beyond: aborted

_PLAIN: Final = "text/plain; charset=utf-8"


async def serve(
    sock: socket.socket,
    read_snapshot: Callable[[], bytes],
    *,
    max_connections: int = MAX_CONNECTIONS,
    deadline_s: float = DEADLINE_S,
) -> None:
    """Answer scrapes on the listening ``sock`` until cancelled; ``sock`` is closed then.

    ``read_snapshot`` returns what ``render_metrics`` made, and must not block.  When it raises,
    that scrape gets 503 and the server goes on.
    """
    busy = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        if busy >= max_connections:
            writer.transport.abort()
            return
        busy += 1
        try:
            # Whatever the peer does, slow or broken, costs this connection only.
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(deadline_s):
                    writer.write(await _answer(reader, read_snapshot))
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            busy -= 1
            writer.transport.abort()

    server = await asyncio.start_server(connected, sock=sock, limit=MAX_REQUEST_BYTES)
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, read_snapshot: Callable[[], bytes]) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    except asyncio.IncompleteReadError:
        return _response(HTTPStatus.BAD_REQUEST)
    line = head.split(b"\r\n", 1)[0].split(b" ")
    match line:
        case [b"GET", target, version] if version in {b"HTTP/1.0", b"HTTP/1.1"}:
            if target.partition(b"?")[0] != b"/metrics":
                return _response(HTTPStatus.NOT_FOUND)
        case [_, _, version] if version.startswith(b"HTTP/1."):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, extra="Allow: GET\r\n")
        case _:
            return _response(HTTPStatus.BAD_REQUEST)
    try:
        body = read_snapshot()
    except Exception:  # noqa: BLE001 - one scrape fails, by name, and the next may work
        return _response(HTTPStatus.SERVICE_UNAVAILABLE)
    return _response(HTTPStatus.OK, body, CONTENT_TYPE)


def _response(
    status: HTTPStatus, body: bytes | None = None, kind: str = _PLAIN, extra: str = ""
) -> bytes:
    shown = f"{status.phrase}\n".encode() if body is None else body
    head = (
        f"HTTP/1.0 {status.value} {status.phrase}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(shown)}\r\n{extra}"
        "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + shown
