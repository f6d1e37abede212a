"""``doctor``: how findings are shown, and the exit code."""

import json
from pathlib import Path

import pytest

from shadow_agent.cli.doctor import line
from shadow_agent.cli.main import main
from shadow_agent.config import ShadowUrl
from shadow_agent.daemon import doctor
from shadow_agent.daemon.doctor import Wanted
from shadow_agent.kernel.features import Finding

GOOD = Finding("kernel", True, "Linux 6.18")
WARNING = Finding("port 80", None, "nothing listens", "start it")
BAD = Finding("interface eth0", False, "down", "ip link set eth0 up")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Wanted], list[Finding]]:
    """What doctor was to check, and what it finds."""
    wanted: list[Wanted] = []
    found: list[Finding] = []

    def check(what: Wanted) -> list[Finding]:
        wanted.append(what)
        return found

    monkeypatch.setattr(doctor, "check", check)
    return wanted, found


def test_a_line_per_finding(
    asked: tuple[list[Wanted], list[Finding]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Aligned, with the fix where one is needed; a warning is no failure, a no is 3."""
    asked[1][:] = [GOOD, WARNING]
    assert main(["doctor"]) == 0
    asked[1].append(BAD)
    capsys.readouterr()
    assert main(["doctor"]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "ok    kernel          Linux 6.18",
        "warn  port 80         nothing listens (fix: start it)",
        "no    interface eth0  down (fix: ip link set eth0 up)",
    ]


def test_as_json(
    asked: tuple[list[Wanted], list[Finding]], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the same exit code."""
    asked[1][:] = [GOOD, BAD]
    assert main(["doctor", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "findings": [
            {"name": "kernel", "ok": True, "detail": "Linux 6.18", "fix": ""},
            {"name": BAD.name, "ok": False, "detail": "down", "fix": "ip link set eth0 up"},
        ]
    }


def test_flags_and_file_say_what_to_check(
    asked: tuple[list[Wanted], list[Finding]], no_system_file: Path, tmp_path: Path
) -> None:
    """The same as attach would use."""
    asked[1].append(GOOD)
    no_system_file.write_text('port = 80\nshadow-iface = "eth1"\n', encoding="utf-8")
    arguments = f"doctor --iface eth0 --shadow http://s:1 --data-dir {tmp_path} --user nobody"
    assert main([*arguments.split(), "--allow-same-interface"]) == 0
    assert asked[0] == [
        Wanted(
            interfaces=("eth0",),
            ports=(80,),
            shadow=ShadowUrl("s", 1),
            shadow_interface="eth1",
            allow_same_interface=True,
            data_dir=tmp_path,
            user="nobody",
        )
    ]


def test_a_detail_cannot_break_the_line() -> None:
    """Whatever the kernel or a name brings."""
    assert line(Finding("x", None, "a\nb\x1b", "c"), 3) == "warn  x    a b\\x1b (fix: c)"
