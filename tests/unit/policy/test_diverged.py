"""Sessions in which the shadow lacks a write."""

from __future__ import annotations

from shadow_agent.policy.diverged import Diverged

S = 1_000_000_000


def test_what_comes_after_a_lost_write() -> None:
    """Is diverged, in that session; the write itself and what came before it are not."""
    diverged = Diverged(10, 100 * S)
    assert not diverged.has("s", 1, 0)
    diverged.lose("s", 5, 0)
    diverged.lose("s", 9, 0)
    assert [diverged.has("s", number, 0) for number in (4, 5, 6)] == [False, False, True]
    assert not diverged.has("t", 6, 0)
    diverged.lose("s", 3, 0)  # told later
    assert diverged.has("s", 4, 0)


def test_expiry() -> None:
    """A session not heard of for so long is another one."""
    diverged = Diverged(10, 100 * S)
    diverged.lose("s", 1, 0)
    assert diverged.has("s", 2, 90 * S)
    assert diverged.has("s", 3, 180 * S)
    assert not diverged.has("s", 4, 300 * S)
    diverged.lose("t", 5, 0)
    diverged.lose("u", 6, 500 * S)
    assert len(diverged) == 1
    assert diverged.forgotten == 0


def test_the_bound() -> None:
    """The session heard of longest ago is given up, and that is counted."""
    diverged = Diverged(2, 100 * S)
    diverged.lose("s", 1, 0)
    diverged.lose("t", 2, 1)
    assert diverged.has("s", 3, 2)
    diverged.lose("u", 4, 3)
    assert not diverged.has("t", 5, 4)
    assert diverged.has("s", 5, 4)
    assert (len(diverged), diverged.forgotten) == (2, 1)


def test_going_on_under_another_name() -> None:
    """A login that was refused: the session it begins lacks it too."""
    diverged = Diverged(10, 100 * S)
    diverged.lose("s", 1, 0)
    diverged.go_on("s", "t", 1)
    diverged.go_on("none", "u", 1)
    assert diverged.has("t", 2, 2)
    assert not diverged.has("u", 2, 2)
