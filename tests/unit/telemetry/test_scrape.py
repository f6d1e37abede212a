"""The scrape server answers one question and shrugs off everything else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from shadow_agent.telemetry.scrape import CONTENT_TYPE, MAX_REQUEST_BYTES, serve

METRICS = b"up 1\n"


def converse(
    client: Callable[[tuple[str, int]], object],
    read: Callable[[], bytes] = lambda: METRICS,
    *,
    max_connections: int = 32,
    deadline_s: float = 30.0,
) -> object:
    """Run the server on loopback while ``client`` talks to it in a thread."""

    async def both() -> object:
        sock = socket.create_server(("127.0.0.1", 0))
        address = sock.getsockname()
        server = asyncio.create_task(
            serve(sock, read, max_connections=max_connections, deadline_s=deadline_s)
        )
        try:
            return await asyncio.to_thread(client, address)
        finally:
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)

    return asyncio.run(both())


def ask(request: bytes) -> Callable[[tuple[str, int]], bytes]:
    """A client that sends these bytes, then nothing more, and reads to the end."""

    def client(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, timeout=20) as conn:
            conn.sendall(request)
            conn.shutdown(socket.SHUT_WR)
            return conn.makefile("rb").read()

    return client


def test_a_scrape() -> None:
    """The text, its type and length, in HTTP/1.0, and the end of the connection."""
    answer = converse(ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n"))
    assert isinstance(answer, bytes)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert f"Content-Type: {CONTENT_TYPE}".encode() in head
    assert b"Content-Length: 5" in head
    assert body == METRICS


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics?name=x HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metrics/../x HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"405"),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", b"400"),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"", b"400"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * MAX_REQUEST_BYTES, b"431"),
    ],
)
def test_everything_else_gets_its_status(request_bytes: bytes, status: bytes) -> None:
    """Wrong path, method, version, form or size: one short answer each."""
    answer = converse(ask(request_bytes))
    assert isinstance(answer, bytes)
    assert answer.startswith(b"HTTP/1.0 " + status)
    assert (METRICS in answer) == (status == b"200")


def test_a_failing_reader_costs_one_scrape() -> None:
    """The first scrape gets 503, the next the metrics."""
    calls = iter([ValueError("gone"), None])

    def read() -> bytes:
        problem = next(calls)
        if problem is not None:
            raise problem
        return METRICS

    def client(address: tuple[str, int]) -> tuple[bytes, bytes]:
        request = ask(b"GET /metrics HTTP/1.0\r\n\r\n")
        return request(address), request(address)

    answers = converse(client, read)
    assert isinstance(answers, tuple)
    assert answers[0].startswith(b"HTTP/1.0 503 ")
    assert b"gone" not in answers[0]
    assert answers[1].startswith(b"HTTP/1.0 200 ")


def test_a_silent_client_is_dropped() -> None:
    """Who sends nothing is cut off at the deadline, without an answer."""

    def client(address: tuple[str, int]) -> bytes:
        with socket.create_connection(address, timeout=20) as conn:
            conn.sendall(b"GET /metrics")
            try:
                return conn.recv(100)
            except ConnectionResetError:
                return b""

    assert converse(client, deadline_s=0.05) == b""


def test_connections_are_capped() -> None:
    """Beyond the cap a connection is closed at once; when one ends there is room again."""

    def client(address: tuple[str, int]) -> tuple[bytes, bytes]:
        request = ask(b"GET /metrics HTTP/1.0\r\n\r\n")
        with socket.create_connection(address, timeout=20) as first:
            with socket.create_connection(address, timeout=20) as second:
                try:
                    refused = second.recv(100)
                except ConnectionResetError:
                    refused = b""
            first.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            first.makefile("rb").read()
        answer = b""
        # The server notices the end of the first connection a moment after the client does.
        for _ in range(1000):
            try:
                answer = request(address)
            except ConnectionError:
                continue
            if answer:
                break
        return refused, answer

    answers = converse(client, max_connections=1)
    assert isinstance(answers, tuple)
    assert answers[0] == b""
    assert answers[1].startswith(b"HTTP/1.0 200 ")
