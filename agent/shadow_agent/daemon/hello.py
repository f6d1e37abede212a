"""The authenticated hello: the guard of the shadow host says that it guards, now.

Both sides hold the same key file. The guard opens with a nonce; the agent's question carries a
nonce of its own and an HMAC-SHA256 over both, and so does every frame of the answer, with the side
that said it and its place in the order. So nothing can be replayed, reflected, reordered or cut
unseen, and who has no key learns nothing. What is said is not secret: it is not encrypted.

    guard → agent   OPENING, 32 bytes
    agent → guard   frame of {"ask": "hello" | "calls", "nonce": hex}
    guard → agent   frames; an empty one is the last
    frame           length (4, big endian), HMAC (32), body
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from shadow_agent.calls.tried import Mark
from shadow_agent.config import endpoint
from shadow_agent.errors import OperatorError, UsageError

OPENING: Final = b"shadow-agent guard 1\n"
NONCE_BYTES: Final = 32
MAX_FRAME: Final = 256 << 10  # also of all that a guard says of itself
# Bytes of calls fetched at most: the guard's record may have 16 MiB.
MAX_CALLS_BYTES: Final = 64 << 20
MIN_KEY: Final = 32
PROGRAMS: Final = 6  # that must be attached
_MAX_KEY: Final = 4096
_HEADER: Final = 4 + 32
_KEY_FIX: Final = "head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE; copy it to both hosts"

# OpenSSL loads what it needs at the first use: before privileges are dropped, that is now.
hmac.digest(b"key", b"", "sha256")


class HelloError(OperatorError):
    """The guard did not vouch for the shadow; ``final``: it said so itself, authenticated."""

    exit_code = UsageError.exit_code

    def __init__(self, what: str, fix: str = "", *, final: bool = False) -> None:
        super().__init__(what, fix)
        self.final = final


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a guard said of itself, authenticated, a moment ago."""

    active: bool  # all programs attached, processes inside, its supervisor alive
    cgroup: str
    cgroup_id: int
    processes: int
    programs: tuple[str, ...]
    listening: tuple[int, ...]  # TCP ports of the processes inside
    time: float  # epoch seconds, by the guard's clock: only shown, it may be set wrong
    record: Mark  # of calls
    uncovered: tuple[str, ...]  # what its hooks do not see on that host, one line each

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Guarded:
        """Raises KeyError, TypeError and ValueError for another shape."""
        return cls(
            active=said["active"] is True,
            cgroup=str(said["cgroup"])[:4096],
            cgroup_id=int(said["cgroup_id"]),
            processes=int(said["processes"]),
            programs=tuple(str(name)[:64] for name in said["programs"][:64]),
            listening=tuple(int(port) for port in said["listening"][:1024]),
            time=float(said["time"]),
            record=Mark.from_json(said["record"]),
            uncovered=tuple(str(line)[:512] for line in said["uncovered"][:64]),
        )


def read_key(path: Path) -> bytes:
    """The shared key: a file of root or ourselves that nobody else may read. Raises UsageError."""
    flag = f"--guard-key {path}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            key = file.read(_MAX_KEY + 1).strip() if stat.S_ISREG(status.st_mode) else b""
    except OSError as error:
        raise UsageError(f"{flag}: {error.strerror}", _KEY_FIX) from error
    if status.st_mode & 0o077 or status.st_uid not in {0, os.geteuid()}:
        raise UsageError(f"{flag}: others may read it", f"chmod 600 {path}; chown root {path}")
    if not MIN_KEY <= len(key) <= _MAX_KEY:
        raise UsageError(f"{flag}: has {len(key)} bytes, {MIN_KEY} at least are needed", _KEY_FIX)
    return key


