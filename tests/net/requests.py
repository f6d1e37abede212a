"""Requests on connections that a test holds in its hand, and the order servers saw them in."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.net.agent import PATIENCE_S, PORT
from tests.testbed import Host

Trace = list[tuple[str, str]]


@contextmanager
def connected(
    source: Host, target: Host, port: int = PORT, *, ipv6: bool = False
) -> Iterator[http.client.HTTPConnection]:
    """A connection from one host to another, open until the block ends."""
    address = target.v6 if ipv6 else target.v4
    connection = http.client.HTTPConnection(address, port, timeout=PATIENCE_S)
    connection.sock = source.call(_connect, address, port)
    try:
        yield connection
    finally:
        connection.close()


def _connect(address: str, port: int) -> Any:
    import socket  # noqa: PLC0415 - a name that this module does not need otherwise

    return socket.create_connection((address, port), timeout=PATIENCE_S)


def ask(
    connection: http.client.HTTPConnection,
    target: str,
    method: str = "GET",
    body: bytes | Iterable[bytes] | None = None,
) -> tuple[int, bytes]:
    """One request and its whole answer; an iterable body goes in chunks."""
    connection.request(method, target, body, encode_chunked=not isinstance(body, bytes | None))
    answer = connection.getresponse()
    return answer.status, answer.read()


def by_connection(log: Iterable[dict[str, Any]]) -> dict[int, Trace]:
    """A server's log as method and target in order, per connection."""
    found: dict[int, Trace] = defaultdict(list)
    for entry in log:
        found[entry["connection"]].append((entry["method"], entry["target"]))
    return dict(found)


def sequences(log: Iterable[dict[str, Any]]) -> list[Trace]:
    """``by_connection`` without the numbers, in an order that does not depend on them."""
    return sorted(by_connection(log).values())
