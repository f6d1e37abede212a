"""``status``."""

import json

import pytest

from shadow_agent.cli.main import main
from shadow_agent.cli.status import cell, state
from shadow_agent.daemon.client import SilentError
from tests.unit.cli.conftest import Agents

WEB = {
    "attached": {"eth0": "tcx", "eth2": "tcx"},
    "duration_s": 12.6,
    "coverage": 0.99991,
    "ledger": {"requests": {"started": 7}, "pairs": {"compared": 6}},
    "surprise": [1],
}


def test_nothing_attached_is_exit_code_3(
    agents: Agents, capsys: pytest.CaptureFixture[str]
) -> None:
    """Said on stderr; with a name too."""
    assert main(["status"]) == 3
    assert main(["status", "--target", "web"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("attached") == 2


def test_one_target_is_its_object(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the agent gave, the ledger included, whether named or alone."""
    agents.answers = {"web": WEB}
    for arguments in (["status", "--json"], ["status", "--json", "--target", "web"]):
        assert main(arguments) == 0
        assert json.loads(capsys.readouterr().out) == {"target": "web", **WEB}


def test_several_targets_are_a_list(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Sorted by name, unless one is named."""
    agents.answers = {"web": WEB, "api": {}}
    assert main(["status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["target"] for one in found["targets"]] == ["api", "web"]
    assert main(["status", "--json", "--target", "api"]) == 0
    assert json.loads(capsys.readouterr().out) == {"target": "api"}


def test_a_table_for_people(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """A line per target, what is unknown as a dash, nothing of a name interpreted."""
    agents.answers = {"web": {**WEB, "shadow": "http://[::1]:80 [red]"}}
    assert main(["status"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["target", "attached", "shadow"]
    assert line.split() == [
        *("web", "eth0:tcx,eth2:tcx", "http://[::1]:80", "[red]", "mirroring", "13", "-"),
        *("7", "6", "-", "0.9999", "-", "-", "-"),
    ]


def test_a_silent_agent_does_not_hide_the_others(
    agents: Agents, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are shown; the exit code says that something is wrong."""
    agents.answers = {"web": WEB, "api": SilentError("target api: no answer")}
    assert main(["status", "--json"]) == 1
    captured = capsys.readouterr()
    assert [one["target"] for one in json.loads(captured.out)["targets"]] == ["web"]
    assert captured.err == "shadow-agent: target api: no answer\n"


def test_the_state_says_who_stopped_it() -> None:
    """An operator, or an alert, which an operator cannot simply resume."""
    assert state({}) == "mirroring"
    assert state({"paused": True, "tripped": False}) == "paused"
    assert state({"paused": True, "tripped": True}) == "stopped by an alert"


def test_a_cell_takes_any_answer() -> None:
    """A path that ends early is a dash, as is null."""
    assert cell({"a": {"b": 1}}, "a.b") == "1"
    assert cell({"a": 3}, "a.b") == "-"
    assert cell({"a": None}, "a") == "-"
    assert cell({"sample": 0.05}, "sample") == "0.05"
    assert cell({"state": "\x1b[2J"}, "state") == "\\x1b[2J"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "mirroring"),
        ({"governor": {"factor": 1.0, "cause": "none"}}, "mirroring"),
        (
            {"governor": {"factor": 0.5, "cause": "host_cpu"}},
            "mirroring at 50% of the sample (governor: host_cpu)",
        ),
        (
            {"governor": {"factor": 0.0, "cause": "ring_full"}},
            "mirroring nothing (governor: ring_full)",
        ),
        ({"governor": {"factor": 0.0}, "paused": True}, "paused"),
    ],
)
def test_what_the_governor_does(answer: dict[str, object], said: str) -> None:
    """How much of the sample, and why it is not all."""
    assert state(answer) == said


def test_what_the_agent_costs(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Processor seconds, memory, and the tap's time for a packet."""
    cost = {"cpu_s": 12.4, "max_rss_bytes": 64 << 20, "bpf": {"ns_per_packet": 412.3}}
    agents.answers = {"web": {**WEB, "agent": cost}}
    assert main(["status"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.endswith("tap ns/packet")
    assert line.split()[-3:] == ["12", "64", "412"]