def greet(host: str, port: int, key: bytes, timeout: float) -> Guarded:
    """Ask a guard whether it guards now. ``timeout`` in seconds, for all of it.

    Raises OperatorError (exit 2) that says why not and what to do: unreachable, another key, no
    guard, or a guard that is not active.
    """
    where = f"--guard {endpoint(host, port)}"
    said = b"".join(_ask(host, port, key, timeout, "hello", MAX_FRAME))
    try:
        guarded = Guarded.from_json(orjson.loads(said))
    except (ValueError, TypeError, KeyError) as error:
        raise HelloError(
            f"{where}: the guard answered in another way than ours does",
            "run the same version of shadow-agent on both hosts",
        ) from error
    if len(guarded.programs) < PROGRAMS:
        raise HelloError(
            f"{where}: only {len(guarded.programs)} of {PROGRAMS} programs are attached to "
            f"{guarded.cgroup}",
            "start the guard again on the shadow host",
            final=True,
        )
    if not guarded.processes:
        raise HelloError(
            f"{where}: nothing runs inside of {guarded.cgroup}",
            "start the shadow build by it: shadow-agent guard … -- COMMAND",
            final=True,
        )
    if not guarded.active:
        raise HelloError(
            f"{where}: the guard of {guarded.cgroup} is not active",
            "look at what it logs there",
            final=True,
        )
    return guarded


def fetch_calls(host: str, port: int, key: bytes, timeout: float) -> Iterator[bytes]:
    """What the guard says of itself, then its record of calls, line by line.

    Raises OperatorError as ``greet``.
    """
    rest = b""
    for piece in _ask(host, port, key, timeout, "calls", MAX_CALLS_BYTES):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest


def _ask(host: str, port: int, key: bytes, timeout: float, what: str, most: int) -> Iterator[bytes]:
    """Bodies of the answer's frames, each proven; ``most`` bytes of them."""
    where = f"--guard {endpoint(host, port)}"
    until = time.monotonic() + timeout
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            opening = receive(connection, len(OPENING) + NONCE_BYTES, until)
            if not opening.startswith(OPENING):
                raise HelloError(f"{where}: is no guard", "name the guard's --hello")
            theirs = opening[len(OPENING) :]
            ours = secrets.token_bytes(NONCE_BYTES)
            question = orjson.dumps({"ask": what, "nonce": ours.hex()})
            connection.sendall(frame(key, agent_context(theirs), question))
            yield from _frames(connection, key, guard_context(theirs, ours), until, most)
    except EOFError as error:
        raise HelloError(
            f"{where}: closed the connection unanswered",
            "give both sides the same key file; the guard logs what it refuses",
        ) from error
    except PermissionError as error:
        raise HelloError(
            f"{where}: the answer is not authentic", "give both sides the same key file"
        ) from error
    except OSError as error:
        raise HelloError(
            f"{where}: {error.strerror or error}",
            "start `shadow-agent guard --hello` there and let this host reach it",
        ) from error


def _frames(
    connection: socket.socket, key: bytes, context: bytes, until: float, most: int
) -> Iterator[bytes]:
    taken = 0
    for index in range(MAX_CALLS_BYTES // 1024):
        header = receive(connection, _HEADER, until)
        length = int.from_bytes(header[:4], "big")
        if length > MAX_FRAME:
            raise PermissionError("frame too long")
        body = receive(connection, length, until)
        if not hmac.compare_digest(header[4:], mac(key, context, index, body)):
            raise PermissionError("wrong HMAC")
        taken += length
        if not length or taken > most:
            return
        yield body


def receive(connection: socket.socket, length: int, until: float) -> bytes:
    """Exactly so many bytes. Raises EOFError, and TimeoutError at ``until`` (monotonic s)."""
    pieces = []
    while length:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        piece = connection.recv(min(length, 1 << 16))
        if not piece:
            raise EOFError
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def agent_context(guard_nonce: bytes) -> bytes:
    """What a question's HMAC covers beside it."""
    return b"agent\0" + guard_nonce


def guard_context(guard_nonce: bytes, agent_nonce: bytes) -> bytes:
    """What an answer's HMAC covers beside it."""
    return b"guard\0" + guard_nonce + agent_nonce


def mac(key: bytes, context: bytes, index: int, body: bytes) -> bytes:
    """HMAC-SHA256 of one frame."""
    return hmac.digest(key, context + index.to_bytes(4, "big") + body, "sha256")


def frame(key: bytes, context: bytes, body: bytes, index: int = 0) -> bytes:
    """A frame as it is sent."""
    return len(body).to_bytes(4, "big") + mac(key, context, index, body) + body
