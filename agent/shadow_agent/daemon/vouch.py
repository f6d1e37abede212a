"""The agent's watch on the guard of the shadow host: asked at the start, and again while it runs.

An unprivileged child asks (``hello``); the supervisor hears its own child's word only. A guard
that does not vouch at the start stops the start. One that falls silent later stops mirroring until
it vouches again: a shadow that is not guarded any more gets no more requests.
"""

from __future__ import annotations

import pwd
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import orjson

from shadow_agent.calls.tried import Mark, Tried, tried
from shadow_agent.config.values import endpoint
from shadow_agent.daemon.apart import Child, pieces_of, send_long
from shadow_agent.daemon.dial import Dial, Who
from shadow_agent.daemon.hello import Guarded, HelloError, fetch_calls, greet
from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox
from shadow_agent.errors import OperatorError, UsageError

ASK_S: Final = 2.0  # between questions
TIMEOUT_S: Final = 5.0
# Two questions unanswered; then it does not vouch any more.
FRESH_S: Final = 2 * (ASK_S + TIMEOUT_S)
_FETCH_S: Final = 30.0


class Vouch:
    """One guard, watched. A Watch: ``tick`` four times a second."""

    def __init__(
        self, address: tuple[str, int], key: bytes, shadow_port: int, user: pwd.struct_passwd,
        sandbox: Sandbox = NO_SANDBOX, fork: Callable[[Callable[[], NoReturn]], int] = fork_here,
    ) -> None:  # fmt: skip
        """Waits for its first word. Raises HelloError when it does not vouch for the shadow."""
        self._where = f"--guard {endpoint(*address)}"
        self._shadow_port = shadow_port
        run = partial(_run, address=address, key=key)
        self._child = Child("shadow-vouch", user, set(), run, sandbox, Profile.ASKER, fork)
        self._child.wait(TIMEOUT_S + FRESH_S)
        self._trouble = f"{self._where}: it does not answer"
        self._fix = "start `shadow-agent guard --hello` there and let this host reach it"
        self._heard = float("-inf")
        self._dial: Dial | None = None
        self.guarded: Guarded | None = None
        self._take(self._child.heard() or b"", time.monotonic())
        self._child.channel.setblocking(False)
        self._began = self._first().record

    def _first(self) -> Guarded:
        if self.guarded is None:
            self.close()
            raise HelloError(self._trouble, self._fix)
        return self.guarded

    def fresh(self, now: float) -> bool:
        """Whether it vouches, as far as is known at ``now`` (CLOCK_MONOTONIC, s)."""
        return self.guarded is not None and now - self._heard <= FRESH_S

    def trouble(self, now: float) -> str | None:
        """Why it does not vouch; None while it does."""
        return None if self.fresh(now) else self._trouble

    def obey(self, dial: Dial, say: Callable[[str], None]) -> None:
        """From now on mirroring stops while it does not vouch."""
        self._dial, self._say = dial, say

    def tick(self, now: float) -> None:
        """Hear the child, start another when it died."""
        while packet := self._child.heard():
            self._take(packet, now)
        self._child.revive()
        if self._dial is None:
            return
        if not self.fresh(now):
            if str(Who.GUARD) not in self._dial.stopped:
                self._say(f"mirroring stops: {HelloError(self._trouble, self._fix)}")
            self._dial.stop(Who.GUARD, "the guard does not vouch for the shadow")
        elif str(Who.GUARD) in self._dial.stopped:
            self._say(f"{self._where}: vouches again; mirroring goes on")
            self._dial.go(Who.GUARD, "the guard vouches again")

    def _take(self, packet: bytes, now: float) -> None:
        try:
            said = orjson.loads(packet)
            if said["ok"]:
                self._believe(Guarded.from_json(said["guarded"]), now)
            else:
                self._trouble, self._fix = str(said["what"]), str(said["fix"])
                if said["final"]:
                    self.guarded = None
        except (ValueError, KeyError, TypeError):
            return  # a piece of something else

    def _believe(self, guarded: Guarded, now: float) -> None:
        """Each time: whoever answers on the shadow's port may be another by now, and unguarded."""
        if self._shadow_port in guarded.listening:
            self.guarded, self._heard = guarded, now
            return
        ports = ", ".join(map(str, guarded.listening)) or "no port"
        self.guarded = None
        self._trouble = (
            f"{self._where}: what it guards listens on {ports}, "
            f"the shadow is on {self._shadow_port}"
        )
        self._fix = "let the guard start the shadow build that --shadow names"

    def calls(self) -> Tried | None:
        """What the shadow tried since the start; None when the guard cannot be asked."""
        self._child.wait(_FETCH_S)
        self._child.say(orjson.dumps(self._began))
        message = pieces_of(iter(self._child.heard, b""))
        return None if message is None else Tried.load(orjson.loads(message))

    def close(self) -> None:
        """End the child."""
        self._child.close()


def calls_of_file(path: Path, user: pwd.struct_passwd) -> Tried:
    """``--guard-calls``: a guard's record copied here, read without privileges. UsageError."""
    flag = f"--guard-calls {path}"
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{flag}: {error.strerror}", "copy the guard's calls.jsonl") from error
    with file:
        child = Child("shadow-calls", user, {file.fileno()}, partial(_read, fd=file))
    try:
        child.wait(_FETCH_S)
        message = pieces_of(iter(child.heard, b""))
    finally:
        child.close()
    if message is None:
        raise UsageError(f"{flag}: cannot be read", "copy the guard's calls.jsonl")
    return Tried.load(orjson.loads(message))


def _read(channel: socket.socket, fd: Any) -> None:
    send_long(channel, orjson.dumps(tried(fd).dump()))


def _run(channel: socket.socket, address: tuple[str, int], key: bytes) -> None:
    """The child's life."""
    while True:
        _ask(channel, address, key)
        if select.select([channel], [], [], ASK_S)[0]:
            packet = channel.recv(1024)
            if not packet:
                return
            began = Mark.from_json(orjson.loads(packet))
            try:
                lines = fetch_calls(*address, key, _FETCH_S)
                ended = Guarded.from_json(orjson.loads(next(lines, b""))).record
                found = tried(lines, began, ended)
            except (OperatorError, ValueError, TypeError, KeyError):
                return  # its end is its answer
            send_long(channel, orjson.dumps(found.dump()))


def _ask(channel: socket.socket, address: tuple[str, int], key: bytes) -> None:
    try:
        guarded = greet(*address, key, TIMEOUT_S)
    except OperatorError as error:
        # one who answers that he does not guard is believed at once, one who is silent later
        said: dict[str, Any] = {
            "ok": False, "what": error.what, "fix": error.fix,
            "final": isinstance(error, HelloError) and error.final,
        }  # fmt: skip
    else:
        said = {
            "ok": True,
            "guarded": {name: getattr(guarded, name) for name in Guarded.__slots__},
        }
    channel.send(orjson.dumps(said))
