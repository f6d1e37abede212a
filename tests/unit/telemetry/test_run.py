"""Values beside the counts."""

from __future__ import annotations

from shadow_agent.telemetry.run import Interruption, Run, State


def test_an_interruption_reads_from_and_to() -> None:
    """The summary's keys are those of the design, and an open end is null."""
    assert Interruption("eth0", 10.0, None, 5.0).as_dict() == {
        "iface": "eth0",
        "from": 10.0,
        "to": None,
        "seconds": 5.0,
    }


def test_defaults_claim_nothing() -> None:
    """A bare run knows no builds and taps nothing; a bare state mirrors everything."""
    run = Run("1", "t", "http://s", "r")
    assert (run.builds, run.attached, run.epoch) == ({}, {}, 0)
    assert tuple(State()) == (1.0, False, 1.0, "none")
