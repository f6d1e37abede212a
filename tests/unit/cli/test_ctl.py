"""``ctl``."""

import pytest

from shadow_agent.cli.main import main
from shadow_agent.daemon.client import RefusedError
from tests.unit.cli.conftest import Agents


@pytest.mark.parametrize(
    ("arguments", "command", "sent", "said"),
    [
        (["sample", "0.05"], "sample", {"fraction": 0.05}, "sample 0.05"),
        (["pause"], "pause", {}, "paused"),
        (["resume"], "resume", {}, "resumed"),
        (["epoch"], "epoch", {}, "epoch 2"),
        (
            ["epoch", "--build", "a", "--shadow-build", "b"],
            "epoch",
            {"build": "a", "shadow_build": "b"},
            "epoch 2",
        ),
    ],
)
def test_a_command_reaches_the_only_target(
    agents: Agents,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    command: str,
    sent: dict[str, object],
    said: str,
) -> None:
    """With its arguments; what was done is said."""
    agents.answers = {"web": {"paused": False, "epoch": 2}}
    assert main(["ctl", *arguments]) == 0
    assert agents.asked == [("web", command, sent)]
    assert capsys.readouterr().out == f"web: {said}\n"


def test_one_of_several_must_be_named(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 with their names; none at all is 3."""
    assert main(["ctl", "pause"]) == 3
    agents.answers = {"a": {}, "b": {}}
    assert main(["ctl", "pause"]) == 2
    assert "a, b; name one" in capsys.readouterr().err
    assert main(["ctl", "pause", "--target", "b"]) == 0
    assert main(["ctl", "pause", "--target", "c"]) == 3
    assert agents.asked[0] == ("b", "pause", {})


def test_resuming_what_an_alert_stopped(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Not resumed, and not said to be: exit code 3 with the way out."""
    agents.answers = {"web": {"paused": True}}
    assert main(["ctl", "resume"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "target web: stays paused, an alert stopped it; " in captured.err


def test_a_refusal(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """In the agent's words."""
    agents.answers = {"web": RefusedError("target web: already paused")}
    assert main(["ctl", "pause"]) == 2
    assert capsys.readouterr().err == "shadow-agent: target web: already paused\n"


@pytest.mark.parametrize(
    "arguments", [["sample", "1.5"], ["sample", "x"], ["epoch", "--build", ""]]
)
def test_bad_values_are_not_sent(agents: Agents, arguments: list[str]) -> None:
    """Refused here, exit code 2."""
    agents.answers = {"web": {}}
    assert main(["ctl", *arguments]) == 2
    assert agents.asked == []
