"""OpenFeature flags: from a file, and from a service that speaks OFREP over a real socket."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.config.gate import Gate, GateProvider
from shadow_agent.daemon.flags import Flags, GateSilent, Opinion, find_provider
from shadow_agent.errors import UsageError


def boolean(value: bool) -> dict[str, Any]:
    """A flag that is on or off, as flagd writes it."""
    return {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "on" if value else "off",
    }


def number(value: object) -> dict[str, Any]:
    """A flag with one variant."""
    return {"variants": {"now": value}, "defaultVariant": "now"}


def ask(path: Path) -> Opinion:
    """What the flags in a file say."""
    gate = Gate(provider=GateProvider("file", str(path)))
    return Flags(gate, "web", find_provider(gate)()()).ask()


def write(path: Path, flags: object) -> Path:
    """A file of flags."""
    path.write_text(json.dumps({"flags": flags}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("flags", "opinion"),
    [
        ({"shadow.enabled": boolean(True)}, Opinion(True, 1.0)),
        ({"shadow.enabled": boolean(False)}, Opinion(False, 1.0)),
        ({"shadow.enabled": boolean(True), "shadow.sample": number(0.25)}, Opinion(True, 0.25)),
        ({"shadow.enabled": boolean(True), "shadow.sample": number(0)}, Opinion(True, 0.0)),
        ({"shadow.enabled": boolean(True), "shadow.sample": number(1)}, Opinion(True, 1.0)),
    ],
)
def test_a_file(tmp_path: Path, flags: dict[str, Any], opinion: Opinion) -> None:
    """The default variants; the sample may be absent."""
    assert ask(write(tmp_path / "flags.json", flags)) == opinion


def test_a_file_is_read_anew(tmp_path: Path) -> None:
    """Also when it was replaced by another of the same name."""
    path = write(tmp_path / "flags.json", {"shadow.enabled": boolean(True)})
    gate = Gate(provider=GateProvider("file", str(path)))
    flags = Flags(gate, "web", find_provider(gate)()())
    assert flags.ask().enabled
    write(tmp_path / "new", {"shadow.enabled": boolean(False)}).rename(path)
    assert not flags.ask().enabled
    path.write_text("{", encoding="utf-8")
    with pytest.raises(GateSilent, match=r"flags\.json: not JSON"):
        flags.ask()
    path.unlink()
    with pytest.raises(GateSilent, match="No such file"):
        flags.ask()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({}, "shadow.enabled is not in"),
        ([], "no object"),
        ({"shadow.enabled": {**boolean(True), "state": "DISABLED"}}, "is disabled in"),
        ({"shadow.enabled": {**boolean(True), "targeting": {"if": []}}}, "ask flagd instead"),
        ({"shadow.enabled": number("yes")}, "is 'yes', not of type bool"),
        ({"shadow.enabled": {"variants": 3}}, "has no variants"),
        ({"shadow.enabled": {**boolean(True), "defaultVariant": []}}, "is None, not of type bool"),
    ],
)
def test_a_file_that_cannot_be_meant(tmp_path: Path, flags: object, why: str) -> None:
    """Said at the start, with what a file looks like."""
    with pytest.raises(UsageError, match=f"gate.provider file:.*{why}.*defaultVariant"):
        ask(write(tmp_path / "flags.json", flags))


@pytest.mark.parametrize("value", [1.5, -1, "half", None, True])
def test_a_sample_that_is_none(tmp_path: Path, value: object) -> None:
    """Out of range or no number: the gate has said nothing."""
    flags = {"shadow.enabled": boolean(True), "shadow.sample": number(value)}
    with pytest.raises(GateSilent, match=r"shadow\.sample is "):
        ask(write(tmp_path / "flags.json", flags))


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    """1 MiB is enough for flags."""
    path = tmp_path / "flags.json"
    path.write_bytes(b" " * (1 << 20) + b"{}")
    with pytest.raises(UsageError, match="at most 1 MiB"):
        ask(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The start reads the file in the process that holds the off switch."""
    path = tmp_path / "flags.json"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="a pipe, not a file"):
        ask(path)


class Service:
    """Answers OFREP evaluations (OpenAPI of the OFREP specification, v1)."""

    def __init__(self) -> None:
        self.flags: dict[str, object] = {}
        self.asked: list[dict[str, Any]] = []
        self.raw: bytes | None = None
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                service.asked.append(json.loads(self.rfile.read(length)))
                name = self.path.rpartition("/")[2]
                known = name in service.flags
                answer = (
                    {"key": name, "value": service.flags[name], "reason": "STATIC", "variant": "v"}
                    if known
                    else {"key": name, "errorCode": "FLAG_NOT_FOUND", "errorDetails": "none"}
                )
                body = service.raw if service.raw is not None else json.dumps(answer).encode()
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    """A feature flag service."""
    made = Service()
    yield made
    made.close()


def test_ofrep(service: Service) -> None:
    """On, off, a share, also as a whole number; the target is told."""
    gate = Gate(provider=GateProvider("ofrep", service.url))
    flags = Flags(gate, "web", find_provider(gate)()())
    service.flags = {"shadow.enabled": True}
    assert flags.ask() == Opinion(True, 1.0)
    service.flags = {"shadow.enabled": True, "shadow.sample": 0.1}
    assert flags.ask() == Opinion(True, 0.1)
    service.flags = {"shadow.enabled": False, "shadow.sample": 1}
    assert flags.ask() == Opinion(False, 1.0)
    assert service.asked[0]["context"] == {"targetingKey": "web", "target": "web"}


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"value": 1}', b"\xff" * 100])
def test_ofrep_nonsense(service: Service, raw: bytes) -> None:
    """Whatever comes back, it is an answer or none."""
    gate = Gate(provider=GateProvider("ofrep", service.url))
    flags = Flags(gate, "web", find_provider(gate)()())
    service.flags = {"shadow.enabled": True}
    service.raw = raw
    with pytest.raises(GateSilent):
        flags.ask()


def test_ofrep_is_not_there() -> None:
    """Nobody listens: silent, in one printable line."""
    gate = Gate(provider=GateProvider("ofrep", "http://127.0.0.1:1"), timeout_s=0.5)
    with pytest.raises(GateSilent) as caught:
        Flags(gate, "web", find_provider(gate)()()).ask()
    assert str(caught.value).isprintable()


def test_a_provider_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, or how to do without."""
    monkeypatch.setitem(sys.modules, "openfeature.contrib.provider.flagd", None)
    with pytest.raises(UsageError, match="pip install openfeature-provider-flagd, or ask flagd by"):
        find_provider(Gate(provider=GateProvider("flagd", "127.0.0.1:8013")))
