"""The control socket, asked by real clients."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.daemon.control import Answer, ControlServer
from shadow_agent.errors import UsageError


class Served:
    """A server, its selector, and what it was asked."""

    def __init__(self, path: Path) -> None:
        """Listening; "later" is answered by nobody, everything else at once."""
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.asked: list[dict[str, Any]] = []
        self.waiting: list[Answer] = []
        self.server = ControlServer(path, self.selector, self._handle)

    def _handle(self, command: dict[str, Any], answer: Answer) -> None:
        self.asked.append(command)
        if command["command"] == "later":
            self.waiting.append(answer)
        else:
            answer({"ok": True, "said": command["command"]})

    def turn(self) -> None:
        """Do what is ready."""
        for key, _ in self.selector.select(0):
            key.data()

    def connect(self) -> socket.socket:
        """A client that was accepted."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(str(self.path))
        self.turn()
        return client

    def ask(self, line: bytes) -> bytes:
        """One question, one answer."""
        with self.connect() as client:
            client.sendall(line)
            self.turn()
            return client.makefile("rb").read()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Closed at the end, and nothing is left of it."""
    served = Served(tmp_path / "web.sock")
    yield served
    served.server.close()
    assert not served.path.exists()
    assert not served.selector.get_map()
    served.selector.close()


def test_a_question_and_its_answer(served: Served) -> None:
    """A line each way."""
    assert json.loads(served.ask(b'{"command": "status"}\n')) == {"ok": True, "said": "status"}
    (asked,) = served.asked
    uid, pid = asked.pop("by")  # the kernel's word for who asked
    assert asked == {"command": "status"}
    assert uid == os.getuid()
    assert pid > 0


def test_nobody_says_who_they_are(served: Served) -> None:
    """What a question claims of that is overwritten."""
    served.ask(b'{"command": "a", "by": [5, 5]}\n')
    assert served.asked[0]["by"][0] == os.getuid()


def test_only_root_may_ask(served: Served) -> None:
    """Nobody else may even connect."""
    assert served.path.stat().st_mode & 0o777 == 0o600


def test_a_question_in_pieces(served: Served) -> None:
    """Byte by byte, and with more behind it, which is not read."""
    with served.connect() as client:
        for byte in b'{"command":"a"}\n{"command":"b"}\n':
            client.sendall(bytes([byte]))
            served.turn()
            if served.asked:
                break
        assert json.loads(client.makefile("rb").read())["said"] == "a"
    assert len(served.asked) == 1


@pytest.mark.parametrize("line", [b"\n", b"status\n", b"[]\n", b'{"command": 1}\n', b"\xff\n"])
def test_what_is_no_command(served: Served, line: bytes) -> None:
    """The client is told what one looks like."""
    answer = json.loads(served.ask(line))
    assert answer["ok"] is False
    assert "not a command" in answer["error"]
    assert served.asked == []


def test_an_answer_may_come_later(served: Served) -> None:
    """When the client has gone meanwhile, nobody minds."""
    with served.connect() as patient, served.connect() as other:
        for client in (patient, other):
            client.sendall(b'{"command":"later"}\n')
            served.turn()
        other.close()
        served.turn()
        for answer in served.waiting:
            answer({"ok": True})
        assert json.loads(patient.makefile("rb").read()) == {"ok": True}


def test_who_says_too_much_or_nothing_is_dropped(served: Served) -> None:
    """A client that waits for its answer is not."""
    with served.connect() as long, served.connect() as silent, served.connect() as waits:
        long.sendall(bytes(5000))
        waits.sendall(b'{"command":"later"}\n')
        for _ in range(3):
            served.turn()
        assert long.recv(1) == b""
        served.server.tick(float("inf"))
        assert silent.recv(1) == b""
        served.waiting[0]({"ok": True})
        assert waits.recv(1) == b"{"


def test_clients_are_bounded(served: Served) -> None:
    """The seventeenth is closed unanswered; the others are served."""
    clients = [served.connect() for _ in range(17)]
    assert clients[16].recv(1) == b""
    clients[0].sendall(b'{"command":"x"}\n')
    served.turn()
    assert clients[0].recv(1) == b"{"
    for client in clients:
        client.close()


def test_what_a_dead_agent_left_is_replaced(tmp_path: Path) -> None:
    """We hold the target's lock, so it is nobody's."""
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    served = Served(path)
    assert served.ask(b'{"command":"x"}\n')
    served.server.close()
    served.selector.close()


def test_no_socket_can_be_made(tmp_path: Path) -> None:
    """The operator hears where; the umask is what it was."""
    before = os.umask(0o22)
    os.umask(before)
    with pytest.raises(UsageError, match="runtime-dir"):
        Served(tmp_path / "nowhere" / "web.sock")
    assert os.umask(before) == before


def test_a_peer_that_is_not_root_is_not_heard(served: Served) -> None:
    """Whatever the file's mode says: the kernel tells who is at the other end."""
    served.path.chmod(0o666)
    for folder in served.path.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o111)
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(served.path))
        os.write(tell, b".")
        client.settimeout(5)
        with contextlib.suppress(OSError):
            client.sendall(b'{"command": "detach"}\n')
            os._exit(1 if client.recv(1) else 0)
        os._exit(0)
    assert os.read(told, 1) == b"."
    while not os.waitpid(pid, os.WNOHANG)[0]:
        for key, _ in served.selector.select(0.05):
            key.data()
    assert served.asked == []
    os.close(told)
    os.close(tell)
