"""The command line of ``guard``, without a guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from shadow_agent.cli.main import main
from shadow_agent.guard.plan import Plan


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """What would be run."""
    found: list[Plan] = []

    def run(plan: Plan) -> int:
        found.append(plan)
        return 7

    monkeypatch.setattr("shadow_agent.guard.run.run", run)
    return found


def test_flags_arrive_and_the_commands_code_is_ours(plans: list[Plan]) -> None:
    """What is after ``--`` is the command's, options and all."""
    code = main(
        ["guard", "--cgroup", "shadow", "--allow", "10.0.0.0/8", "--allow", "10.0.0.5:80",
         "--resolver", "10.0.0.53", "--user", "games", "--", "server", "--allow", "x"]
    )  # fmt: skip
    assert code == 7
    options = plans[0].options
    assert (options.cgroup, options.user) == (Path("shadow"), "games")
    assert options.allow == ("10.0.0.0/8", "10.0.0.5:80")
    assert options.command == ("server", "--allow", "x")


def test_it_is_nobody_unless_it_is_said(plans: list[Plan]) -> None:
    """And its record lies where the agent's does."""
    main(["guard", "--cgroup", "shadow", "--", "server"])
    assert plans[0].options.user == "nobody"
    assert plans[0].options.data_dir == Path("/var/lib/shadow-agent")


def test_an_allow_list_that_does_not_resolve(
    plans: list[Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 with the entry and the fix; nothing ran."""
    code = main(["guard", "--cgroup", "s", "--allow", "pay.invalid:443", "--", "true"])
    said = capsys.readouterr().err
    assert code == 2
    assert "--allow pay.invalid:443: pay.invalid does not resolve" in said
    assert "give its address or network" in said
    assert plans == []


def test_a_cgroup_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line."""
    assert main(["guard", "--", "true"]) == 2
    assert "--cgroup" in capsys.readouterr().err
