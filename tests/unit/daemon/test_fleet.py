"""Fleet: real forks that die in several ways, before a ring that only remembers."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest

from shadow_agent.daemon import fleet as module
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.cage import Cage
from shadow_agent.daemon.channel import frame
from shadow_agent.daemon.claims import ClaimPage
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.process import OUT_OF_MEMORY
from shadow_agent.daemon.settings import WorkerSettings
from shadow_agent.kernel.layout import Counter
from shadow_agent.kernel.tap import Tap
from shadow_agent.telemetry.ledger import Ledger, Records, Requests, Segments
from shadow_agent.telemetry.snapshot import Snapshot, encode

Life = Callable[[socket.socket, ClaimPage], None]


class Ring:
    """Consumed up to 40; three packets, one of them a request, lie behind."""

    def __init__(self) -> None:
        """Nothing skipped."""
        self.consumed = 40
        self.counted: list[tuple[int, int]] = []

    def count(self, start: int, end: int) -> tuple[int, int]:
        """As RingView's."""
        self.counted.append((start, end))
        return (3, 1) if end > start else (0, 0)

    def skip_to(self, position: int) -> None:
        """As RingView's."""
        self.consumed = position


class Caged:
    """Who was let in, and what is said of an end."""

    def __init__(self) -> None:
        """Nobody."""
        self.admitted: list[int] = []

    def admit(self, pid: int) -> None:
        """As a cage's."""
        self.admitted.append(pid)

    def explain(self, code: int) -> str | None:
        """Of one exit code only."""
        return "out of its memory budget" if code == OUT_OF_MEMORY else None


class Stage:
    """A fleet of one, whose worker lives as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not started."""
        self.life: Life = lambda *_: None
        self.ring = Ring()
        self.books = Books(1)
        self.said: list[str] = []
        self.alerts: list[str] = []
        self.selector = selectors.DefaultSelector()
        tap = SimpleNamespace(rings=[self.ring], ring_fds=[-1], control_fd=-1)
        monkeypatch.setattr(module, "run_worker", self._run)
        # replace() only looks at the fields that change
        settings = cast(WorkerSettings, SimpleNamespace(shards=1))
        monkeypatch.setattr(module, "replace", lambda made, **_: made)
        self.cage = Caged()
        self.fleet = Fleet(
            cast(Tap, tap), settings, self.selector, self.books, self.said.append,
            self.alerts.append, cage=cast(Cage, self.cage),
        )  # fmt: skip

    def _run(self, *told: Any) -> NoReturn:
        _, _, _, channel, claims, _ = told
        try:
            self.life(channel, claims)
        finally:
            os._exit(0)

    def until_dead(self) -> None:
        """Handle what the worker says, and its end."""
        while self.fleet.pids:
            for key, _ in self.selector.select(5):
                key.data()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Stopped at the end, whatever lives."""
    made = Stage(monkeypatch)
    yield made
    made.fleet.stop()
    made.selector.close()


def _snapshot(read: int, started: int) -> bytes:
    ledger = Ledger(
        records=Records(read=read),
        segments=Segments(read=read, used=read),
        requests=Requests(started=started, complete=started),
    )
    return frame(encode(Snapshot(ledger=ledger)))


def test_what_a_dead_worker_had_in_hand_is_skipped_and_named(stage: Stage) -> None:
    """Its successor begins behind the claim: nothing is ever replayed twice."""

    def life(channel: socket.socket, claims: ClaimPage) -> None:
        channel.sendall(_snapshot(read=5, started=2))
        claims.done(40, 7, 3)
        claims.claim(100)
        os.kill(os.getpid(), signal.SIGKILL)

    stage.life = life
    stage.fleet.start()
    stage.until_dead()
    assert stage.ring.counted == [(40, 100)]
    assert stage.ring.consumed == 100
    merged = stage.books.snapshot().ledger
    ledger = stage.books.ledger(merged, dict.fromkeys(Counter, 0), 0)
    assert ledger.records.lost == {"worker_died": 5}  # 2 handled and not reported, 3 in hand
    assert (ledger.requests.started, ledger.requests.evicted, ledger.requests.lost) == (3, 1, 1)
    assert "signal 9" in stage.said[0]


def test_killed_between_a_batch_and_the_ring_s_knowing(stage: Stage) -> None:
    """What the page calls done is not counted once more."""

    def life(channel: socket.socket, claims: ClaimPage) -> None:
        del channel
        claims.claim(100)
        claims.done(100, 7, 3)
        os.kill(os.getpid(), signal.SIGKILL)

    stage.life = life
    stage.fleet.start()
    stage.until_dead()
    assert stage.ring.counted == [(100, 100)]
    assert stage.ring.consumed == 100


def test_a_dead_worker_is_replaced(stage: Stage) -> None:
    """At once, unless it died at once."""
    stage.life = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    stage.fleet.start()
    stage.until_dead()
    stage.fleet.tick(0.0)
    assert stage.fleet.pids == []
    stage.fleet.tick(float("inf"))
    assert len(stage.fleet.pids) == 1


def test_one_that_ends_in_order_is_not(stage: Stage) -> None:
    """Its last snapshot stands."""
    stage.life = lambda channel, _: channel.sendall(_snapshot(read=5, started=2))
    stage.fleet.start()
    stage.until_dead()
    stage.fleet.tick(float("inf"))
    assert stage.fleet.pids == []
    assert stage.books.snapshot().ledger.records.read == 5
    assert stage.said == []


def test_nonsense_costs_a_worker_its_life(stage: Stage) -> None:
    """A worker that was taken over can lie about its counts and nothing more."""

    def life(channel: socket.socket, claims: ClaimPage) -> None:
        del claims
        channel.sendall(frame(b'{"pickle": 1}') * 2)
        signal.pause()

    stage.life = life
    stage.fleet.start()
    stage.until_dead()
    assert any("nonsense" in line for line in stage.said)


def test_a_forbidden_call_raises_an_alert(stage: Stage) -> None:
    """The filter's kill is no ordinary death."""
    stage.life = lambda *_: os.kill(os.getpid(), signal.SIGSYS)
    stage.fleet.start()
    stage.until_dead()
    assert stage.alerts == ["worker 0 was killed for a system call that is forbidden to it"]


