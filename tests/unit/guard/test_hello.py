"""The guard's side of the hello, asked by the agent's over loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shadow_agent.daemon import hello as wire
from shadow_agent.daemon.listener import listen
from shadow_agent.guard import hello
from shadow_agent.guard.record import Record, open_files

KEY = b"k" * 32
STATE: dict[str, Any] = {
    "active": True, "cgroup": "/c", "cgroup_id": 7, "processes": 2, "time": 1.5,
    "programs": ["a", "b", "c", "d", "e", "f"], "listening": [8080], "uncovered": ["Unix sockets"],
    "record": {"id": "run-1", "last": 3000, "untold": 0, "crowded": 0, "restarts": 0},
}  # fmt: skip


class Answering:
    """A hello server in a thread."""

    def __init__(self, files: tuple[int, int]) -> None:
        self.server = hello.HelloServer(KEY, files)
        self.listener = listen(("127.0.0.1", 0), "--hello")
        self.address: tuple[str, int] = self.listener.getsockname()
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self.server.serve(self.listener))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def close(self) -> None:
        """Ended."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        self.listener.close()

    def greet(self, key: bytes = KEY) -> wire.Guarded:
        """As the agent does."""
        return wire.greet(*self.address, key, 10)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Of a record."""
    found = open_files(tmp_path)
    yield found
    for fd in found:
        os.close(fd)


@pytest.fixture
def guard(files: tuple[int, int]) -> Iterator[Answering]:
    """One that says that it is active."""
    found = Answering(files)
    found.server.hear(orjson.dumps(STATE))
    yield found
    found.close()


def test_a_guard_vouches(guard: Answering) -> None:
    """For itself, with what it said."""
    said = guard.greet()
    assert (said.active, said.cgroup_id, said.processes, said.listening) == (True, 7, 2, (8080,))


def test_another_key_learns_nothing(guard: Answering) -> None:
    """And is counted."""
    with pytest.raises(wire.HelloError, match="unanswered; give both sides the same key"):
        guard.greet(b"o" * 32)
    assert guard.server.refused == 1


def test_who_is_gone_leaves_room(guard: Answering) -> None:
    """The agent asks for ever: its earlier questions hold no connection."""
    for _ in range(20):
        assert guard.greet().active


def test_strangers_do_not_keep_the_agent_out(guard: Answering) -> None:
    """Who holds every connection and says nothing gives way to who has the key."""
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(guard.address))
        guard.server.hear(orjson.dumps(STATE))
        for _ in range(3):
            assert guard.greet().active


@pytest.mark.parametrize(
    ("change", "reason", "final"),
    [
        ({"active": False}, "is not active", True),
        ({"processes": 0}, "nothing runs inside of /c", True),
        ({"programs": ["a", "b", "c", "d", "e"]}, "only 5 of 6 programs", True),
        ({"programs": 3}, "another way", False),
    ],
)
def test_one_that_does_not_guard_is_refused(
    guard: Answering, change: dict[str, Any], reason: str, final: bool
) -> None:
    """Exit 2, why, and what to do."""
    guard.server.hear(orjson.dumps({**STATE, **change}))
    with pytest.raises(wire.HelloError, match=reason) as error:
        guard.greet()
    assert error.value.exit_code == 2
    assert error.value.fix
    assert error.value.final is final


def test_a_supervisor_that_hangs_is_not_active(
    guard: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it said is true for two seconds."""
    monkeypatch.setattr(hello, "STALE_S", -1.0)
    with pytest.raises(wire.HelloError, match="is not active"):
        guard.greet()


def test_calls_are_fetched(guard: Answering, files: tuple[int, int]) -> None:
    """All of the record, over several frames, behind what it is the record of."""
    record = Record(files, 1 << 20)
    for number in range(3000):
        record.write({"event": "call", "path": f"/{number}/" + "x" * 50})
    state, *found = [orjson.loads(line) for line in wire.fetch_calls(*guard.address, KEY, 10)]
    assert wire.Guarded.from_json(state).record.id == "run-1"
    assert [one["n"] for one in found] == list(range(1, 3001))


def test_a_recorded_answer_proves_nothing(guard: Answering) -> None:
    """Replayed to an agent whose nonce is another."""
    recorded = _converse(guard.address)
    with socket.create_server(("127.0.0.1", 0)) as impostor:
        thread = threading.Thread(target=_replay, args=(impostor, *recorded))
        thread.start()
        with pytest.raises(wire.HelloError, match="not authentic"):
            wire.greet("127.0.0.1", impostor.getsockname()[1], KEY, 10)
        thread.join(10)


def test_a_recorded_question_proves_nothing(guard: Answering) -> None:
    """Asked again of a guard whose nonce is another."""
    _, question, _ = _converse(guard.address)
    with socket.create_connection(guard.address, timeout=10) as again:
        wire.receive(again, len(wire.OPENING) + wire.NONCE_BYTES, time.monotonic() + 10)
        again.sendall(question)
        assert again.recv(100) == b""
    assert guard.server.refused == 1


def test_hostile_questions(guard: Answering) -> None:
    """Too long, cut, or nothing: closed, and the next is served."""
    for data in (b"\xff" * 100, b"\0\0\4\1" + b"x" * 2000, b"\0", b""):
        with (
            socket.create_connection(guard.address, timeout=10) as one,
            contextlib.suppress(OSError),
        ):
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)
            while one.recv(1000):
                pass
    assert guard.greet().active


def _converse(address: tuple[str, int]) -> tuple[bytes, bytes, bytes]:
    """Opening, question and answer of an honest hello."""
    with socket.create_connection(address, timeout=10) as one:
        opening = wire.receive(one, len(wire.OPENING) + wire.NONCE_BYTES, time.monotonic() + 10)
        body = orjson.dumps({"ask": "hello", "nonce": ("11" * 32)})
        question = wire.frame(KEY, wire.agent_context(opening[len(wire.OPENING) :]), body)
        one.sendall(question)
        answer = b""
        while piece := one.recv(1000):
            answer += piece
        return opening, question, answer


def _replay(impostor: socket.socket, opening: bytes, question: bytes, answer: bytes) -> None:
    connection, _ = impostor.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(opening)
        wire.receive(connection, len(question), time.monotonic() + 10)
        connection.sendall(answer)
        connection.recv(1)


def test_the_port_is_there_again_at_once(files: tuple[int, int]) -> None:
    """Connections that the last guard closed may linger."""
    guard = Answering(files)
    guard.server.hear(orjson.dumps(STATE))
    guard.greet()
    guard.close()
    listen(guard.address, "--hello").close()
