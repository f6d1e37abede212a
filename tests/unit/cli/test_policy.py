"""``policy test`` as a process: what it prints, how it ends, and that it sends nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.offline.captures import conversation, pcap

COMMAND = (sys.executable, "-m", "shadow_agent.cli.main", "policy", "test")
# Any socket at all ends the process.
SEALED = (
    "import sys\n"
    "def hook(event, args):\n"
    "    if event.startswith('socket.') and event != 'socket.__new__':\n"
    "        sys.exit(f'{event} {args}')\n"
    "from shadow_agent.cli.main import main\n"
    "sys.addaudithook(hook)\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Three GETs of /0, /1 and /2."""
    path = tmp_path / "three.pcap"
    path.write_bytes(pcap(conversation(3)))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """Nothing but rules."""
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nname = "one"\naction = "drop"\npath = "/1"\n')
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    """To its end."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, check=False)


def test_a_capture(capture: Path, rules: Path) -> None:
    """By rule, as JSON or for people; no shadow is needed."""
    done = run("--from", capture, "--config", rules, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    report = json.loads(done.stdout)
    assert report["requests"] == 3
    assert [(row["name"], row["matched"]) for row in report["rules"]] == [("one", 1)]
    assert report["default"]["replayed"] == 2
    shown = run("--from", capture, "--config", rules, "--examples", "1").stdout.decode()
    assert "one [drop]: 1 matched\n  dropped: 1\n    GET /1 a" in shown
    assert "(no rule: GET, HEAD, OPTIONS) [replay]: 2 matched\n  replayed: 2\n" in shown


def test_nothing_is_sent(capture: Path, rules: Path) -> None:
    """Not a socket is touched."""
    arguments = ("policy", "test", "--from", str(capture), "--config", str(rules))
    done = subprocess.run(
        [sys.executable, "-c", SEALED, *arguments], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"nothing was sent" in done.stdout


@pytest.mark.parametrize(
    ("rule", "file", "said"),
    [
        ("path = 'a'", None, b":3: rule 1.path: 'a' can never match"),
        ("", "/nowhere.pcap", b"/nowhere.pcap: No such file"),
        ("", __file__, b""),
    ],
)
def test_bad_input(tmp_path: Path, capture: Path, rule: str, file: str | None, said: bytes) -> None:
    """One line, exit code 2."""
    config = tmp_path / "c.toml"
    config.write_text(f'[[rule]]\naction = "drop"\n{rule}\n')
    done = run("--from", file or capture, "--config", config)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert said in done.stderr
