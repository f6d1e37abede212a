"""Why a run ends."""

from __future__ import annotations

import selectors
import signal
from collections.abc import Iterator

import pytest

from shadow_agent.daemon.audit import Actor
from shadow_agent.daemon.ending import Ending


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signals' handlers as they were."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(number, signal.getsignal(number)) for number in numbers]
    yield
    signal.set_wakeup_fd(-1)
    for number, handler in before:
        signal.signal(number, handler)


def test_the_first_reason_counts() -> None:
    """And who gave it."""
    ending = Ending()
    somebody = Actor(0, 1)
    ending.stop("detach", somebody)
    ending.stop("duration reached")
    assert (ending.why, ending.by, ending.hurry) == ("detach", somebody, False)


def test_signals(handlers: None) -> None:
    """One is a reason and wakes the selector, another is a hurry."""
    ending = Ending()
    with selectors.DefaultSelector() as selector:
        ending.catch_signals(selector)
        signal.raise_signal(signal.SIGTERM)
        ((key, _),) = selector.select(5)
        key.data()
        assert (ending.why, ending.hurry) == ("SIGTERM", False)
        signal.raise_signal(signal.SIGHUP)
        assert (ending.why, ending.hurry) == ("SIGTERM", True)


def test_nohup(handlers: None) -> None:
    """Who ignored SIGHUP before meant it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        Ending().catch_signals(selector)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
