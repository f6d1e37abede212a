"""A service that calls out on every request, and the sink that its calls go to.

Both are plain scripts of the standard library: the service runs as nobody inside a guard, under
Debian's Python, whatever folder this clone lies in.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.testbed import Host, Process, Testbed

PYTHON = "/usr/bin/python3"
SMTP, PAY, HOOK = 2525, 8081, 8082

SERVICE = """
import http.client, smtplib, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SINK, SMTP, PAY, HOOK = sys.argv[2], *map(int, sys.argv[3:])

def pay(order):
    connection = http.client.HTTPConnection(SINK, PAY, timeout=10)
    connection.request("POST", f"/v1/charges/{order}", b"amount=1", {"Host": "pay.example"})
    return connection.getresponse().read()

def mail(order):
    with smtplib.SMTP(SINK, SMTP, timeout=10) as server:
        server.sendmail("shop@example", ["you@example"], f"Subject: order {order}\\n\\nthanks\\n")

def hook(order):
    connection = http.client.HTTPConnection(SINK, HOOK, timeout=10)
    connection.request("POST", "/hook", b"{}", {"Host": "hook.example"})
    return connection.getresponse().read()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        order = self.path.rpartition("/")[2]
        for call in (pay, mail, hook):
            try:
                call(order)
                print(call.__name__, order, "done", flush=True)
            except OSError as error:
                print(call.__name__, order, type(error).__name__, flush=True)
        body = b"ordered"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
"""

SINK = """
import json, socketserver, sys, threading

class Sink(socketserver.StreamRequestHandler):
    def handle(self):
        port, peer = self.server.server_address[1], self.client_address[0]
        if port == int(sys.argv[1]):
            self.mail(peer)
        else:
            self.web(port, peer)

    def mail(self, peer):
        self.wfile.write(b"220 sink\\r\\n")
        message = False
        for line in self.rfile:
            if message:
                if line == b".\\r\\n":
                    message = False
                    self.tell("mail", peer)
                    self.wfile.write(b"250 ok\\r\\n")
                continue
            message = line.startswith((b"DATA", b"data"))
            self.wfile.write(b"354 go\\r\\n" if message else b"250 ok\\r\\n")

    def web(self, port, peer):
        first, length = self.rfile.readline().decode(), 0
        for line in self.rfile:
            if line == b"\\r\\n":
                break
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.rfile.read(length)
        self.tell(first.split(" HTTP")[0], peer)
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

    def tell(self, what, peer):
        print(json.dumps([what, peer]), flush=True)

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

servers = [Server(("0.0.0.0", int(port)), Sink) for port in sys.argv[1:]]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
"""


def script(bed: Testbed, name: str, text: str) -> Path:
    """A script that everybody may read."""
    path = bed.directory / f"{name}.py"
    path.write_text(text)
    path.chmod(0o644)
    return path


def service_command(bed: Testbed, port: int, sink: Host) -> list[str]:
    """What starts the service on ``port``, with the sink it calls."""
    path = script(bed, "service", SERVICE)
    return [PYTHON, "-I", str(path), str(port), sink.v4, str(SMTP), str(PAY), str(HOOK)]


class Sink:
    """A running sink; ``calls`` are what came, with the address it came from."""

    def __init__(self, bed: Testbed, host: Host) -> None:
        path = script(bed, "sink", SINK)
        self.process: Process = host.spawn(
            PYTHON, "-I", path, str(SMTP), str(PAY), str(HOOK), name="sink"
        )
        for port in (SMTP, PAY, HOOK):
            host.wait_listening(port, 10, self.process.pid)

    def calls(self) -> list[tuple[str, str]]:
        """In order."""
        lines = self.process.output().splitlines()
        return [(what, peer) for what, peer in map(json.loads, lines)]
