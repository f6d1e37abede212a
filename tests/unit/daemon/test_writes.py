"""Writes go out while a guard vouches for the shadow, or by the operator's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shadow_agent.config import Config
from shadow_agent.daemon.writes import Writes, opened_by, warnings_of
from shadow_agent.policy.rule import Action, Rule

MakeConfig = Callable[..., Config]
POSTS = Rule(name="posts", action=Action.TAG, tag="X: 1", methods=frozenset({"POST", "GET"}))


@pytest.mark.parametrize(
    ("changed", "opens"),
    [
        ({}, None),
        ({"methods": None}, "--methods"),
        ({"methods": frozenset({"GET", "PUT"})}, "--methods"),
        ({"rules": (Rule(name="d", action=Action.DROP),)}, None),
        ({"rules": (Rule(name="r", action=Action.REPLAY),)}, None),
        ({"rules": (POSTS,)}, "rule 'posts' (POST)"),
    ],
)
def test_what_opens_writes(
    make_config: MakeConfig, changed: dict[str, Any], opens: str | None
) -> None:
    """The rule or flag is named, with the fix; nothing is said where nothing opens them."""
    config = make_config(**changed)
    assert opened_by(config) == opens
    said = warnings_of(config)
    assert [line.startswith(f"{opens} opens writes, and no guard") for line in said] == (
        [] if opens is None else [True]
    )
    assert all("--guard HOST:PORT" in line and "--unguarded" in line for line in said)
    loud = warnings_of(make_config(unguarded=True, **changed))
    assert [line.startswith(f"UNGUARDED: {opens} opens") for line in loud] == [True] * len(said)
    assert warnings_of(make_config(dry_run=True, **changed)) == []


def test_open_while_the_guard_vouches(make_config: MakeConfig) -> None:
    """Closed at first, open with its word, closed without; the workers hear of changes only."""
    told: list[bool] = []
    said: list[str] = []
    fresh = iter([False, True, True, False, False, True])
    watch = Writes(make_config(), lambda _: next(fresh), told.append, said.append)
    states = [watch.open]
    for now in range(6):
        watch.tick(now)
        states.append(watch.open)
    assert told == [True, False, True]
    assert states == [False, False, True, True, False, False, True]
    assert ["refused" in line for line in said] == [False, True, False]


def test_the_operator_s_word_or_none(make_config: MakeConfig) -> None:
    """With --unguarded they are open whatever a guard says; without a guard they stay closed."""
    told: list[bool] = []
    said: list[str] = []
    for unguarded, vouched in ((True, lambda _: False), (True, None), (False, None)):
        config = make_config(unguarded=unguarded)
        watch = Writes(config, vouched, told.append, said.append)
        watch.tick(1.0)
        assert watch.open is unguarded
    assert (told, said) == ([], [])


def test_a_guard_that_vouches_needs_no_warning(make_config: MakeConfig) -> None:
    """Unless it was waived all the same."""
    config = make_config(methods=None)
    assert warnings_of(config, guarded=True) == []
    assert len(warnings_of(make_config(methods=None, unguarded=True), guarded=True)) == 1
