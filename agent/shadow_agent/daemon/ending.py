"""Why a run ends, who said so, and whether they are in a hurry."""

from __future__ import annotations

import os
import selectors
import signal
from types import FrameType

from shadow_agent.daemon.audit import Actor


class Ending:
    """The first reason counts; a second signal means: do not drain."""

    def __init__(self) -> None:
        """Nobody has said stop."""
        self.why: str | None = None
        self.by: Actor | None = None  # None: ourselves
        self.hurry = False

    def stop(self, why: str, by: Actor | None = None) -> None:
        """End the run, once the loop comes round."""
        if self.why is None:
            self.why, self.by = why, by

    def catch_signals(self, selector: selectors.BaseSelector) -> None:
        """SIGINT and SIGTERM, and SIGHUP unless nohup was meant; each wakes ``selector``."""
        ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        selector.register(ours, selectors.EVENT_READ, lambda: os.read(ours, 64))
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.hurry = self.why is not None
        self.stop(signal.Signals(number).name)
