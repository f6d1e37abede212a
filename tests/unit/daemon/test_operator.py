"""An operator's commands."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from shadow_agent.daemon.account import Account
from shadow_agent.daemon.dial import Dial
from shadow_agent.daemon.operator import Operator
from shadow_agent.daemon.rundir import RunFolder
from shadow_agent.telemetry.run import Run


class Fake:
    """The four things an operator works on, and what was done to them."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.run = Run(
            version="1", target="web", shadow="http://s:80", run_id="r",
            builds={"production": "a", "shadow": "b"}, epoch=1, loader="libbpf",
        )  # fmt: skip
        self.trouble: str | None = None

    def set_sample(self, fraction: float) -> None:
        self.done.append(fraction)

    def set_paused(self, paused: bool) -> None:
        self.done.append(paused)

    def status(self) -> dict[str, Any]:
        return {"target": "web"}

    def state(self) -> SimpleNamespace:
        return SimpleNamespace(paused=True)

    def next_epoch(self, *builds: str | None) -> None:
        self.done.append(builds)

    def write_run(self, _run: Run) -> str | None:
        return "disk full"

    def reload(self) -> dict[str, Any]:
        return {"ok": True, "applied": ["sample"]}

    def note(self, text: str | None) -> None:
        self.trouble = text


@pytest.fixture
def fake() -> Fake:
    """Everything that is worked on."""
    return Fake()


@pytest.fixture
def operator(fake: Fake) -> Operator:
    """At work on it."""
    return Operator(
        cast(Account, fake), Dial(fake, 1.0), cast(RunFolder, fake), fake.note, fake.reload
    )


def test_commands(operator: Operator, fake: Fake) -> None:
    """Each does one thing, and answers with what is so now."""
    status = operator.obey({"command": "status"})
    assert status == {"ok": True, "target": "web", "stopped": {}}
    answer = {"ok": True, "sample": 0.0, "effective": 0.0}
    assert operator.obey({"command": "sample", "fraction": 0}) == answer
    assert operator.obey({"command": "pause"})["ok"]
    # resumed by the operator, and paused by an alert: the answer says how it is
    resumed = operator.obey({"command": "resume"})
    assert resumed == {"ok": True, "paused": True, "stopped": {}}
    assert operator.obey({"command": "epoch", "build": "c"})["epoch"] == 1
    assert operator.obey({"command": "reload"})["applied"] == ["sample"]
    assert fake.done == [0.0, True, False, ("c", None)]
    assert fake.trouble == "disk full"


@pytest.mark.parametrize(
    "command",
    [
        {"command": "sample"},
        {"command": "sample", "fraction": 1.1},
        {"command": "sample", "fraction": True},
        {"command": "sample", "fraction": "1"},
        {"command": "format"},
    ],
)
def test_nonsense(operator: Operator, fake: Fake, command: dict[str, object]) -> None:
    """Refused, and nothing is done."""
    assert not operator.obey(command)["ok"]
    assert fake.done == []
