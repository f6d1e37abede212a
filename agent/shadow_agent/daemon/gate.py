"""The feature gate: an unprivileged child asks it, the supervisor does what it says.

What it said last counts for a while when it cannot be asked; then nothing is mirrored until it
can. Before its first word nothing is mirrored either: a gate that is down is no open gate.
"""

from __future__ import annotations

import math
import os
import pwd
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import orjson

from shadow_agent.config.gate import Gate
from shadow_agent.config.values import unsaid
from shadow_agent.daemon import flags
from shadow_agent.daemon.cage import data_size
from shadow_agent.daemon.dial import Dial, Who
from shadow_agent.daemon.process import (
    bound_memory,
    close_all_but,
    die_with_parent,
    drop_privileges,
    ignore_terminal_signals,
    name_process,
)
from shadow_agent.daemon.seccomp import NO_SANDBOX, Profile, Sandbox
from shadow_agent.errors import one_line

_LARGEST: Final = 4096  # bytes of what the child says; beyond: cut, and not understood
_RESTART_S: Final = 1.0  # a child that dies at once is not started in a tight loop
_SLACK_S: Final = 5.0  # beyond a look and the pause after it: the child hangs
_LOOKS: Final = 2  # flags per poll, each with a deadline of its own
_REASON_MAX: Final = 300
# Bytes of the child beyond what it was forked with: a stranger's answer is read whole.
_MEMORY: Final = 256 << 20


class GateWatch:
    """One target's gate. A Watch: `tick` four times a second."""

    def __init__(
        self, gate: Gate, target: str, user: pwd.struct_passwd, dial: Dial,
        say: Callable[[str], None], sandbox: Sandbox = NO_SANDBOX,
    ) -> None:  # fmt: skip
        """Starts the child and stops mirroring until it has heard from the gate.

        Raises UsageError when the provider cannot work.
        """
        self._gate = gate
        self._target = target
        self._load = flags.find_provider(gate)
        self._user = user
        self._sandbox = sandbox
        self._dial = dial
        self._say = say
        self._heard: float | None = None  # a good word
        self._trouble = ""
        self._stale = False
        self._restart_at = 0.0
        self.pid = 0  # the child's; 0: none
        dial.stop(Who.GATE, "the gate has not answered yet")
        self._fork()

    @property
    def trouble(self) -> str:
        """Why it cannot be asked now; empty when it can."""
        return self._trouble

    def tick(self, now: float) -> None:
        """Hear the child, start another when it died, mind how old its word is."""
        self._listen(now)
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0]:
            self._channel.close()
            self._set_trouble("its process died")
            self._restart_at = now + _RESTART_S
            self.pid = 0
        if not self.pid and now >= self._restart_at:
            self._fork()
        elif (
            self.pid
            and now - self._spoken > self._gate.poll_s + _LOOKS * self._gate.timeout_s + _SLACK_S
        ):
            self._set_trouble("its process hangs")
            self._kill()
        if self._heard is not None and not self._stale and now - self._heard > self._gate.keep_s:
            self._stale = True
            self._say(f"gate: silent for {self._gate.keep_s:g} s; paused until it can be asked")
            self._dial.stop(Who.GATE, f"silent for {self._gate.keep_s:g} s: {self._trouble}")

    def close(self) -> None:
        """End the child."""
        if self.pid:
            self._channel.close()
            self._kill()
            os.waitpid(self.pid, 0)
            self.pid = 0

    def _kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _fork(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        parent = os.getpid()
        self._spoken = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            user, sandbox = self._user, self._sandbox
            _run(self._load, self._gate, self._target, theirs, user, sandbox, parent)
        theirs.close()

    def _listen(self, now: float) -> None:
        while self.pid:
            try:
                data = self._channel.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return
            self._spoken = now
            self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        """The child has talked to a stranger: what it says is checked."""
        try:
            said = orjson.loads(data)
        except orjson.JSONDecodeError:
            said = None
        match said:
            case {"enabled": bool() as enabled, "sample": float() as sample} if 0 <= sample <= 1:
                self._obey(enabled, sample, now)
            case {"trouble": str() as trouble}:
                self._set_trouble(trouble)
            case _:
                self._set_trouble("its process sent nonsense")

    def _obey(self, enabled: bool, sample: float, now: float) -> None:
        self._heard = now
        self._stale = False
        if self._trouble:
            self._trouble = ""
            self._say("gate: answers again")
        gate = self._gate
        self._dial.share(Who.GATE, sample, f"{gate.sample} is {sample:g}")
        if enabled:
            self._dial.go(Who.GATE, f"{gate.enabled} is on")
        else:
            self._dial.stop(Who.GATE, f"{gate.enabled} is off")

    def _set_trouble(self, trouble: str) -> None:
        trouble = one_line(trouble)[:_REASON_MAX]
        if trouble != self._trouble:
            self._trouble = trouble
            kept = "" if self._heard is None else f"; its last word counts for {self._left():.0f} s"
            self._say(f"gate: {trouble}{kept}")

    def _left(self) -> float:
        heard = -math.inf if self._heard is None else self._heard
        return max(heard + self._gate.keep_s - time.monotonic(), 0.0)


def make_gate(
    gate: Gate, target: str, user: pwd.struct_passwd, dial: Dial, say: Callable[[str], None],
    sandbox: Sandbox = NO_SANDBOX,
) -> GateWatch | None:  # fmt: skip
    """The gate, if one is configured, or the default file is there. Raises UsageError."""
    if gate.provider.kind == "off":
        return None
    if gate.by_default and not Path(gate.provider.where).exists():
        return None
    return GateWatch(gate, target, user, dial, say, sandbox)


def _run(
    load: flags.Load, gate: Gate, target: str, channel: socket.socket,
    user: pwd.struct_passwd, sandbox: Sandbox, parent: int,
) -> NoReturn:  # fmt: skip
    code = 1
    try:
        ignore_terminal_signals()
        name_process("shadow-gate")
        connect = load()
        bound_memory(data_size() + _MEMORY)
        close_all_but({channel.fileno()})
        drop_privileges(user)
        die_with_parent(parent)
        sandbox.load(Profile.ASKER)
        ask = flags.Flags(gate, target, connect()).ask
        while True:
            try:
                said: dict[str, object] = ask()._asdict()
            except flags.GateSilent as exc:
                said = {"trouble": str(exc)}
            channel.send(orjson.dumps(said)[:_LARGEST])
            time.sleep(gate.poll_s)
    except BaseException as exc:  # noqa: BLE001 - the process ends here, and must say why
        channel.send(
            orjson.dumps({"trouble": unsaid(f"{type(exc).__name__}: {exc}")[:_REASON_MAX]})
        )
    finally:
        os._exit(code)
