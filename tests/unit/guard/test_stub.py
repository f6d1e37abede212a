"""The stub server, over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import os
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from shadow_agent.calls.call import Call
from shadow_agent.errors import HostError
from shadow_agent.guard import answers
from shadow_agent.guard.stub import (
    MAX_CONNECTIONS,
    Conversation,
    Stub,
    StubServer,
    listeners,
)
from tests.testbed.wait import eventually

PAID = answers.made(201, b'{"id":1}', {})
ANY = answers.made(200, b"ok", {})
WEB = Stub("pay.example", "10.0.0.9", 80, {"POST": PAID})
BOTH = Stub("pay.example", "10.0.0.9", 80, {"POST": PAID, "": ANY})
RAW = Stub(
    "pay.example", "10.0.0.9", 80,
    {"": answers.Answer(b"HTTP/1.0 200 OK\r\n\r\n", b"bye", closes=True)},
)  # fmt: skip
MAIL = Stub("mail.example", "10.0.0.8", 25, {"": answers.MAIL})


class Serving:
    """A server in a thread."""

    def __init__(self, stub: Stub) -> None:
        self.calls: list[Call] = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.server = StubServer(b"k" * 32, lambda _, call: self.calls.append(call))
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self.server.serve(self.listener, stub))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self.server.finish())
        self._loop.close()

    def close(self) -> None:
        """Ended, with what was open told."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(10)
        self.listener.close()

    def wait(self, count: int) -> None:
        """Until so many calls were told."""
        eventually(lambda: len(self.calls) >= count, 10, f"{count} calls")


@pytest.fixture
def serving() -> Iterator[type[Serving]]:
    """Servers of this test, ended with it."""
    made: list[Serving] = []

    class Kept(Serving):
        def __init__(self, stub: Stub) -> None:
            super().__init__(stub)
            made.append(self)

    yield Kept
    for one in made:
        one.close()


def test_http(serving: type[Serving]) -> None:
    """The answer of the method, on one connection; other methods are told, and get a 501."""
    server = serving(WEB)
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    said = []
    for method, body in (("POST", b"amount=1"), ("GET", None), ("POST", b"amount=2")):
        client.request(method, "/v1/charges?token=secret", body, {"Host": "pay.example"})
        answer = client.getresponse()
        said.append((answer.status, answer.read()))
    client.close()
    assert said[0] == said[2] == (201, b'{"id":1}')
    assert said[1][0] == 501
    assert [(one.method, one.path, one.size) for one in server.calls] == [
        ("POST", "/v1/charges", 8), ("GET", "/v1/charges", 0), ("POST", "/v1/charges", 8),
    ]  # fmt: skip


def test_the_method_goes_before_any() -> None:
    """As they were given."""
    assert (BOTH.answer("POST"), BOTH.answer("PUT")) == (PAID, ANY)


def test_what_is_said_at_once_is_bounded() -> None:
    """Pipelined requests for a long answer are no gigabytes of it; all that came are told."""
    long = Stub("pay.example", "10.0.0.9", 80, {"": answers.made(200, b"x" * (1 << 20), {})})
    calls: list[Call] = []
    conversation = Conversation(long, b"k" * 32, lambda _, call: calls.append(call))
    said = conversation.received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
    assert len(said) < 6 << 20
    assert conversation.over
    assert len(calls) == 2000


