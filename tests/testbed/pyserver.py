"""A server that logs what it understood, and misbehaves on demand.

Run as ``python -m tests.testbed.pyserver --port N --mode MODE``; ``start`` does so on a host.
Well-behaved answers follow the target, alike on every server: ``/status/CODE``, ``/bytes/N``,
``/chunked/N`` (chunks of 1000), ``/sleep/MS``; anything else is 200 with a JSON account of the
request. ``--answer TARGET=CODE[:BODY]`` overrides one, which makes two servers differ.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
from pathlib import Path
from typing import Any

import uvloop

from tests.testbed.host import Host
from tests.testbed.misbehaviour import Connection, Shop
from tests.testbed.modes import Mode, Options
from tests.testbed.process import Process

__all__ = ["Mode", "PyServer", "start"]

READY = "listening"
_LISTEN_BACKLOG = 4096


class PyServer:
    """A running pyserver."""

    def __init__(self, host: Host, port: int, process: Process, log: Path) -> None:
        self.host = host
        self.port = port
        self.process = process
        self.log = log

    def stop(self) -> int:
        """End it; its connections are cut."""
        return self.process.stop()

    def requests(self) -> list[dict[str, Any]]:
        """What it understood so far, in the order it became whole.

        Keys: connection (a number), peer ("ADDRESS PORT"), method, target, version, headers,
        body_len, body_sha256 (decoded body), complete (False: cut off), ts (CLOCK_MONOTONIC ns).
        """
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def start(
    host: Host,
    mode: Mode | str = Mode.OK,
    port: int = 8080,
    *,
    ms: float = 50,
    every: int = 10,
    answers: dict[str, str] | None = None,
    max_bytes: int = 1 << 30,
    max_seconds: float = 60,
) -> PyServer:
    """Start a pyserver on ``host``, IPv4 and IPv6; returns when it listens.

    ``answers``: target → ``"CODE"`` or ``"CODE:BODY"``. Raises ChildProcessError with its words.
    """
    log = host.directory / f"{len(host.processes):02d}-{host.role}-requests.jsonl"
    process = host.python(
        "tests.testbed.pyserver",
        *("--port", str(port), "--mode", str(Mode(mode)), "--ms", f"{ms:g}"),
        *("--every", str(every), "--log", str(log)),
        *("--max-bytes", str(max_bytes), "--max-seconds", f"{max_seconds:g}"),
        *(f"--answer={target}={answer}" for target, answer in (answers or {}).items()),
    )
    process.wait_output(READY)
    return PyServer(host, port, process, log)


async def _serve(options: Options) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("w")) if options.log else None
        shop = Shop(options, log)
        deaf = []
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            address = (host, options.port)
            sock = socket.create_server(address, family=family, backlog=_LISTEN_BACKLOG)
            if options.mode in {Mode.DEAF, Mode.SIP}:
                pause = options.ms / 1000 if options.mode is Mode.SIP else None
                deaf.append(asyncio.create_task(_accept_only(sock, pause)))
            else:
                await loop.create_server(lambda: Connection(shop), sock=sock)
        print(READY, flush=True)
        await stop.wait()
        await shop.close()
        for task in deaf:
            task.cancel()


async def _accept_only(sock: socket.socket, pause: float | None) -> None:
    """Deaf, or nearly so, to the byte: a transport, paused at once, may have read before it is."""
    sock.setblocking(False)
    held: list[object] = []  # so that nothing is collected
    while True:
        connection, _ = await asyncio.get_running_loop().sock_accept(sock)
        held.append(connection)
        if pause is not None:
            held.append(asyncio.create_task(_sip(connection, pause)))


async def _sip(sock: socket.socket, pause: float) -> None:
    with contextlib.suppress(ConnectionError):
        while await asyncio.get_running_loop().sock_recv(sock, 1):  # noqa: ASYNC110 - no event
            await asyncio.sleep(pause)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="An HTTP server that misbehaves on demand.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--mode", type=Mode, default=Mode.OK, choices=list(Mode))
    parser.add_argument("--ms", type=float, default=50, help="pause of what is slow")
    parser.add_argument("--every", type=int, default=10, help="see the modes")
    parser.add_argument("--max-bytes", type=int, default=1 << 30)
    parser.add_argument("--max-seconds", type=float, default=60)
    parser.add_argument("--log", type=Path, help="JSON lines, one per request")
    parser.add_argument("--answer", action="append", default=[], metavar="TARGET=CODE[:BODY]")
    uvloop.run(_serve(parser.parse_args(namespace=Options())))


if __name__ == "__main__":
    main()
