"""What stands in for the machine: its configuration, the supervisor, running agents."""

import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from shadow_agent.config import Config, file
from shadow_agent.daemon import client
from shadow_agent.errors import ExitCode, OperatorError


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's file is one in the test's folder, absent unless the test writes it."""
    path = tmp_path / "system.toml"
    monkeypatch.setattr(file, "SYSTEM_FILE", path)
    return path


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Stands in for the supervisor: what it was to run."""
    runs: list[Config] = []

    def run(config: Config, read: Callable[[], Config]) -> ExitCode:
        assert read() == config  # `ctl reload` reads what the start has read
        runs.append(config)
        return ExitCode.INCONCLUSIVE

    module = types.ModuleType("shadow_agent.daemon.supervisor")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return runs


class Agents:
    """Stands in for running agents: ``answers`` by target."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | OperatorError] = {}
        self.asked: list[tuple[str, str, dict[str, object]]] = []
        self.folders: set[Path] = set()
        self.staying: set[str] = set()

    def targets(self, folder: Path) -> list[str]:
        """As client.targets."""
        self.folders.add(folder)
        return sorted(self.answers)

    def ask_all(
        self,
        folder: Path,
        names: list[str],
        command: str,
        arguments: Mapping[str, object] = MappingProxyType({}),
        timeout_s: float = 1,
    ) -> dict[str, dict[str, Any] | OperatorError]:
        """As client.ask_all."""
        self.folders.add(folder)
        self.asked += [(name, command, dict(arguments)) for name in names]
        absent = client.NotAttachedError("not attached")
        return {name: self.answers.get(name, absent) for name in names}

    def wait_gone(self, folder: Path, name: str, timeout_s: float) -> bool:
        """As client.wait_gone."""
        return name not in self.staying


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Agents:
    """No agent runs; a test adds answers."""
    found = Agents()
    for name in ("targets", "ask_all", "wait_gone"):
        monkeypatch.setattr(client, name, getattr(found, name))
    return found