@pytest.mark.parametrize(
    ("stub", "data", "said"),
    [
        (WEB, b"GET / HTTP/9.9\r\n\r\n", b"HTTP/1.1 400 "),
        (WEB, b"POST / HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", PAID.to("")),
        (RAW, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nbye"),
        (MAIL, b"QUIT\r\n", b"221 "),
    ],
    ids=["malformed", "asked for", "without a length", "quit"],
)
def test_the_last_answer_ends_the_connection(stub: Stub, data: bytes, said: bytes) -> None:
    """Said first, and whole."""
    conversation = Conversation(stub, b"k" * 32, lambda _, __: None)
    conversation.greeting()
    assert conversation.received(data).startswith(said)
    assert conversation.over


def test_mail(serving: type[Serving]) -> None:
    """A real client hands a message over."""
    server = serving(MAIL)
    with smtplib.SMTP("127.0.0.1", server.port, timeout=10) as client:
        client.login("user", "secret")
        client.sendmail("a@b.c", ["d@e.f", "g@h.i"], "Subject: x\n\nhello\n.\n")
    (call,) = server.calls
    assert (call.protocol, call.recipients, call.complete) == ("smtp", 2, True)


def test_tls_is_told_by_name_and_closed(serving: type[Serving]) -> None:
    """It cannot be read; its client sees a closed connection at once."""
    server = serving(WEB)
    context = ssl.create_default_context()
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(connection, server_hostname="pay.example")
    server.wait(1)
    assert (server.calls[0].protocol, server.calls[0].host) == ("tls", "pay.example")


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /\x1b[2J\x9b HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"\x16\x03\x01\xff\xff" + b"\xff" * 20_000,
        b"CONNECT a:1 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x05",
        b"A" * 300_000,
        b"\n" * 5000,
    ],
    ids=[
        *("zeros", "version", "negative", "escapes", "chunk", "tls", "connect", "upgrade"),
        *("endless", "newlines"),
    ],
)
@pytest.mark.parametrize("stub", [WEB, MAIL], ids=["http", "smtp"])
def test_hostile_bytes(stub: Stub, data: bytes) -> None:
    """Whole or byte by byte: nothing raises, something is told, and all of it is printable."""
    for size in (len(data), 7):
        calls: list[Call] = []
        conversation = Conversation(stub, b"k", lambda _, call, calls=calls: calls.append(call))  # type: ignore[misc]
        conversation.greeting()
        for at in range(0, len(data), size):
            if conversation.over:
                break
            conversation.received(data[at : at + size])
        conversation.end()
        assert calls
        assert all((one.path + one.host + one.method).isprintable() for one in calls)


def test_expect_continue(serving: type[Serving]) -> None:
    """curl waits for it with a large body."""
    server = serving(WEB)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"ab")
        assert client.recv(1000).startswith(b"HTTP/1.1 201")


def test_connections_are_bounded(serving: type[Serving]) -> None:
    """Over the cap they are closed and counted; those that are open still get answers."""
    server = serving(WEB)
    first = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    count = MAX_CONNECTIONS + 50
    many = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(count)]
    eventually(lambda: server.server.crowded >= 51, 10, "crowded")
    assert server.server.crowded == 51
    first.sendall(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert first.recv(1000).startswith(b"HTTP/1.1 201")
    for one in (first, *many):
        one.close()
    server.close()
    # each connection that was taken is a call, also if it said nothing
    assert len(server.calls) == MAX_CONNECTIONS


def test_what_is_open_at_the_end_is_told(serving: type[Serving]) -> None:
    """As not complete."""
    server = serving(WEB)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(b"POST /p HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        client.recv(1000)
        server.close()
    (call,) = server.calls
    assert (call.path, call.complete) == ("/p", False)


def _no_ipv6(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    honest = socket.create_server

    def create(address: tuple[str, int], **more: Any) -> socket.socket:
        if ":" in address[0]:
            raise OSError(number, os.strerror(number))
        return honest(address, **more)

    monkeypatch.setattr(socket, "create_server", create)


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_host_without_ipv6(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A name's IPv4 address is answered, and nobody at its other; no other address: the fix."""
    _no_ipv6(monkeypatch, number)
    four, six = Stub("pay", "10.0.0.1", 80), Stub("pay", "2001:db8::1", 80)
    (one, _), (none, _) = listeners([four, six])
    assert one is not None
    assert none is None
    one.close()
    for stubs in ([six], [six, Stub("pay", "10.0.0.1", 81)], [six, Stub("mail", "10.0.0.1", 80)]):
        with pytest.raises(HostError, match=r"--stub pay:80: .*::1.*disable_ipv6=0") as error:
            listeners(stubs)
        assert "lo up" not in str(error.value)


def test_no_room_for_a_listener_is_no_missing_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another trouble ends the start."""
    _no_ipv6(monkeypatch, errno.EMFILE)
    with pytest.raises(HostError, match="Too many open files"):
        listeners([Stub("pay", "2001:db8::1", 80), Stub("pay", "10.0.0.1", 80)])