def test_who_hangs_is_killed(stage: Stage) -> None:
    """Silent for half a minute, while we listened."""
    stage.life = lambda *_: signal.pause()
    stage.fleet.start()
    began = time.monotonic()
    for second in range(0, 40, 4):
        stage.fleet.tick(began + second)
    assert any("silent" in line for line in stage.said)
    stage.until_dead()


def test_workers_hear_of_writes_and_of_the_link(stage: Stage) -> None:
    """At once, in the words that they know."""
    ours, theirs = os.pipe()

    def life(channel: socket.socket, claims: ClaimPage) -> None:
        del claims
        while said := channel.recv(100):
            os.write(theirs, said)

    stage.life = life
    stage.fleet.start()
    for allowed, said in ((True, b"true"), (False, b"false")):
        stage.fleet.allow_writes(allowed)
        assert os.read(ours, 100) == frame(b'{"command":"writes","open":%s}' % said)
        stage.fleet.link(allowed)
        assert os.read(ours, 100) == frame(b'{"command":"link","up":%s}' % said)
    os.close(ours)
    os.close(theirs)


def test_who_cannot_be_told_is_killed(stage: Stage) -> None:
    """It would go on sending writes."""
    stage.life = lambda *_: signal.pause()
    stage.fleet.start()
    (seat,) = stage.fleet._seats
    assert seat.channel is not None
    while seat.channel.send(bytes(1000)):
        pass
    stage.fleet.allow_writes(False)
    assert stage.selector.select(5)  # its end of file
    stage.until_dead()
    assert "signal 9" in stage.said[0]


def test_our_own_absence_is_nobody_s_silence(stage: Stage) -> None:
    """Stopped for minutes, or the machine was: nobody was heard, and nobody is killed for it."""
    stage.life = lambda *_: signal.pause()
    stage.fleet.start()
    began = time.monotonic()
    stage.fleet.tick(began)
    stage.fleet.tick(began + 300)
    stage.fleet.tick(began + 301)
    assert stage.said == []
    assert len(stage.fleet.pids) == 1


def test_one_that_does_not_hear_is_killed_at_the_end(stage: Stage) -> None:
    """The fleet never waits for a worker for ever."""
    stage.life = lambda *_: signal.pause()
    stage.fleet.start()
    stage.fleet.drain()
    stage.fleet.stop()
    assert stage.fleet.pids == []
    assert stage.selector.get_map() == {}


def test_a_worker_that_used_up_its_memory(stage: Stage) -> None:
    """Is told apart from other deaths, and replaced like them."""
    stage.life = lambda *_: os._exit(OUT_OF_MEMORY)
    stage.fleet.start()
    (first,) = stage.fleet.pids
    stage.until_dead()
    assert stage.cage.admitted == [first]
    assert "died (out of its memory budget)" in stage.said[-1]
    assert "starting another" in stage.said[-1]
