"""The record of a governor."""

from __future__ import annotations

import pytest

from shadow_agent.policy.governor import Cause, Change
from shadow_agent.telemetry.lowered import MAX_CHANGES, Lowered

_DOWN = Change(1.0, 0.5, Cause.HOST_CPU, 0.99, 0.95)


def test_nothing_was_lowered() -> None:
    """Zeros, and the whole sample."""
    lowered = Lowered()
    lowered.passed(10, 1.0, 0.5, 1000)
    assert lowered.as_dict() == {
        "changes": [],
        "changes_dropped": 0,
        "lowered_s": 0.0,
        "min_factor": 1.0,
        "sampled_out_estimate": 0,
    }


def test_down_and_up_again() -> None:
    """Each fall by its cause and value; the steps of a rise are one entry."""
    lowered = Lowered()
    lowered.changed(100.0, _DOWN)
    lowered.changed(101.0, Change(0.5, 0.25, Cause.RING_FULL, 0.1, 0.02))
    for step in range(3):
        before = 0.25 + step * 0.05
        lowered.changed(110.0 + step, Change(before, before + 0.05, Cause.RECOVERING, None, None))
    shown = lowered.as_dict()
    assert shown["min_factor"] == 0.25
    assert [(one["cause"], one["from"], one["to"], one["steps"]) for one in shown["changes"]] == [
        ("host_cpu", 1.0, 0.5, 1),
        ("ring_full", 0.5, 0.25, 1),
        ("recovering", 0.25, 0.4, 3),
    ]
    assert (shown["changes"][0]["value"], shown["changes"][0]["limit"]) == (0.99, 0.95)
    assert (shown["changes"][2]["at"], shown["changes"][2]["until"]) == (110.0, 112.0)


def test_whose_packets_were_sampled_out() -> None:
    """Of what half a sample leaves out, a fifth of it lowered to a tenth: the part between."""
    lowered = Lowered()
    lowered.passed(2.0, 0.2, 0.5, 900)
    assert lowered.packets == pytest.approx(900 * (0.5 - 0.1) / 0.9)
    lowered.passed(1.0, 0.0, 1.0, 50)
    assert lowered.packets == pytest.approx(450)
    assert lowered.seconds == 3.0


def test_it_stays_bounded() -> None:
    """The oldest changes go, and their number is told."""
    lowered = Lowered()
    for number in range(MAX_CHANGES + 7):
        lowered.changed(float(number), _DOWN)
    shown = lowered.as_dict()
    assert (len(shown["changes"]), shown["changes_dropped"]) == (MAX_CHANGES, 7)
    assert shown["changes"][0]["at"] == 7.0
