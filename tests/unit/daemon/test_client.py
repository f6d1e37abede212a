"""The control socket's client against servers that behave, and that do not."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, HostError, UsageError

Answer = Callable[[dict[str, Any]], bytes | None]


@contextmanager
def agent(folder: Path, target: str, answer: Answer) -> Iterator[list[dict[str, Any]]]:
    """A server that answers each line by ``answer`` (None: never); yields what it was asked."""
    asked: list[dict[str, Any]] = []
    open_channels: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / f"{target}.sock"))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    channel, _ = server.accept()
                except OSError:
                    return
                line = channel.makefile("rb").readline()
                if not line:  # only asked whether we live
                    channel.close()
                    continue
                asked.append(json.loads(line))
                reply = answer(asked[-1])
                if reply is None:
                    open_channels.append(channel)
                    continue
                channel.sendall(reply)
                channel.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for channel in open_channels:
                channel.close()


def fine(question: dict[str, Any]) -> bytes:
    """What an agent says that has nothing to say."""
    return b'{"ok": true, "paused": false}\n'


def leftover(folder: Path, target: str) -> None:
    """A socket as a killed agent leaves it."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / f"{target}.sock"))


def test_a_question_and_its_answer(tmp_path: Path) -> None:
    """One JSON line each way; ``ok`` is the client's business only."""
    with agent(tmp_path, "web", fine) as asked:
        assert client.ask(tmp_path, "web", "sample", {"fraction": 0.05}) == {"paused": False}
    assert asked == [{"command": "sample", "fraction": 0.05}]


def test_only_those_that_live_are_listed(tmp_path: Path) -> None:
    """Sorted; leftovers and other files are nothing."""
    leftover(tmp_path, "dead")
    (tmp_path / "file.sock").touch()
    (tmp_path / "other.lock").touch()
    with agent(tmp_path, "b", fine), agent(tmp_path, "a", fine):
        assert client.targets(tmp_path) == ["a", "b"]
    assert client.targets(tmp_path) == []


def test_no_runtime_directory_is_no_target(tmp_path: Path) -> None:
    """Nothing ever ran here."""
    assert client.targets(tmp_path / "absent") == []


def test_nothing_under_that_name(tmp_path: Path) -> None:
    """Absent or left over: the same, exit code 3."""
    leftover(tmp_path, "dead")
    for name in ("absent", "dead"):
        with pytest.raises(
            client.NotAttachedError, match=rf"target {name}: not attached"
        ) as caught:
            client.ask(tmp_path, name, "status")
        assert caught.value.exit_code is ExitCode.HOST
        assert not client.attached(tmp_path, name)


def test_a_refusal_is_the_agents_own_words(tmp_path: Path) -> None:
    """On one line, exit code 2."""
    reply = b'{"ok": false, "error": "no\\nway"}\n'
    with agent(tmp_path, "web", lambda _: reply):
        with pytest.raises(client.RefusedError, match=r"^target web: no way$") as caught:
            client.ask(tmp_path, "web", "pause")
        assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    "reply",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b'{"ok": true}', b"\xff\xff\n", b"[" * 100_000 + b"\n"],
)
def test_no_proper_answer(tmp_path: Path, reply: bytes) -> None:
    """Cut off, no JSON, no object: never taken for an answer."""
    with (
        agent(tmp_path, "web", lambda _: reply),
        pytest.raises(client.SilentError, match="no answer to status"),
    ):
        client.ask(tmp_path, "web", "status")


def test_an_answer_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the limit is not read on."""
    monkeypatch.setattr(client, "MAX_ANSWER_BYTES", 1000)
    with (
        agent(tmp_path, "web", lambda _: b"x" * 100_000),
        pytest.raises(client.SilentError, match=r": \d{4,5} bytes that are no answer"),
    ):
        client.ask(tmp_path, "web", "status")


def test_an_agent_that_hangs(tmp_path: Path) -> None:
    """The deadline ends it; it still counts as attached."""
    with agent(tmp_path, "web", lambda _: None):
        with pytest.raises(client.SilentError, match="no answer to status in time"):
            client.ask(tmp_path, "web", "status", timeout_s=0.05)
        assert client.attached(tmp_path, "web")


def test_a_queue_that_is_full_is_an_agent(tmp_path: Path) -> None:
    """It accepts nobody, so it is there."""
    with socket.socket(socket.AF_UNIX) as server:
        path = str(tmp_path / "web.sock")
        server.bind(path)
        server.listen(0)
        waiting = []
        try:
            while True:
                one = socket.socket(socket.AF_UNIX)
                waiting.append(one)
                one.setblocking(False)
                one.connect(path)
        except BlockingIOError:
            with pytest.raises(client.SilentError, match="accepts no connection"):
                client.ask(tmp_path, "web", "status", timeout_s=0.05)
        finally:
            for one in waiting:
                one.close()


def test_several_are_asked_at_once(tmp_path: Path) -> None:
    """One that fails does not hide the others."""
    leftover(tmp_path, "dead")
    with agent(tmp_path, "a", fine), agent(tmp_path, "b", lambda _: None):
        found = client.ask_all(tmp_path, ["a", "b", "dead"], "status", timeout_s=0.2)
    assert found["a"] == {"paused": False}
    assert isinstance(found["b"], client.SilentError)
    assert isinstance(found["dead"], client.NotAttachedError)


def test_the_only_target_needs_no_name(tmp_path: Path) -> None:
    """None: say so; several: which."""
    with pytest.raises(client.NotAttachedError, match="nothing is attached; start one"):
        client.resolve(tmp_path, None)
    assert client.resolve(tmp_path, "web") == "web"
    with agent(tmp_path, "a", fine):
        assert client.resolve(tmp_path, None) == "a"
        with agent(tmp_path, "b", fine), pytest.raises(UsageError, match="a, b; name one"):
            client.resolve(tmp_path, None)


def test_waiting_for_the_end(tmp_path: Path) -> None:
    """False when the time is over and it is still there."""
    with agent(tmp_path, "web", fine):
        assert not client.wait_gone(tmp_path, "web", 0)
    assert client.wait_gone(tmp_path, "web", 0)


def test_no_permission_means_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the directory or of a socket, exit code 3."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(HostError, match="permission denied; run as root"):
        client.targets(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(HostError, match=r"web.sock: permission denied; run as root"):
        client.ask(tmp_path, "web", "status")


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    """One line, not a traceback."""
    with pytest.raises(UsageError, match="--runtime-dir"):
        client.ask(tmp_path, "x" * 120, "status")
