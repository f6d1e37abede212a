"""What keeps the agent from doing harm, put together."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.daemon import protection as module
from shadow_agent.daemon.isolation import fork_here
from shadow_agent.daemon.plan import Plan
from shadow_agent.daemon.protection import Protection
from shadow_agent.daemon.seccomp import Sandbox
from tests.unit.daemon.conftest import MakeConfig
from tests.unit.replay.bed import at

PLAN = Plan((), at(9090), ip_address("127.0.0.1"), guard=True, warnings=())


def test_what_is_said(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mechanism by name; a filter that cannot be had is a warning, one not wanted is not."""
    monkeypatch.setattr(module, "keep_what_attach_needs", lambda _: ("CAP_A", "CAP_B"))
    monkeypatch.setattr(module, "open_sandbox", lambda wanted: Sandbox(f"off ({wanted})"))
    made = Protection(make_config(notrack="off"), PLAN)
    made.shed([Path("/")])
    assert made.warnings == ["system calls of workers are not filtered: seccomp off (auto)"]
    assert made.states == {
        "seccomp": "off (auto)",
        "notrack": "off (not asked for)",
        "namespace": "off (not asked for)",
        "capabilities": "CAP_A, CAP_B",
    }
    assert made.fork is fork_here
    assert Protection(make_config(notrack="off", seccomp="off"), PLAN).warnings == []
    dry = Protection(make_config(dry_run=True), PLAN)
    assert dry.states["notrack"] == "off (dry run)", "not a byte is sent"


def test_every_thread_sheds(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one inside too, which forks the workers."""
    calls: list[str] = []

    def shed(folders: object) -> tuple[str, ...]:
        del folders
        calls.append("shed")
        return ()

    class Inside:
        """As Isolation."""

        def call(self, function: Any, *args: Any) -> Any:
            calls.append("inside")
            return function(*args)

        def fork(self, child: Any) -> int:
            del child
            return 0

    monkeypatch.setattr(module, "keep_what_attach_needs", shed)
    inside: Any = Inside()
    plan = Plan((), PLAN.endpoint, PLAN.address, guard=True, warnings=(), isolation=inside)
    made = Protection(make_config(seccomp="off"), plan)
    made.shed([Path("/")])
    assert calls == ["inside", "shed", "shed"]
    assert made.fork == inside.fork


def test_connections_are_tracked_again_at_the_end(make_config: MakeConfig) -> None:
    """The table goes with the agent."""
    made = Protection(make_config(seccomp="off", notrack="off"), PLAN)
    closed: list[bool] = []
    made._notrack.close = lambda: closed.append(True)  # type: ignore[method-assign]
    made.close()
    assert closed == [True]
