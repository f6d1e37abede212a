"""What is said beside the figures."""

from __future__ import annotations

from typing import Any

from shadow_agent.telemetry.remarks import remarks

QUIET: dict[str, Any] = {
    "alerts": [],
    "ended": None,
    "untracked": 0,
    "ledger": {"replay": {"refused": {}}},
    "breaker": {"opened": 0},
    "interruptions": [],
    "governor": None,
    "load": None,
    "imbalances": [],
}


def said(**changes: Any) -> list[str]:
    """The lines of a summary that is quiet but for these."""
    return [line.plain for line in remarks({**QUIET, **changes})]


def test_nothing_to_say() -> None:
    """A run like any other."""
    assert said() == []


def test_what_stopped_or_held_back() -> None:
    """Each in one line, with how long."""
    breaker = {"opened": 2, "cause": {"timeout": 2}, "open_s": 3.0, "state": "closed"}
    away = {"iface": "eth0", "seconds": 4.0, "to": None}
    lines = said(alerts=["stopped"], breaker=breaker, interruptions=[away], imbalances=["pairs"])
    assert lines == [
        "ALERT stopped",
        "The breaker opened 2 times (timeout 2) and held back requests for 3.0 s.",
        "Nothing was mirrored for 4.0 s: eth0 was away or down, and still is",
        "The ledger does not balance: pairs",
    ]


def test_how_it_ended() -> None:
    """By which limit, and whether the shadow was left alone to the end."""
    assert said(ended="duration reached (5 s)") == ["The run ended: duration reached (5 s)"]
    breaker = {"opened": 1, "cause": {"timeout": 1}, "open_s": 3.0, "state": "half_open"}
    (line,) = said(breaker=breaker)
    assert line.endswith("held back requests for 3.0 s; it was half-open at last.")
    ledger = {"replay": {"refused": {"cost": 1200}}}
    (line,) = said(untracked=1500)
    assert line.startswith("1,500 packets over the byte budget")
    (line,) = said(ledger=ledger)
    assert line == "The budget of cost is spent: 1,200 requests were refused"


def test_when_the_governor_looked_away() -> None:
    """For how long, how far, and why."""
    governor = {"lowered_s": 5.0, "min_factor": 0.25,
                "changes": [{"cause": "host_cpu"}, {"cause": "recovering"}]}  # fmt: skip
    (line,) = said(governor=governor)
    assert "lowered sampling for 5.0 s, down to 25.00 %" in line
    assert line.endswith("(host_cpu)")
