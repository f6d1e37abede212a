"""A shop with logins: its session cookies, CSRF tokens and order numbers are each build's own.

Run as ``python -m tests.testbed.shop --port N --salt TEXT --log FILE``; ``start`` does so on a
host. Whoever lacks a session gets 401, whoever has the wrong token 403, and an order that is not
one's own is 404.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import threading
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.testbed.host import Host
from tests.testbed.process import Process

READY = "listening"


class Shop:
    """A running shop."""

    def __init__(self, process: Process, log: Path) -> None:
        self.process = process
        self._log = log

    def requests(self) -> list[dict[str, Any]]:
        """What it got so far: method, target, headers (a list of pairs), status."""
        lines = self._log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]


def start(host: Host, salt: str, port: int = 8080) -> Shop:
    """Start one whose secrets are made of ``salt``; returns when it listens."""
    log = host.directory / f"{len(host.processes):02d}-{host.role}-shop.jsonl"
    process = host.python(
        "tests.testbed.shop", "--port", str(port), "--salt", salt, "--log", str(log)
    )
    process.wait_output(READY)
    return Shop(process, log)


class State:
    """Who is logged in, and who ordered what."""

    def __init__(self, salt: str, log: Path) -> None:
        self.salt = salt
        self.log = log.open("a", buffering=1)
        self.lock = threading.Lock()
        self.tokens: dict[str, str] = {}  # by session
        self.orders: dict[str, str] = {}  # session by number
        self.next = 1000 + len(salt) * 1000

    def secret(self, what: str) -> str:
        """Unlike any other build's."""
        return hashlib.sha256(f"{self.salt} {what}".encode()).hexdigest()[:24]


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive."""

    protocol_version = "HTTP/1.1"
    state: State

    def do_GET(self) -> None:
        """Pages of one's own."""
        session = self._session()
        path = urlsplit(self.path).path
        order = path.removeprefix("/orders/")
        if session is None:
            self._answer(401)
        elif path == "/me":
            self._answer(200, b"hello")
        elif path == "/form":
            self._answer(200, b"form", ("X-CSRF", self.state.tokens[session]))
        elif path.startswith("/orders/"):
            mine = self.state.orders.get(order) == session
            self._answer(200 if mine else 404)
        else:
            self._answer(404)

    def do_POST(self) -> None:
        """Log in, or order something."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path == "/login":
            self._login(parse_qs(body.decode())["user"][0])
            return
        session = self._session()
        if session is None:
            self._answer(401)
            return
        if self.headers.get("Content-Type", "").startswith("application/json"):
            token = json.loads(body).get("csrf")
        else:
            found = parse_qs(body.decode()).get("csrf")
            token = found[0] if found else self.headers.get("X-CSRF-Token")
        if token != self.state.tokens[session]:
            self._answer(403)
            return
        with self.state.lock:
            self.state.next += 1
            number = str(self.state.next)
            self.state.orders[number] = session
        self._answer(303, b"", ("Location", f"/orders/{number}"))

    def _login(self, user: str) -> None:
        session, token = self.state.secret(f"sid {user}"), self.state.secret(f"csrf {user}")
        self.state.tokens[session] = token
        self._answer(
            200,
            json.dumps({"user": user, "csrf": token}).encode(),
            ("Set-Cookie", f"sid={session}; Path=/; HttpOnly"),
            ("Content-Type", "application/json"),
        )

    def _session(self) -> str | None:
        cookie = SimpleCookie(self.headers.get("Cookie", "")).get("sid")
        return cookie.value if cookie is not None and cookie.value in self.state.tokens else None

    def _answer(self, status: int, body: bytes = b"", *fields: tuple[str, str]) -> None:
        entry = {
            "method": self.command,
            "target": self.path,
            "headers": list(self.headers.items()),
            "status": status,
        }
        with self.state.lock:
            self.state.log.write(json.dumps(entry) + "\n")
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Not to standard error."""


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="A shop with logins.")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--salt", required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    Handler.state = State(options.salt, options.log)
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 128
    server = ThreadingHTTPServer(("", options.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(READY, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
