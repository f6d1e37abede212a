"""The audit log on disk: appended to by many, torn by crashes, full disks."""

from __future__ import annotations

import multiprocessing
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from shadow_agent.daemon import audit
from shadow_agent.daemon.audit import Actor, AuditLog, AuditTrail
from shadow_agent.daemon.dial import Change, Who
from shadow_agent.errors import UsageError
from shadow_agent.records.chain import Head, seal


def entries(folder: Path) -> list[dict[str, Any]]:
    """What is in the log."""
    return [orjson.loads(line) for line in (folder / audit.LOG).read_bytes().splitlines()]


def test_entries(tmp_path: Path) -> None:
    """Time, user, process, target and what, in files that only the owner reads."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {"run": "r1"})
    head = log.write("ctl pause", "web", {}, Actor(1000, 77))
    first, second = entries(tmp_path)
    assert (first["n"], first["what"], first["about"]) == (1, "attach", {"run": "r1"})
    assert first["pid"] == os.getpid()
    assert (second["uid"], second["pid"], second["target"]) == (1000, 77, "web")
    assert str(second["at"]).endswith("Z")
    assert log.verify((head,)).head == head
    for name in (audit.LOG, audit.HEAD):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert len(list(tmp_path.iterdir())) == 2


def _write_many(folder: Path) -> None:
    for number in range(20):
        AuditLog(folder).write("attach", "web", {"k": number})


def test_several_writers(tmp_path: Path) -> None:
    """Agents that share a directory take turns."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(tmp_path,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    verdict = AuditLog(tmp_path).verify()
    assert (verdict.broken, verdict.head.number) == (None, 80)


@pytest.mark.parametrize("cut", [1, 20, 150])
def test_a_torn_last_line(tmp_path: Path, cut: int) -> None:
    """A crash in the midst of an entry: said, and mended by the next."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    head = (tmp_path / audit.HEAD).read_bytes()
    log.write("detach", "web", {"why": "x" * 200})
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[:-cut])
    (tmp_path / audit.HEAD).write_bytes(head)  # as the crash left it
    assert log.verify().torn > 0
    log.write("attach", "web", {})
    assert log.verify().broken is None
    said = "detach" if cut == 1 else "mended"  # only its newline was missing
    assert [entry["what"] for entry in entries_but_torn(tmp_path)] == ["attach", said, "attach"]


def entries_but_torn(folder: Path) -> list[dict[str, object]]:
    """Lines that are entries."""
    found = []
    for line in (folder / audit.LOG).read_bytes().splitlines():
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue
    return found


def test_shortened(tmp_path: Path) -> None:
    """Entries missing at the end show against the head; so does a log that is gone."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    first = log.path.read_bytes()
    log.write("detach", "web", {})
    log.path.write_bytes(first)
    broken = log.verify().broken
    assert broken == (2, "entries 2 to 2 are missing")
    log.path.unlink()
    assert log.verify().broken is not None
    (tmp_path / audit.HEAD).write_bytes(b"{")
    assert log.verify().broken is not None


@pytest.mark.parametrize("kept", [0, 2])
def test_shortened_and_written_again(tmp_path: Path, kept: int) -> None:
    """The next entries do not make it whole: it stays broken where something is missing."""
    log = AuditLog(tmp_path)
    for number in range(5):
        log.write("ctl sample", "web", {"k": number})
    lines = log.path.read_bytes().splitlines(keepends=True)
    if kept:
        log.path.write_bytes(b"".join(lines[:kept]))
    else:
        log.path.unlink()
    for _ in range(2):
        log.write("detach", "web", {})
        broken = log.verify().broken
        assert broken is not None
        assert broken.line == kept + 1
        assert "removed" in broken.reason


