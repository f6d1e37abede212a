"""What the gate's client of OFREP does beside what its library does: it stays where it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shadow_agent.config.gate import Gate, GateProvider
from shadow_agent.daemon.flags import Flags, GateSilent, Opinion, find_provider


class Service:
    """Says yes, or names somebody else; notes who was asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.elsewhere: tuple[int, str] | None = None
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                service.asked.append((self.path, self.headers["Authorization"]))
                yes = {"key": "k", "value": True, "reason": "STATIC", "variant": "v"}
                body = json.dumps(yes).encode()
                if service.elsewhere is not None:
                    self.send_response(service.elsewhere[0])
                    self.send_header("Location", service.elsewhere[1])
                elif self.path.endswith("shadow.enabled"):
                    self.send_response(200)
                else:
                    body = b'{"errorCode": "FLAG_NOT_FOUND", "errorDetails": "none"}'
                    self.send_response(404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.where = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def two() -> Iterator[tuple[Service, Service]]:
    """The service that is configured, and another one."""
    made = Service(), Service()
    yield made
    for one in made:
        one.close()


def flags(url: str) -> Flags:
    """The flags there."""
    gate = Gate(provider=GateProvider("ofrep", url))
    return Flags(gate, "web", find_provider(gate)()())


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("own", [False, True])
def test_a_redirect_is_not_followed(two: tuple[Service, Service], code: int, own: bool) -> None:
    """Nowhere, whatever stands in its body; not with a password either."""
    service, other = two
    there = service if own else other
    service.elsewhere = code, f"http://{there.where}/ofrep/v1/evaluate/flags/shadow.enabled"
    with pytest.raises(GateSilent, match="redirect, which is not followed"):
        flags(f"http://us:secret@{service.where}").ask()
    assert len(service.asked) == 1
    assert other.asked == []


def test_a_password(two: tuple[Service, Service]) -> None:
    """Of the URL: the service gets it, nobody else reads it."""
    service, _ = two
    assert flags(f"http://us:secret@{service.where}/a").ask() == Opinion(True, 1.0)
    assert service.asked[0] == ("/a/ofrep/v1/evaluate/flags/shadow.enabled", "Basic dXM6c2VjcmV0")


@pytest.mark.parametrize("url", ["http://us:secret@127.0.0.1:1", "http://us:secret@ä..b/"])
def test_trouble_does_not_tell(url: str) -> None:
    """What is said of a service that cannot be asked goes into logs."""
    with pytest.raises(GateSilent) as caught:
        flags(url).ask()
    assert "secret" not in str(caught.value)
