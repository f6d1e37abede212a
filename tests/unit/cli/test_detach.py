"""``detach``."""

import pytest

from shadow_agent.cli.main import main
from shadow_agent.daemon.client import SilentError
from shadow_agent.kernel import attach
from tests.unit.cli.conftest import Agents


@pytest.fixture(autouse=True)
def stale(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Filters left behind, by target; those removed are gone from the list."""
    left: list[str] = []

    def remove(target: str | None) -> list[str]:
        removed = [one for one in left if target in (None, one)]
        left[:] = [one for one in left if one not in removed]
        return [f"{one}: ingress filter on interface 2" for one in removed]

    monkeypatch.setattr(attach, "remove_stale", remove)
    return left


def test_nothing_attached_is_fine(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and said so."""
    assert main(["detach"]) == 0
    assert main(["detach", "--target", "web"]) == 0
    assert capsys.readouterr().out == "nothing is attached\nnothing is attached as web\n"


def test_all_of_them_end(agents: Agents, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named."""
    agents.answers = {"a": {}, "b": {}}
    assert main(["detach"]) == 0
    assert capsys.readouterr().out == "a: detached\nb: detached\n"
    assert agents.asked == [("a", "detach", {}), ("b", "detach", {})]


def test_only_the_one_that_is_named(agents: Agents, stale: list[str]) -> None:
    """Nothing of another target is touched."""
    agents.answers = {"a": {}, "b": {}}
    stale += ["a", "b"]
    assert main(["detach", "--target", "a"]) == 0
    assert agents.asked == [("a", "detach", {})]
    assert stale == ["b"]


def test_leftovers_are_removed_and_named(
    agents: Agents, stale: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an agent that was killed on clsact."""
    stale.append("web")
    assert main(["detach"]) == 0
    assert (
        capsys.readouterr().out == "removed what was left of web: ingress filter on interface 2\n"
    )


def test_one_that_does_not_end(
    agents: Agents, stale: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The others end; nobody pulls a filter from under a living agent."""
    agents.answers = {"a": SilentError("target a: no answer"), "b": {}, "c": {}}
    agents.staying = {"c"}
    stale.append("a")
    assert main(["detach"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "b: detached\n"
    assert captured.err.splitlines() == [
        "shadow-agent: target a: no answer",
        "shadow-agent: target c: drained, and still there; end its process",
    ]
    assert stale == ["a"]


def test_not_root(
    agents: Agents, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 with the fix."""

    def refuse(target: str | None) -> list[str]:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(attach, "remove_stale", refuse)
    assert main(["detach"]) == 3
    assert "run as root" in capsys.readouterr().err
