"""The command around a selftest that was not run."""

from __future__ import annotations

import errno
import io
import json
from collections import Counter

import pytest

from shadow_agent.cli.main import main
from shadow_agent.errors import HostError
from shadow_agent.selftest.report import Report
from shadow_agent.selftest.truth import Verdict

RUN = "shadow_agent.selftest.run.run"


def _report(seed: int, connections: int, wrong: list[str]) -> Report:
    whole = Verdict(1, 1, Counter(), wrong)
    return Report(
        *("0", "6.18", seed, "libbpf", "tcx", 1.0, connections, {"packets": 9}),
        whole=whole, withheld=Verdict(), withheld_share=0.02, packets={},
    )  # fmt: skip


def test_defaults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0 and text."""
    monkeypatch.setattr(RUN, lambda seed, connections: _report(seed, connections, []))
    assert main(["selftest"]) == 0
    assert "seed 1" in capsys.readouterr().out


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The flags arrive."""
    monkeypatch.setattr(RUN, lambda seed, connections: _report(seed, connections, []))
    assert main(["selftest", "--json", "--seed", "5", "--connections", "7"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["seed"], printed["connections"]) == (5, 7)


def test_wrong_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what."""
    monkeypatch.setattr(RUN, lambda seed, connections: _report(seed, connections, ["/a: bad"]))
    assert main(["selftest"]) == 1
    assert "/a: bad" in capsys.readouterr().out


def test_a_host_that_cannot_is_exit_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the fix."""

    def fail(seed: int, connections: int) -> Report:
        raise HostError("no TUN", "modprobe tun")

    monkeypatch.setattr(RUN, fail)
    assert main(["selftest"]) == 3
    assert capsys.readouterr().err == "shadow-agent: no TUN; modprobe tun\n"


def test_connections_has_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """Usage."""
    assert main(["selftest", "--connections", "0"]) == 2


def test_output_that_nobody_takes_is_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the fix."""
    monkeypatch.setattr(RUN, lambda seed, connections: _report(seed, connections, []))

    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdout", Full())
    assert main(["selftest"]) == 2
    assert "standard output: No space left on device; send it" in capsys.readouterr().err
