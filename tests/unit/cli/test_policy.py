"""``policy test`` as a process: what it prints, how it ends, and that it sends nothing."""

from __future__ import annotations

import json
import os
import struct
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


PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
UNKNOWN = struct.pack("<IIII", 0x7777, 16, 0, 16)


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", 2, b"the file is empty"),
        (b"not a capture at all, but some text", 2, b"neither pcap nor pcapng"),
        (PCAP[:10], 2, b"ends within its first header"),
        (SECTION.replace(b"\x4d\x3c\x2b\x1a", b"DEAD"), 2, b"neither pcap nor pcapng"),
        # as far as it can be read
        (PCAP + b"\1" * 7, 0, b"damaged, read up to there"),
        (PCAP + struct.pack("<4I", 1, 1, 1 << 31, 1 << 31), 0, b"a packet claims 2147483648 bytes"),
        (SECTION + struct.pack("<III", 6, 0xFFFFFFF0, 0), 0, b"a block claims 4294967280 bytes"),
        (SECTION + struct.pack("<II", 6, 0) + UNKNOWN, 0, b"a block claims 0 bytes"),
        (SECTION + UNKNOWN * 3, 0, None),
    ],
)
def test_hostile_captures(tmp_path: Path, data: bytes, code: int, said: bytes | None) -> None:
    """One line at most; what is none is exit code 2."""
    path = tmp_path / "hostile.pcap"
    path.write_bytes(data)
    done = run("--from", path, "--port", "80", "--json")
    assert done.returncode == code
    assert done.stderr.count(b"\n") == (said is not None)
    assert (said or b"") in done.stderr
    if code == 0:
        assert json.loads(done.stdout)["requests"] == 0


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder is refused; a pipe is read as it is written."""
    done = run("--from", tmp_path, "--port", "80")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"is a directory" in done.stderr
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*COMMAND, "--from", pipe, "--port", "80"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as reading:
        pipe.write_bytes(PCAP)
        output, errors = reading.communicate()
    assert (reading.returncode, errors) == (0, b"")
    assert output.startswith(b"0 requests")
