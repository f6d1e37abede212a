"""The agent's side of the hello: keys, and what answers that is no guard."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_agent.daemon import hello
from shadow_agent.errors import UsageError

KEY = b"k" * 32


def at(server: socket.socket) -> tuple[str, int]:
    """Where it listens."""
    host, port = server.getsockname()
    return host, port


def test_a_key(tmp_path: Path) -> None:
    """Of a file that only its owner reads; the last newline is not part of it."""
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    assert hello.read_key(path) == KEY


@pytest.mark.parametrize(
    ("mode", "content", "reason"),
    [
        (0o640, KEY, "others may read it; chmod 600"),
        (0o604, KEY, "others may read it"),
        (0o600, b"short", "has 5 bytes, 32 at least"),
        (0o600, b"x" * 5000, "has 4097 bytes"),
    ],
)
def test_a_bad_key_is_refused(tmp_path: Path, mode: int, content: bytes, reason: str) -> None:
    """Named, with the fix; nothing of it is shown."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(UsageError, match=reason) as error:
        hello.read_key(path)
    assert str(path) in str(error.value)
    assert "kkkk" not in str(error.value)


def test_no_key_file(tmp_path: Path) -> None:
    """Says how one is made."""
    with pytest.raises(UsageError, match=r"No such file.*head -c 32"):
        hello.read_key(tmp_path / "none")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 200, "is no guard"),
        (b"", "closed the connection unanswered"),
        (hello.OPENING + b"n" * 32 + b"\0\0\0\1" + b"m" * 32 + b"x", "not authentic"),
        (hello.OPENING + b"n" * 32 + b"\xff" * 100, "not authentic"),
    ],
    ids=["web server", "closed", "wrong HMAC", "length"],
)
def test_what_is_no_guard(answer: bytes, reason: str) -> None:
    """One line that says what to do."""

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(answer)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(hello.HelloError, match=reason) as error:
            hello.greet(*at(server), KEY, 10)
        thread.join(10)
    assert error.value.fix


def _slowly(connection: socket.socket, key: bytes, gone: threading.Event) -> None:
    """A byte now and then, for as long as somebody listens."""
    del key
    while not gone.wait(0.01):
        connection.sendall(hello.OPENING[:1])


def _too_late(connection: socket.socket, key: bytes, gone: threading.Event) -> None:
    """All of it right, after the deadline."""
    gone.wait(10)
    connection.sendall(_honest(connection, key, b"{}"))


def _for_another(connection: socket.socket, key: bytes, gone: threading.Event) -> None:
    """Authentic, to a nonce that was not ours."""
    del gone
    connection.sendall(hello.OPENING + b"n" * 32)
    hello.receive(connection, 36, time.monotonic() + 10)
    context = hello.guard_context(b"n" * 32, b"o" * 32)
    connection.sendall(hello.frame(key, context, b"{}") + hello.frame(key, context, b"", 1))


def _mirror(connection: socket.socket, key: bytes, gone: threading.Event) -> None:
    """Our own question as the answer."""
    del key, gone
    connection.sendall(hello.OPENING + b"n" * 32)
    connection.sendall(connection.recv(1000))


def _gigabytes(connection: socket.socket, key: bytes, gone: threading.Event) -> None:
    """Authentic frames without end."""
    context = _asked(connection)
    piece = b" " * hello.MAX_FRAME
    for index in range(4096):
        if gone.is_set():
            break
        connection.sendall(hello.frame(key, context, piece, index))


def _asked(connection: socket.socket) -> bytes:
    connection.sendall(hello.OPENING + b"n" * 32)
    header = hello.receive(connection, 36, time.monotonic() + 10)
    body = hello.receive(connection, int.from_bytes(header[:4], "big"), time.monotonic() + 10)
    return hello.guard_context(b"n" * 32, bytes.fromhex(json.loads(body)["nonce"]))


def _honest(connection: socket.socket, key: bytes, said: bytes) -> bytes:
    context = _asked(connection)
    return hello.frame(key, context, said) + hello.frame(key, context, b"", 1)


@pytest.mark.parametrize(
    ("attack", "timeout", "reason"),
    [
        (_slowly, 0.3, "timed out"),
        (_too_late, 0.3, "timed out"),
        (_for_another, 10, "not authentic"),
        (_mirror, 10, "not authentic"),
    ],
)
def test_attacks(
    attack: Callable[[socket.socket, bytes, threading.Event], None], timeout: float, reason: str
) -> None:
    """None vouches, and none costs more than the timeout."""
    gone = threading.Event()
    sent: list[int] = []

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError, EOFError):
            attack(connection, KEY, gone)
        sent.append(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        with pytest.raises(hello.HelloError, match=reason):
            hello.greet(*at(server), KEY, timeout)
        gone.set()
        thread.join(20)
    assert sent


def test_an_answer_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what a hello may need."""
    taken: list[int] = []
    honest = hello.receive

    def receive(connection: socket.socket, length: int, until: float) -> bytes:
        taken.append(length)
        return honest(connection, length, until)

    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError, EOFError):
                _gigabytes(connection, KEY, gone)

        thread = threading.Thread(target=serve)
        thread.start()
        monkeypatch.setattr(hello, "receive", receive)
        with pytest.raises(hello.HelloError, match="in another way than ours"):
            hello.greet(*at(server), KEY, 60)
        gone.set()
        thread.join(20)
    assert sum(taken) < 3 * hello.MAX_FRAME


def test_nobody_listens() -> None:
    """Where, and what to start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = at(server)
    with pytest.raises(
        hello.HelloError, match="Connection refused; start `shadow-agent guard"
    ) as error:
        hello.greet(*address, KEY, 10)
    assert not error.value.final  # it may be away for a moment


def test_one_that_never_answers_costs_the_timeout_only() -> None:
    """All of it together, not each read."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(hello.HelloError, match="timed out"),
    ):
        hello.greet(*at(server), KEY, 0.2)
