"""The audit log of a data directory: who attached, detached, changed or read what, and when.

DATA_DIR/audit.log, 0600, appended to under a lock by every agent and command that uses the
directory; DATA_DIR/audit.head says how many entries there are. Nobody waits for the lock for long:
who holds it for longer costs a running agent an entry, not the off switch. An agent
that cannot write the log does not start; one that cannot write it any more says so, counts and goes
on, and the next entry that can be written says how many are missing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

from shadow_agent.daemon.dial import Change, Who
from shadow_agent.errors import UsageError
from shadow_agent.records.chain import (
    MAX_LINE,
    MENDED,
    Broken,
    Head,
    Verdict,
    check,
    mend,
    read,
    seal,
)

LOG: Final = "audit.log"
HEAD: Final = "audit.head"
# An entry takes as long as the disk; commands may wait for many, the off switch for hardly one.
_PATIENCE_S: Final = 5.0
_SHORT_S: Final = 0.2
_RETRY_S: Final = 0.01
# Stands for a head that is none: it is written whole or not at all.
_ALTERED: Final = Head(-1, "")
_MANY: Final = 1 << 62  # more entries than any log has


class Actor(NamedTuple):
    """Who did it."""

    uid: int
    pid: int

    @classmethod
    def here(cls) -> Actor:
        """This process; behind sudo, who called it."""
        try:
            uid = int(os.environ.get("SUDO_UID", "")) if os.getuid() == 0 else os.getuid()
        except ValueError:
            uid = os.getuid()
        return cls(uid, os.getpid())


class AuditLog:
    """One data directory's log."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is opened yet."""
        self.patience_s = _PATIENCE_S  # how long another may hold it
        self.path = data_dir / LOG
        self._head = data_dir / HEAD

    def write(
        self, what: str, target: str, about: dict[str, Any], actor: Actor | None = None
    ) -> Head:
        """Append an entry and bring it to the disk. Raises OSError; then nothing was appended."""
        actor = actor or Actor.here()
        fields = {"uid": actor.uid, "pid": actor.pid, "target": target}
        with self._open(os.O_RDWR | os.O_CREAT) as log, self._locked(log, fcntl.LOCK_EX):
            head, torn = _tail(log)
            data = b"\n" if torn else b""
            last = read(torn + b"\n")
            if last is not None:  # all of an entry but its newline
                head = Head(last["n"], last["sum"])
            elif torn:
                line, head = seal({**_when(), "what": MENDED, **fields, "about": mend(torn)}, head)
                data += line
            noted = self._noted()
            if _unknown(noted, head):
                head = Head(head.number + 1, "")  # what may be missing stays missing
            elif noted is not None and noted.number >= head.number and noted != head:
                # Shortened or altered: go on from what was, so that the break stays to be seen.
                head = noted
            line, head = seal({**_when(), "what": what, **fields, "about": about}, head)
            draft = self._draft(head)  # before the entry, so that a full disk costs both
            try:
                self._append(log, data + line)
                # A crash before this leaves a head that still lies on the chain.
                draft.replace(self._head)
            except OSError:
                draft.unlink(missing_ok=True)
                raise
        return head

    def verify(self, expect: tuple[Head, ...] = ()) -> Verdict:
        """Check all of it against its head and what was noted elsewhere. Raises UsageError."""
        anchors = [*expect]
        try:
            noted = self._noted()
            if noted is not None and noted != _ALTERED:
                anchors.append(noted)
            if not self.path.exists() and not anchors and noted is None:
                raise UsageError(
                    f"{self.path}: no audit log there", "name the data directory with --data-dir"
                )
            found = self._check(anchors)
        except OSError as exc:
            raise UsageError(f"{self.path}: {exc.strerror}", "run as root") from exc
        if found.broken is None and _unknown(noted, found.head):
            lost = f"may be missing: {self._head}, which counts them, was removed or altered"
            found = found._replace(broken=Broken(found.head.number + 1, lost))
        return found

    def _check(self, anchors: list[Head]) -> Verdict:
        try:
            with self._open(os.O_RDONLY) as log:
                with self._locked(log, fcntl.LOCK_SH):
                    size = os.fstat(log.fileno()).st_size
                return check(_lines(log, size), anchors)  # what is there stays as it is
        except FileNotFoundError:
            return check((), anchors)

    def _noted(self) -> Head | None:
        """How far the log went; None if nothing says so."""
        try:
            noted = orjson.loads(self._head.read_bytes()[:MAX_LINE])
            head = Head(int(noted["n"]), str(noted["sum"]))
        except FileNotFoundError:
            return None
        except (LookupError, OverflowError, TypeError, ValueError):
            return _ALTERED
        return head if 0 < head.number < _MANY else _ALTERED

    @contextlib.contextmanager
    def _open(self, access: int) -> Iterator[BinaryIO]:
        flags = access | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        fd = os.open(self.path, flags, 0o600)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, os.geteuid()}:
            os.close(fd)
            raise OSError(errno.EINVAL, "not a file of ours")
        with os.fdopen(fd, "rb", buffering=MAX_LINE) as log:
            yield log

    @contextlib.contextmanager
    def _locked(self, log: BinaryIO, kind: int) -> Iterator[None]:
        until = time.monotonic() + self.patience_s
        while True:
            try:
                fcntl.flock(log, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OSError(errno.EBUSY, "another process holds its lock") from None
            time.sleep(_RETRY_S)
        try:
            yield
        finally:
            fcntl.flock(log, fcntl.LOCK_UN)

    def _append(self, log: BinaryIO, data: bytes) -> None:
        """Whole, or not at all as far as the disk allows."""
        before = os.fstat(log.fileno()).st_size
        try:
            _write_all(log.fileno(), data)
            os.fsync(log.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(log.fileno(), before)
            raise

    def _draft(self, head: Head) -> Path:
        fd, name = tempfile.mkstemp(dir=self._head.parent, prefix=f".{HEAD}-")
        try:
            with os.fdopen(fd, "wb") as out:
                out.write(orjson.dumps({"n": head.number, "sum": head.sum}))
                out.flush()
                os.fsync(out.fileno())  # a power cut must not leave half of one
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)


class AuditTrail:
    """A running agent's hand on the log."""

    def __init__(self, data_dir: Path, target: str, say: Callable[[str], None]) -> None:
        """``say`` is told what could not be written."""
        self._log = AuditLog(data_dir)
        self._target = target
        self._say = say
        self.lost = 0  # entries that could not be written, in this run
        self._unsaid = 0  # of them, those that no later entry told of
        self._governed = False  # by what is on record

    def begin(self, about: dict[str, Any]) -> None:
        """The attach. Raises UsageError: what cannot be audited is not done."""
        try:
            self._log.write("attach", self._target, about)
        except OSError as exc:
            raise UsageError(
                f"{self._log.path}: cannot write the audit log: {exc.strerror}",
                "make space or give another --data-dir",
            ) from exc
        self._log.patience_s = _SHORT_S

    def told(self, command: dict[str, Any], done: dict[str, Any]) -> None:
        """A command of an operator that was obeyed; questions are not on record."""
        if done["ok"] and command["command"] != "status":
            about = {name: one for name, one in command.items() if name not in ("by", "command")}
            self.note(f"ctl {command['command']}", about | {"done": done}, Actor(*command["by"]))

    def turned(self, change: Change) -> None:
        """The dial: what gate and guard have changed. An operator's command has its own entry.

        Of the governor the beginning and the end: its steps are in the records, one a second.
        """
        if change.who is Who.OPERATOR:
            return
        if change.who is Who.GOVERNOR:
            governed = change.factor < 1
            if governed is self._governed:
                return
            self._governed = governed
        stopped = [who.value for who in change.stopped]
        self.note(
            change.who.value, {"why": change.why, "sample": change.sample, "stopped": stopped}
        )

    def note(self, what: str, about: dict[str, Any], actor: Actor | None = None) -> None:
        """Anything later: if it cannot be written, that is said and counted."""
        if self._unsaid:
            about = {**about, "lost_before": self._unsaid}
        try:
            self._log.write(what, self._target, about, actor)
            self._unsaid = 0
            self._log.patience_s = _SHORT_S
        except OSError as exc:
            self.lost += 1
            self._unsaid += 1
            self._log.patience_s = 0.0  # once is enough, until one can be written again
            self._say(f"{self._log.path}: {what} is not on record: {exc.strerror}")


def _unknown(noted: Head | None, head: Head) -> bool:
    """Whether entries may be missing and nothing says so; a crash costs the first head only."""
    return noted == _ALTERED or (noted is None and head.number > 1)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _when() -> dict[str, str]:
    return {"at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}


def _lines(log: BinaryIO, size: int) -> Iterator[bytes]:
    while line := log.readline(min(MAX_LINE + 1, size)):
        size -= len(line)
        yield line


def _tail(log: BinaryIO) -> tuple[Head, bytes]:
    """The head of the log, and the unfinished line behind it."""
    size = log.seek(0, os.SEEK_END)
    # a torn line, an entry that mends it and one before: three lines at most
    log.seek(max(size - 3 * MAX_LINE, 0))
    *lines, last = log.read().split(b"\n")
    for line in reversed(lines):
        entry = read(line + b"\n")
        if entry is not None:
            return Head(entry["n"], entry["sum"]), last
    if size > len(last):
        raise OSError(74, "no entry at its end; `shadow-agent audit verify` says more")
    return Head(), last
