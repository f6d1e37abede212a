"""The watch on a guard that is played here, over loopback."""

from __future__ import annotations

import contextlib
import pwd
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from shadow_agent.daemon import hello as wire
from shadow_agent.daemon import vouch
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.hello import HelloError
from shadow_agent.daemon.vouch import Vouch, calls_of_file
from shadow_agent.errors import UsageError
from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root

pytestmark = needs_root

KEY = b"k" * 32
NOBODY = pwd.getpwnam("nobody")
STATE: dict[str, Any] = {
    "active": True, "cgroup": "/c", "cgroup_id": 7, "processes": 2, "time": 100.0,
    "programs": ["a", "b", "c", "d", "e", "f"], "listening": [8080], "uncovered": [],
    "record": {"id": "run-1", "last": 1, "untold": 0, "crowded": 0, "restarts": 0},
}  # fmt: skip
LINES = [
    {"n": 1, "event": "call", "protocol": "http", "host": "old", "port": 1},
    {"n": 2, "event": "call", "protocol": "http", "host": "new", "port": 1},
]


class Played:
    """A guard that answers with ``state``; closed connections while it is None."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = STATE
        self.key = KEY
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            # the watch may be ended in the middle of a question
            with connection, contextlib.suppress(OSError, EOFError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        if self.state is None:
            return
        mine = b"n" * wire.NONCE_BYTES
        connection.sendall(wire.OPENING + mine)
        until = time.monotonic() + 10
        header = wire.receive(connection, 36, until)
        body = wire.receive(connection, int.from_bytes(header[:4], "big"), until)
        question = orjson.loads(body)
        context = wire.guard_context(mine, bytes.fromhex(question["nonce"]))
        said = orjson.dumps(self.state)
        if question["ask"] == "calls":
            said = b"\n".join(map(orjson.dumps, [self.state, *LINES]))
        connection.sendall(
            wire.frame(self.key, context, said) + wire.frame(self.key, context, b"", 1)
        )

    def close(self) -> None:
        """Ended."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(10)


@pytest.fixture
def guard() -> Iterator[Played]:
    """One that vouches."""
    found = Played()
    yield found
    found.close()


@pytest.fixture
def watching(guard: Played) -> Iterator[Callable[..., Vouch]]:
    """Makes watches on it, ended with the test."""
    made: list[Vouch] = []

    def watch(port: int = 8080) -> Vouch:
        made.append(Vouch(guard.address, KEY, port, NOBODY))
        return made[-1]

    yield watch
    for one in made:
        one.close()


class Switches:
    """A tap's."""

    def __init__(self) -> None:
        self.paused = False

    def set_sample(self, fraction: float) -> None:
        """Nobody does."""

    def set_paused(self, paused: bool) -> None:
        """Remembered."""
        self.paused = paused


def test_it_vouches(watching: Callable[..., Vouch]) -> None:
    """From the start; its calls are those since then."""
    found = watching()
    assert found.guarded is not None
    assert found.guarded.cgroup_id == 7
    assert found.fresh(time.monotonic())
    assert not found.fresh(time.monotonic() + vouch.FRESH_S + 1)
    calls = found.calls()
    assert calls is not None
    assert [row["host"] for row in calls.effects.rows()] == ["new"]
    assert calls.notes == ()


def test_a_guard_started_again_is_half_a_record(
    guard: Played, watching: Callable[..., Vouch]
) -> None:
    """What the shadow tried before is missing, and that is said."""
    found = watching()
    guard.state = {**STATE, "record": {**STATE["record"], "id": "run-2"}}
    calls = found.calls()
    assert calls is not None
    assert len(calls.effects.rows()) == 2
    assert "started again" in calls.notes[0]


def test_a_guard_of_something_else(watching: Callable[..., Vouch]) -> None:
    """Vouches for another than the shadow: refused, with the ports that it does guard."""
    with pytest.raises(HelloError, match="listens on 8080, the shadow is on 9090"):
        watching(9090)


def test_none_that_vouches(guard: Played, watching: Callable[..., Vouch]) -> None:
    """Its reason is ours."""
    guard.state = {**STATE, "processes": 0}
    with pytest.raises(HelloError, match="nothing runs inside of /c; start the shadow build"):
        watching()


@pytest.mark.parametrize("change", [{"active": False}, {"listening": []}, {"listening": [9090]}])
def test_mirroring_stops_and_goes_on(
    guard: Played,
    watching: Callable[..., Vouch],
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
) -> None:
    """At once when it does not guard, or another than the shadow by now; it may come back."""
    monkeypatch.setattr(vouch, "ASK_S", 0.05)
    found = watching()
    switches, said = Switches(), list[str]()
    found.obey(Dial(switches, 1.0), said.append)
    found.tick(time.monotonic())
    assert not switches.paused

    def becomes(paused: bool) -> None:
        def looked() -> bool:
            found.tick(time.monotonic())
            return switches.paused is paused

        eventually(looked, 10, f"paused is {paused}")

    guard.state = {**STATE, **change}
    becomes(True)
    guard.state = STATE
    becomes(False)
    assert ["mirroring stops" in said[0], "vouches again" in said[1]] == [True, True]
    assert said[0].count("--guard ") == 1


def test_silence_is_borne_for_a_while(
    guard: Played, watching: Callable[..., Vouch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost packet stops nothing; longer silence does."""
    monkeypatch.setattr(vouch, "ASK_S", 0.05)
    found = watching()
    switches = Switches()
    found.obey(Dial(switches, 1.0), lambda _: None)
    guard.state = None
    found.tick(time.monotonic())
    assert not switches.paused
    found.tick(time.monotonic() + vouch.FRESH_S + 1)
    assert switches.paused


@pytest.mark.parametrize("skew", [-86_400.0, -600.0, 600.0, 86_400.0])
def test_clocks_do_not_matter(guard: Played, watching: Callable[..., Vouch], skew: float) -> None:
    """The guard's may be minutes or a day off, and its calls are those since the start."""
    guard.state = {**STATE, "time": time.time() + skew}
    found = watching()
    assert found.fresh(time.monotonic())
    calls = found.calls()
    assert calls is not None
    assert [row["host"] for row in calls.effects.rows()] == ["new"]


def test_a_key_changed_in_mid_run(
    guard: Played, watching: Callable[..., Vouch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one side only: nobody vouches any more, and the operator hears which file to look at."""
    monkeypatch.setattr(vouch, "ASK_S", 0.05)
    found = watching()
    switches, said = Switches(), list[str]()
    found.obey(Dial(switches, 1.0), said.append)
    guard.key = b"o" * 32

    def noticed() -> bool:
        found.tick(time.monotonic())
        return "not authentic" in (found.trouble(time.monotonic() + vouch.FRESH_S + 1) or "")

    eventually(noticed, 10, "the answer is not authentic")
    found.tick(time.monotonic() + vouch.FRESH_S + 1)
    assert switches.paused
    assert "same key file" in said[0]


def test_calls_of_a_file(tmp_path: Path) -> None:
    """Read without privileges; lines that are none are passed over."""
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"\n".join([*map(orjson.dumps, LINES), b"[1]", b"{", b"", b"\xff"]))
    path.chmod(0o600)
    rows = calls_of_file(path, NOBODY).effects.rows()
    assert [row["host"] for row in rows] == ["new", "old"]
    with pytest.raises(UsageError, match=r"--guard-calls .*none: No such file"):
        calls_of_file(tmp_path / "none", NOBODY)
