"""The hard budget: numbers, and what holds to them."""

from __future__ import annotations

import os

import pytest

from shadow_agent.config import GovernorConfig
from shadow_agent.daemon.cage import Allowance, Cage, allowance, data_size, make_cage
from shadow_agent.daemon.cgroup import Group, UnavailableError, Usage
from shadow_agent.daemon.process import OUT_OF_MEMORY
from shadow_agent.errors import UsageError

_MIB = 1 << 20
_GIVEN = Allowance(0.5, 300 * _MIB)


class _Group:
    """A group on paper."""

    def __init__(self) -> None:
        """Empty."""
        self.pids: list[int] = []
        self.closed = False
        self.kills = 0

    def add(self, pid: int) -> None:
        """As a real one's."""
        self.pids.append(pid)

    def usage(self) -> Usage:
        """As a real one's."""
        return Usage(7, self.kills, 0.25)

    def close(self) -> None:
        """As a real one's."""
        self.closed = True


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> _Group:
    """What the cage gets when it asks for one."""
    made = _Group()
    monkeypatch.setattr(Group, "create", lambda *_: made)
    return made


@pytest.fixture
def no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without."""

    def refuse(*_: object) -> None:
        raise UnavailableError("cgroup v2 is not mounted")

    monkeypatch.setattr(Group, "create", refuse)


def test_a_part_of_the_host() -> None:
    """By default half of its processors and a quarter of its memory; never less than it takes."""
    plain = GovernorConfig()
    assert allowance(plain, 1, 8, 16 << 30, 30 * _MIB) == Allowance(4.0, 4 << 30)
    assert allowance(plain, 1, 1, 400 * _MIB, 30 * _MIB) == Allowance(0.5, 108 * _MIB)


def test_as_configured() -> None:
    """Whatever the host has."""
    config = GovernorConfig(cpu=0.25, memory=512 * _MIB)
    assert allowance(config, 2, 8, 16 << 30, 30 * _MIB) == Allowance(0.25, 512 * _MIB)


def test_too_little_is_refused() -> None:
    """In one line with key and fix, before anything is attached."""
    with pytest.raises(UsageError, match=r"governor\.memory: 64M .* give 108M or more"):
        allowance(GovernorConfig(memory=64 * _MIB), 1, 2, 1 << 30, 30 * _MIB)


def test_in_a_group(group: _Group) -> None:
    """Children are put there, kills are read there, and it is left at the end."""
    cage = Cage("web", _GIVEN, 2, 30 * _MIB)
    cage.admit(17)
    assert (group.pids, cage.data_limit) == ([17], None)
    assert cage.explain(-9) is None
    group.kills = 1
    assert cage.explain(-9) == "killed by its memory budget"
    assert cage.explain(-9) is None
    assert cage.explain(1) is None
    assert cage.facts() == {
        "cpu": 0.5,
        "memory_bytes": 300 * _MIB,
        "by": "cgroup",
        "why_not_cgroup": None,
        "memory_deaths": 1,
        "throttled_s": 0.25,
    }
    cage.close()
    cage.close()
    assert group.closed


@pytest.mark.usefixtures("no_group")
def test_without_a_group() -> None:
    """Each worker gets its share of what the supervisor leaves, and says so when it is used up."""
    cage = Cage("web", _GIVEN, 2, 30 * _MIB)
    cage.admit(17)
    assert cage.data_limit == 135 * _MIB
    assert cage.explain(-9) is None
    assert cage.explain(OUT_OF_MEMORY) == "out of its memory budget"
    facts = cage.facts()
    assert (facts["by"], facts["why_not_cgroup"]) == ("rlimit", "cgroup v2 is not mounted")
    assert (facts["memory_deaths"], facts["throttled_s"]) == (1, None)
    cage.close()


@pytest.mark.usefixtures("no_group")
def test_on_this_host() -> None:
    """A worker's share is more than what it begins with."""
    cage = make_cage(GovernorConfig(), "web", os.cpu_count() or 1)
    assert cage.data_limit is not None
    assert cage.data_limit > data_size() > _MIB
