"""The agent's care for its host, put together."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import cast

import pytest

from shadow_agent.config import GovernorConfig
from shadow_agent.daemon.books import Books
from shadow_agent.daemon.cage import Cage
from shadow_agent.daemon.cgroup import Group, UnavailableError
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.fleet import Fleet
from shadow_agent.daemon.own import Own
from shadow_agent.kernel.layout import Counter, Role
from shadow_agent.kernel.tap import Tap
from shadow_agent.policy.governor import Cause, Change
from shadow_agent.telemetry.cost import Rollups
from shadow_agent.telemetry.run import BpfCost
from tests.unit.daemon.conftest import MakeConfig


class _Switches:
    def set_sample(self, fraction: float) -> None:
        """Nobody looks."""

    def set_paused(self, paused: bool) -> None:
        """Nobody looks."""


@pytest.fixture
def said() -> list[str]:
    """To the operator."""
    return []


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """On a host without control groups."""

    def refuse(*_: object) -> None:
        raise UnavailableError("not here")

    monkeypatch.setattr(Group, "create", refuse)
    with ExitStack() as made:
        yield made


def watching(own: Own, workers: Sequence[int] = (), others: Sequence[int] = ()) -> None:
    """A tap on paper."""
    kernel = {role: dict.fromkeys(Counter, 0) for role in Role}
    tap = SimpleNamespace(counters=SimpleNamespace(read=lambda: kernel))
    fleet = cast(Fleet, SimpleNamespace(pids=list(workers), memory=Rollups()))
    own.watch(
        cast(Tap, tap),
        Dial(_Switches(), 1.0),
        Books(1),
        fleet,
        [SimpleNamespace(pid=pid) for pid in others],
    )


def test_a_budget_that_cannot_be_kept_is_said(
    make_config: MakeConfig, stack: ExitStack, said: list[str]
) -> None:
    """To who asked for one; by default nobody is bothered, the summary says it."""
    Own(make_config(), stack, said.append)
    assert said == []
    Own(make_config(governor=GovernorConfig(cpu=0.5)), stack, said.append)
    assert "no control group: not here" in said[0]


def test_facts_and_cost(make_config: MakeConfig, stack: ExitStack, said: list[str]) -> None:
    """What a summary wants to know, before the first tick and after some."""
    own = Own(make_config(), stack, said.append)
    watching(own)
    for now in range(4):
        own.tick(now)
    facts = own.facts()
    assert facts["governor"]["factor"] == 1.0
    assert facts["load"]["production"] is None
    cost = own.cost()
    assert [process.pid for process in cost.processes] == [os.getpid()]
    assert cost.cpu_s >= 0
    assert cost.bpf == BpfCost(0, 0)


def test_whoever_is_forked_is_held(
    make_config: MakeConfig, stack: ExitStack, said: list[str]
) -> None:
    """Once, at the tick after; who is not there yet is nobody."""
    own = Own(make_config(), stack, said.append)
    admitted: list[int] = []
    first, second = 1 << 30, (1 << 30) + 1  # no process has such a number
    watching(own, [first], [0, second])
    own.cage = cast(Cage, SimpleNamespace(admit=admitted.append))
    for now in range(2):
        own.tick(now)
        assert admitted == [first, second]


def test_falls_are_said_and_the_end_of_a_rise(
    make_config: MakeConfig, stack: ExitStack, said: list[str]
) -> None:
    """Not the twenty steps between."""
    own = Own(make_config(), stack, said.append)
    watching(own)
    (tell,) = own.governor.on_change
    tell(Change(1.0, 0.5, Cause.HOST_CPU, 1.0, 0.95))
    tell(Change(0.5, 0.55, Cause.RECOVERING, None, None))
    tell(Change(0.95, 1.0, Cause.RECOVERING, None, None))
    assert [line.partition(" at ")[0] for line in said] == [
        "governor: host_cpu",
        "governor: all is well again: 100% of the configured sample is mirrored",
    ]
