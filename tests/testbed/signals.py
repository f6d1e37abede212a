"""Signals and cleaning up: ended from outside, a testbed still leaves nothing behind."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: unwinds like Ctrl-C (pytest turns SystemExit into a mere failure)."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class TerminationAsInterrupt:
    """Raise Terminated on SIGTERM and SIGHUP, where nobody else handles them."""

    _numbers = (signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._installed: list[signal.Signals] = []

    def install(self) -> None:
        """Take over default dispositions; does nothing outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in self._numbers:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _raise)
                self._installed.append(number)

    def restore(self) -> None:
        """Give back what install() took."""
        while self._installed:
            number = self._installed.pop()
            if signal.getsignal(number) is _raise:
                signal.signal(number, signal.SIG_DFL)


class Deferred:
    """Context manager: SIGINT, SIGTERM and SIGHUP wait until the block is done (main thread)."""

    _numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._pending: list[int] = []

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        # Delivered now: not by default, whoever unwinds has more to end than this block.
        for pending in self._pending[:1]:
            signal.raise_signal(pending)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._pending.append(number)


def _raise(number: int, _frame: FrameType | None) -> None:
    raise Terminated(number)
