"""A real nginx as the judge of what is HTTP, over the wire that perturbs.

What nginx refuses must not become an exchange of ours with a method and a target that nobody
accepted; what it serves must be rebuilt as its log says.
"""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from shadow_agent.http.exchange import Exchange
from shadow_agent.kernel import netlink
from shadow_agent.selftest.listening import Rebuilt, rebuild
from shadow_agent.selftest.relay import Plan, Relay
from shadow_agent.selftest.traffic import PORT, Bed
from tests.differential.test_http import SMUGGLING, head
from tests.testbed.process import Process
from tests.testbed.wait import eventually

CONFIG = """\
daemon off;
master_process off;
pid {prefix}/pid;
error_log {prefix}/error.log;
events {{ }}
http {{
    log_format said escape=json '{{"port":$remote_port,"method":"$request_method",'
        '"target":"$request_uri","status":$status,"sent":$body_bytes_sent}}';
    access_log {prefix}/access.log said;
    client_body_temp_path {prefix}/body;
    proxy_temp_path {prefix}/proxy;
    fastcgi_temp_path {prefix}/fastcgi;
    uwsgi_temp_path {prefix}/uwsgi;
    scgi_temp_path {prefix}/scgi;
    server {{
        listen 192.0.2.2:{port};
        location / {{ return 200 "served\\n"; }}
    }}
}}
"""
CLOSE = "Connection: close"
SERVED = {
    "plain": head("GET /a HTTP/1.1", CLOSE),
    "body": head("POST /p HTTP/1.1", "Content-Length: 4", CLOSE) + b"body",
    "chunked": head("POST /c HTTP/1.1", "Transfer-Encoding: chunked", CLOSE)
    + b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    "bare-line-feeds": b"GET /lf HTTP/1.1\nHost: h\nConnection: close\n\n",
    "leading-empty-lines": b"\r\n\r\n" + head("GET /e HTTP/1.1", CLOSE),
    "http-1.0": b"GET /old HTTP/1.0\r\n\r\n",
    "pipelined": head("GET /1 HTTP/1.1")
    + head("HEAD /2 HTTP/1.1")
    + head("GET /3 HTTP/1.1", CLOSE),
    "long-head": head("GET /l HTTP/1.1", *(f"X-{n}: {'v' * 4000}" for n in range(7)), CLOSE),
}


async def _send(bed: Bed, raw: bytes) -> int:
    """Until nginx closes; the client's port."""
    loop = asyncio.get_running_loop()
    with bed.client.socket() as channel:
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(channel, (bed.server.v4, PORT))
        port: int = channel.getsockname()[1]
        await loop.sock_sendall(channel, raw)
        channel.shutdown(socket.SHUT_WR)
        try:
            while await loop.sock_recv(channel, 65536):
                pass
        except ConnectionResetError:
            pass
        return port


async def _send_all(bed: Bed, shapes: dict[str, bytes], seed: int) -> dict[str, int]:
    relay = Relay(bed.client, bed.server, Plan(0.02, 0.1, 0.1, 0.2, 0.2), seed)
    try:
        ports = await asyncio.gather(*(_send(bed, raw) for raw in shapes.values()))
    finally:
        relay.close()
    return dict(zip(shapes, ports, strict=True))


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[dict], Rebuilt]]:
    """By name of the shape: what nginx logged of its connection, and what was rebuilt."""
    prefix = tmp_path_factory.mktemp("nginx")
    config = prefix / "nginx.conf"
    config.write_text(CONFIG.format(prefix=prefix, port=PORT))
    shapes = SERVED | SMUGGLING
    with Bed() as bed:
        process = Process(
            "nginx",
            ["nsenter", f"--net={bed.server.path}", "--", "nginx", "-p", str(prefix),
             "-c", str(config), "-e", str(prefix / "error.log")],
            prefix,
        )  # fmt: skip
        try:
            eventually(lambda: _listens(bed), 10, "nginx listens", process.pid)
            ports = asyncio.run(_send_all(bed, shapes, seed=5))
            access = Path(prefix, "access.log")
            eventually(
                lambda: {line["port"] for line in _log(access)} >= set(ports.values()),
                10, "nginx has logged every connection", process.pid,
            )  # fmt: skip
        finally:
            process.stop()
        bed.listener.read()
        segments = bed.listener.segments
    log = _log(access)
    return {
        name: (
            [line for line in log if line["port"] == port],
            rebuild([s for s in segments if s.key[32:34] == port.to_bytes(2, "big")]),
        )
        for name, port in ports.items()
    }


def _log(access: Path) -> list[dict]:
    lines = access.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _listens(bed: Bed) -> bool:
    return bool(bed.server.call(netlink.listening, (PORT,)))


def _said(one: Exchange) -> tuple[str, str, int | None]:
    return one.method, one.target.decode(), one.status


@pytest.mark.parametrize("name", SERVED)
def test_served_is_rebuilt(answered: dict[str, tuple[list[dict], Rebuilt]], name: str) -> None:
    """As its log says: method, target, status, in order."""
    log, made = answered[name]
    assert log
    assert [_said(one) for one in made.exchanges] == [
        (line["method"], line["target"], line["status"]) for line in log
    ]
    assert all(line["status"] == 200 for line in log)
    assert all(one.request_body_len is not None for one in made.exchanges)
    assert [one.response_body_len for one in made.exchanges] == [line["sent"] for line in log]


# A line without a colon: nginx passes over it, RFC 9112 allows that to nobody.
SERVED_ALL_THE_SAME = frozenset({"no-colon"})


@pytest.mark.parametrize("name", SMUGGLING)
def test_refused_is_no_exchange(answered: dict[str, tuple[list[dict], Rebuilt]], name: str) -> None:
    """Malformed, counted once, and nothing that could be replayed."""
    log, made = answered[name]
    refused = bool(log) and log[0]["status"] in {400, 501}
    assert refused != (name in SERVED_ALL_THE_SAME), log
    assert made.exchanges == []
    assert made.requests.malformed >= 1
