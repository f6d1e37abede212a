"""The fuse: blows on what is broken altogether, on nothing less."""

import subprocess
import sys

from shadow_agent.verdict.trip import Trip


def _fed(*bad: bool, production: bool = False) -> Trip:
    trip = Trip()
    for one in bad:
        trip.add(candidate_bad=one, production_bad=production)
    return trip


def test_fourteen_in_a_row() -> None:
    """Not thirteen."""
    assert not _fed(*[True] * 13).blown
    assert _fed(*[True] * 14).blown


def test_half_broken_is_for_the_verdict() -> None:
    """Every other request fails, for ever."""
    assert not _fed(*[True, False] * 500).blown


def test_production_fails_too() -> None:
    """Both bad says nothing about the build."""
    assert not _fed(*[True] * 100, production=True).blown


def test_latched_until_reset() -> None:
    """Good answers do not mend it; whoever looked does."""
    trip = _fed(*[True] * 14, *[False] * 50)
    assert trip.blown
    trip.reset()
    assert not trip.add(candidate_bad=True, production_bad=False)


def test_workers_need_no_numpy() -> None:
    """It costs each of them 20 MB."""
    code = "import sys, shadow_agent.verdict.trip; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
