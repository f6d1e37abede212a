"""Who decides how much is mirrored."""

from __future__ import annotations

import pytest

from shadow_agent.daemon.dial import Change, Dial, Who


class Switches:
    """What was set last."""

    def __init__(self) -> None:
        self.sample = 0.5
        self.paused = False

    def set_sample(self, fraction: float) -> None:
        self.sample = fraction

    def set_paused(self, paused: bool) -> None:
        self.paused = paused


@pytest.fixture
def switches() -> Switches:
    """As attached with ``--sample 0.5``."""
    return Switches()


@pytest.fixture
def dial(switches: Switches) -> Dial:
    """On those."""
    return Dial(switches, 0.5)


def test_the_smaller_share_counts_and_the_factor_is_of_it(dial: Dial, switches: Switches) -> None:
    """The gate cannot raise what the operator allows, nor the governor."""
    dial.share(Who.GATE, 0.8, "flag")
    assert (switches.sample, dial.ceiling) == (0.5, 0.5)
    dial.share(Who.GATE, 0.2, "flag")
    assert switches.sample == 0.2
    dial.scale(0.5, "host is busy")
    assert (switches.sample, dial.sample, dial.ceiling) == (0.1, 0.1, 0.2)
    dial.share(Who.OPERATOR, 0.1, "ctl sample")
    assert switches.sample == 0.05
    dial.scale(1.0, "calm again")
    assert switches.sample == 0.1


def test_one_who_stops_is_enough_and_all_must_let_go(dial: Dial, switches: Switches) -> None:
    """`ctl resume` does not override a gate that is off."""
    dial.stop(Who.OPERATOR, "ctl pause")
    dial.stop(Who.GATE, "shadow.enabled is off")
    dial.go(Who.OPERATOR, "ctl resume")
    assert switches.paused
    assert dial.stopped == {"gate": "shadow.enabled is off"}
    dial.go(Who.GATE, "shadow.enabled is on")
    assert not switches.paused


def test_each_change_is_told_once(dial: Dial) -> None:
    """To the audit log and the records; saying the same again is none."""
    told: list[Change] = []
    dial.on_change.append(told.append)
    for _ in range(2):
        dial.share(Who.GATE, 0.1, "flag")
        dial.stop(Who.GATE, "off")
        dial.scale(0.5, "busy")
    dial.go(Who.OPERATOR, "was not stopped")
    assert told == [
        Change(Who.GATE, "flag", 0.1, ()),
        Change(Who.GATE, "off", 0.1, (Who.GATE,)),
        Change(Who.GOVERNOR, "busy", 0.05, (Who.GATE,), 0.5),
    ]