def test_its_last_entry_made_anew(tmp_path: Path) -> None:
    """It shows against the head, also behind another entry."""
    log = AuditLog(tmp_path)
    first = log.write("attach", "web", {})
    log.write("ctl pause", "web", {})
    start = log.path.read_bytes().splitlines(keepends=True)[0]
    log.path.write_bytes(start + seal({"what": "ctl resume"}, first)[0])
    log.write("detach", "web", {})
    broken = log.verify().broken
    assert broken is not None
    assert broken.line == 3


@pytest.mark.parametrize(
    "noted",
    [
        b'{"n":-1,"sum":"x"}',
        b'{"n":1e400,"sum":"x"}',
        orjson.dumps({"n": 0, "sum": Head().sum}),  # as if nothing had been written yet
    ],
)
def test_a_head_that_was_altered(tmp_path: Path, noted: bytes) -> None:
    """No number of entries is a fault, not a pass."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    (tmp_path / audit.HEAD).write_bytes(noted)
    assert log.verify().broken is not None


@pytest.mark.parametrize("noted", [None, b"", b'{"n":-1,"sum":"x"}'])
def test_cut_and_its_head_with_it(tmp_path: Path, noted: bytes | None) -> None:
    """Who removes the last entry and what counts them is seen, before the next entry and after."""
    log = AuditLog(tmp_path)
    for _ in range(4):
        log.write("ctl sample", "web", {})
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-1]))
    head = tmp_path / audit.HEAD
    if noted is None:
        head.unlink()
    else:
        head.write_bytes(noted)
    broken = log.verify().broken
    assert broken is not None
    assert broken.line == 4
    assert "audit.head" in broken.reason
    for _ in range(2):
        log.write("detach", "web", {})
        broken = log.verify().broken
        assert broken is not None
        assert broken.line == 4


def test_a_crash_before_the_first_head(tmp_path: Path) -> None:
    """Is no fault."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    (tmp_path / audit.HEAD).unlink()
    assert log.verify().broken is None
    log.write("detach", "web", {})
    assert log.verify().broken is None


def test_a_pipe_in_its_place(tmp_path: Path) -> None:
    """Neither reading nor writing waits for the other end."""
    os.mkfifo(tmp_path / audit.LOG)
    with pytest.raises(OSError, match="not a file"):
        AuditLog(tmp_path).write("attach", "web", {})
    with pytest.raises(UsageError, match="not a file"):
        AuditLog(tmp_path).verify()


