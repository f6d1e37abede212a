"""COMMAND while it runs: signals are handed on, and it ends where nothing would guard it."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from shadow_agent.guard.cgroup import Cgroup

_TICK_S: Final = 0.25
_LOOK_S: Final = 1.0  # between looks at what is inside
_GRACE_S: Final = 10.0  # to end after it was asked to
# What a terminal says to all of its foreground. COMMAND has a session of its own, so that nothing
# reaches it twice; so they are handed on to the processes that it would have reached.
_TO_ALL: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Asked:
    """The first signal that asks to end; ``wakeup`` is readable then."""

    def __init__(self) -> None:
        """From now on none of them ends this process."""
        self.first: int | None = None
        self.wakeup, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, *_TO_ALL):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background
                signal.signal(number, self._caught)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.first = self.first or number


def watch(
    pid: int,
    cgroup: Cgroup,
    asked: Asked,
    look: Callable[[list[int]], None],
    tick: Callable[[], None],
    say: Callable[[str], None],
) -> int:
    """Until COMMAND ended; its wait status. ``look`` is told the processes inside."""
    next_look, missed = 0.0, 0
    kill_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(asked.wakeup, selectors.EVENT_READ)
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _LOOK_S
                inside = cgroup.pids()
                look(inside)
                # one that is about to end is not seen inside either, for a moment
                missed = 0 if pid in inside else missed + 1
                if missed == 2:
                    say(f"pid {pid} was moved out of {cgroup.path}, where it is not guarded: ended")
                    os.killpg(pid, signal.SIGKILL)
            tick()
            if asked.first is not None and kill_at is None:
                (os.killpg if asked.first in _TO_ALL else os.kill)(pid, asked.first)
                kill_at = now + _GRACE_S
            elif kill_at is not None and now >= kill_at:
                cgroup.kill()
            if selector.select(_TICK_S):
                os.read(asked.wakeup, 64)
