"""``read`` as a process: what it prints, how it ends, and as whom it parses."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shadow_agent.cli import main, read
from shadow_agent.config import file
from shadow_agent.errors import UsageError
from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root
from tests.unit.offline.captures import HEADER, conversation, pcap, snapped

COMMAND = (sys.executable, "-m", "shadow_agent.cli.main", "read")
CAPTURE = pcap(conversation(3))


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """To its end."""
    return subprocess.run([*COMMAND, *arguments], input=stdin, capture_output=True, check=False)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture of three exchanges."""
    path = tmp_path / "three.pcap"
    path.write_bytes(CAPTURE)
    return path


def targets(output: bytes) -> list[str]:
    """Of every line."""
    return [json.loads(line)["target"] for line in output.splitlines()]


def test_a_capture(capture: Path) -> None:
    """Its exchanges on stdout, one line about the whole on stderr."""
    done = run(capture)
    assert (done.returncode, targets(done.stdout)) == (0, ["/0", "/1", "/2"])
    assert done.stderr.decode() == f"shadow-agent: {capture}: 3 exchanges of 1 flow\n"


def test_it_starts_quickly(capture: Path) -> None:
    """Nothing heavy is imported that only a live capture or a replay needs."""
    code = (
        "import sys; from shadow_agent.cli.main import main; code = main(sys.argv[1:]);"
        "heavy = {'pyroute2', 'rich', 'uvloop', 'prometheus_client', 'asyncio', 'orjson'};"
        "found = heavy & set(sys.modules); sys.exit(f'imported {found}' if found else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, "read", capture, "--quiet"],
                          capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


def test_standard_input_and_gzip(capture: Path) -> None:
    """Both at once; and quiet."""
    done = run("-", "--quiet", stdin=gzip.compress(CAPTURE))
    assert (done.returncode, targets(done.stdout), done.stderr) == (0, ["/0", "/1", "/2"], b"")


def test_ports_choose(capture: Path) -> None:
    """Of several services those that are named."""
    assert targets(run(capture, "--port", "80").stdout) == ["/0", "/1", "/2"]
    done = run(capture, "--port", "81", "--port", "82")
    assert (done.returncode, done.stdout) == (0, b"")
    done = run(capture, "--port", "0")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"--port: 0 is out of range" in done.stderr


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_a_damaged_file(capture: Path, quiet: list[str]) -> None:
    """What came before the damage, one line, exit code 0."""
    capture.write_bytes(CAPTURE[:-3])
    done = run(capture, *quiet)
    assert (done.returncode, targets(done.stdout)) == (0, ["/0", "/1", "/2"])
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(f"shadow-agent: {capture}: damaged, read up to there: ".encode())


def test_a_snaplen_costs_the_body_only(tmp_path: Path) -> None:
    """Heads are read; a body that was cut off is null and says so; the next exchange is whole."""
    path = tmp_path / "cut.pcap"
    whole = conversation(1, port=1, body=b"x" * 1000) + conversation(1, port=2, body=b"y" * 20)
    path.write_bytes(snapped(pcap(whole), 200))
    done = run(path)
    assert done.returncode == 0
    cut, kept = (json.loads(line) for line in done.stdout.splitlines())
    assert (cut["status"], cut["response_body_len"], cut["response_body_sha256"]) == (
        200,
        None,
        None,
    )
    assert cut["notes"] == ["response body: gap"]
    assert (kept["status"], kept["response_body_len"], kept["notes"]) == (200, 20, [])


@pytest.mark.parametrize("content", [None, b"", b"no capture, but long enough for one", HEADER[:9]])
def test_no_capture_at_all(tmp_path: Path, content: bytes | None) -> None:
    """One line with the file's name, exit code 2."""
    path = tmp_path / "f\n.pcap"
    if content is not None:
        path.write_bytes(content)
    for name in (path, tmp_path):
        done = run(name)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert done.stderr.startswith(f"shadow-agent: {tmp_path}".encode())


def test_a_capture_without_packets(tmp_path: Path) -> None:
    """Is one all the same."""
    done = run("-", stdin=HEADER)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    """``head`` gets its line, and nobody complains."""
    path = tmp_path / "many.pcap"
    path.write_bytes(pcap(conversation(3000)))
    with subprocess.Popen([*COMMAND, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as one:
        assert one.stdout is not None
        assert one.stderr is not None
        one.stdout.readline()
        one.stdout.close()
        assert one.stderr.read() == b""
    assert one.returncode == 0


def test_no_room(capture: Path) -> None:
    """One line, exit code 2."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*COMMAND, capture], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"shadow-agent: standard output: No space left on device")
    assert done.stderr.count(b"\n") == 1


@needs_root
def test_root_parses_as_somebody_else(tmp_path: Path) -> None:
    """A file that only root may read, and a process that is not root by the time it is read."""
    secret = tmp_path / "secret.pcap"
    secret.write_bytes(CAPTURE)
    secret.chmod(0o600)
    tmp_path.chmod(0o700)
    assert targets(run(secret, "--user", "nobody").stdout) == ["/0", "/1", "/2"]
    with subprocess.Popen(
        [*COMMAND, "-", "--user", "nobody"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as waiting:  # fmt: skip
        status = Path(f"/proc/{waiting.pid}/status")
        uid = pwd.getpwnam("nobody").pw_uid
        eventually(lambda: f"Uid:\t{uid}\t{uid}" in status.read_text(), 20, "dropped")
        assert re.search(r"CapEff:\t0+\n", status.read_text())
        # what is said already comes out when there is no more to come
        assert waiting.stdin is not None
        waiting.stdin.write(CAPTURE)
        waiting.stdin.flush()
        assert waiting.stdout is not None
        waiting.send_signal(signal.SIGINT)
        found = waiting.stdout.read()
    assert waiting.returncode == 0
    assert targets(found) in ([], ["/0", "/1", "/2"])


@needs_root
def test_whose_name_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag's, else the file's; a broken system file is a warning, a broken --config is not."""
    system = tmp_path / "config.toml"
    monkeypatch.setattr(file, "SYSTEM_FILE", system)
    assert read._user(None, None) is None
    system.write_text('user = "daemon"\n')
    assert read._user(None, None) == "daemon"
    assert read._user("bin", None) == "bin"
    system.write_text("port = 0\n")
    assert read._user(None, None) is None
    assert "warning" in capsys.readouterr().err
    with pytest.raises(UsageError):
        read._user(None, system)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert read._user(None, system) is None


def test_its_user_must_exist(capture: Path) -> None:
    """One line, exit code 2, and nothing is read."""
    if os.geteuid() == 0:
        assert main.main(["read", str(capture), "--user", "nobody-there"]) == 2