def test_nothing_there(tmp_path: Path) -> None:
    """No log and no head is a wrong directory."""
    with pytest.raises(UsageError, match="no audit log there"):
        AuditLog(tmp_path).verify()
    assert (
        AuditLog(tmp_path).write("attach", "web", {}) == AuditLog(tmp_path).verify((Head(),)).head
    )


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """At the start it stops the agent; later it is said, counted, and told by the next entry."""
    said: list[str] = []
    gone = AuditTrail(tmp_path / "gone", "web", said.append)
    with pytest.raises(UsageError, match="cannot write the audit log"):
        gone.begin({})
    folder = tmp_path / "data"
    folder.mkdir()
    trail = AuditTrail(folder, "web", said.append)
    trail.begin({})
    log = folder / audit.LOG
    log.rename(folder / "away")
    log.symlink_to(folder / "away")  # not followed
    trail.note("ctl pause", {})
    trail.note("ctl resume", {})
    assert trail.lost == 2
    assert "ctl pause is not on record" in said[0]
    log.unlink()
    (folder / "away").rename(log)
    trail.note("detach", {"why": "x"})
    assert entries(folder)[-1]["about"] == {"why": "x", "lost_before": 2}
    assert AuditLog(folder).verify().broken is None


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an entry is taken back."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})
    before = log.path.read_bytes()
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) > 60:
            return write(fd, data[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        log.write("detach", "web", {"x": "y" * 100})
    monkeypatch.undo()
    assert log.path.read_bytes() == before
    assert log.verify().broken is None
    assert len(list(tmp_path.iterdir())) == 2


def test_who_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind sudo, who called it."""
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    assert Actor.here().uid == 1000
    monkeypatch.setenv("SUDO_UID", "x")
    assert Actor.here().uid == 0


def test_the_gate_and_the_guard(tmp_path: Path) -> None:
    """What they change is on record; what the operator turns is not doubled."""
    trail = AuditTrail(tmp_path, "web", print)
    trail.turned(Change(Who.GATE, "shadow.enabled is off", 0.5, (Who.GATE,)))
    trail.turned(Change(Who.OPERATOR, "ctl pause", 0.5, ()))
    trail.turned(Change(Who.GUARD, "the guard vouches again", 0.5, ()))
    gate, guard = entries(tmp_path)
    assert gate["what"] == "gate"
    assert gate["about"] == {
        "why": "shadow.enabled is off", "sample": 0.5, "stopped": ["gate"]
    }  # fmt: skip
    assert guard["what"] == "guard"


def test_what_operators_did(tmp_path: Path) -> None:
    """Commands that were obeyed, by whom; neither questions nor what was refused."""
    trail = AuditTrail(tmp_path, "web", print)
    for command, done in (
        ({"command": "status"}, {"ok": True}),
        ({"command": "sample", "fraction": 7}, {"ok": False}),
        ({"command": "sample", "fraction": 0.5}, {"ok": True, "sample": 0.5}),
    ):
        trail.told({**command, "by": (1000, 77)}, done)
    (entry,) = entries(tmp_path)
    assert (entry["what"], entry["uid"], entry["pid"]) == ("ctl sample", 1000, 77)
    assert entry["about"] == {"fraction": 0.5, "done": {"ok": True, "sample": 0.5}}


def test_the_governor(tmp_path: Path) -> None:
    """When it began to lower the sample, and when all of it is back; not each step."""
    trail = AuditTrail(tmp_path, "web", print)
    for factor in (0.5, 0.25, 0.6, 1.0, 0.5):
        trail.turned(Change(Who.GOVERNOR, f"now {factor}", factor, (), factor))
    assert [entry["about"]["why"] for entry in entries(tmp_path)] == [
        "now 0.5",
        "now 1.0",
        "now 0.5",
    ]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Another process that holds the lock until it is told to let go."""
    log = tmp_path / audit.LOG
    AuditLog(tmp_path).write("attach", "web", {})
    code = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX);"
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        yield process.stdin.close


def test_a_lock_that_is_held(
    tmp_path: Path, holder: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs a running agent entries, which are counted and told; no agent starts."""
    naps: list[float] = []
    clock = SimpleNamespace(sleep=naps.append, monotonic=lambda: sum(naps))
    monkeypatch.setattr(audit, "time", clock)
    said: list[str] = []
    trail = AuditTrail(tmp_path, "web", said.append)
    with pytest.raises(UsageError, match="another process holds its lock"):
        trail.begin({})
    assert sum(naps) == pytest.approx(5.0, abs=0.02)
    trail._log.patience_s = 0.2  # as once it has begun
    naps.clear()
    trail.note("ctl pause", {})
    assert sum(naps) == pytest.approx(0.2, abs=0.02)
    naps.clear()
    trail.note("ctl resume", {})
    assert naps == []  # not once more for each
    assert trail.lost == 2
    assert said[0].endswith("audit.log: ctl pause is not on record: another process holds its lock")
    holder()
    monkeypatch.undo()
    trail._log.patience_s = 30.0  # until that process is gone
    trail.note("detach", {})
    assert entries(tmp_path)[-1]["about"] == {"lost_before": 2}
    assert AuditLog(tmp_path).verify().broken is None


def test_a_check_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may take its time over a long log: entries are written meanwhile, and not checked."""
    log = AuditLog(tmp_path)
    log.write("attach", "web", {})

    def check(lines: Iterable[bytes], anchors: object) -> list[bytes]:
        AuditTrail(tmp_path, "web", pytest.fail).note("ctl pause", {})
        return list(lines)

    monkeypatch.setattr(audit, "check", check)
    assert len(log._check([])) == 1
    monkeypatch.undo()
    assert log.verify().head.number == 2
