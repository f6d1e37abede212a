"""A feature gate over a running agent, on real traffic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.net.agent import PATIENCE_S, PORT, Agent, Home, at, attach, options, refused
from tests.testbed import Testbed, eventually, tools

pytestmark = pytest.mark.net


class Flags:
    """A file of flags, and the configuration that names it."""

    def __init__(self, home: Home) -> None:
        home.path.mkdir()
        self.path = home.path / "flags.json"
        self.config = home.path / "gate.toml"
        self.config.write_text(
            f'[gate]\nprovider = "file:{self.path}"\npoll-s = 0.05\nkeep-s = 0.5\n'
        )

    def write(self, *, enabled: bool) -> None:
        """Replace it at one go."""
        flag = {"variants": {"v": enabled}, "defaultVariant": "v"}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"flags": {"shadow.enabled": flag}}))
        new.chmod(0o644)
        new.rename(self.path)


def until_paused(agent: Agent, paused: bool) -> None:
    """Wait for the gate's word to be obeyed."""
    eventually(lambda: agent.ask("status")["paused"] is paused, PATIENCE_S, f"paused {paused}")


def use(bed: Testbed, requests: int) -> None:
    """Some requests, each answered by production."""
    for _ in range(requests):
        assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200


def test_a_gate_opens_and_closes(served: Testbed) -> None:
    """Off means: nothing is copied, and what was not is counted; silence means off in the end."""
    home = Home(served)
    flags = Flags(home)
    flags.write(enabled=False)
    agent = attach(served, "--config", str(flags.config), home=home)
    use(served, 2)
    flags.write(enabled=True)
    until_paused(agent, paused=False)
    use(served, 3)
    agent.wait_compared(3)
    resumed = agent.ask("resume")  # the operator cannot override the gate
    flags.path.unlink()
    until_paused(agent, paused=True)
    assert agent.ask("resume")["stopped"].keys() == {"gate"}
    use(served, 2)
    summary = agent.stop()
    assert resumed["stopped"] == {}
    assert at(summary["ledger"], "pairs.compared") == 3
    assert at(summary["ledger"], "packets.paused") > 0
    said = agent.process.errors()
    assert "gate: silent for 0.5 s; paused until it can be asked" in said


def test_flagd_opens_and_closes(served: Testbed) -> None:
    """As a file does, in an agent as it runs: workers live, and metrics, after what gRPC maps."""
    home = Home(served)
    home.path.mkdir()
    flags = home.path / "served.json"
    flags.write_text('{"shadow.enabled": true}')
    server = served.prod.python("tests.testbed.flagd", str(flags), "8013")
    server.wait_output("8013", PATIENCE_S)
    config = home.path / "gate.toml"
    config.write_text('[gate]\nprovider = "flagd:127.0.0.1:8013"\npoll-s = 0.05\nkeep-s = 0.5\n')
    agent = attach(served, "--config", str(config), home=home)
    until_paused(agent, paused=False)
    use(served, 3)
    agent.wait_compared(3)
    server.stop()
    until_paused(agent, paused=True)
    summary = agent.stop()
    assert at(summary["ledger"], "pairs.compared") == 3
    assert summary["alerts"] == []
    assert "died" not in agent.process.errors()


def test_a_gate_that_cannot_work_is_refused(bed: Testbed, tmp_path: Path) -> None:
    """Before anything is attached, with the reason and the fix."""
    config = tmp_path / "gate.toml"
    config.write_text(f'[gate]\nprovider = "file:{tmp_path}/absent.json"\n')
    code, line = refused(bed, *options(bed), "--config", str(config))
    assert code == 2
    assert "absent.json: No such file" in line
    assert "defaultVariant" in line
