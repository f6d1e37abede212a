"""``replay`` as a process: flags, exit codes, and as whom it parses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testbed.wait import eventually
from tests.unit.isolated import needs_root
from tests.unit.offline.captures import conversation, pcap
from tests.unit.replay.bed import OK

COMMAND = (sys.executable, "-m", "shadow_agent.cli.main", "replay")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A capture of five exchanges, all ``ok``."""
    path = tmp_path / "five.pcap"
    path.write_bytes(pcap(conversation(5)))
    return path


@pytest.fixture
def shadow() -> Iterator[str]:
    """The URL of one that answers ``ok``, to one connection after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    answer(peer)

        def answer(peer: socket.socket) -> None:
            try:
                while data := peer.recv(65536):
                    peer.sendall(OK * data.count(b"\r\n\r\n"))
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """To its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_a_capture_against_its_equal(capture: Path, shadow: str) -> None:
    """One JSON object on stdout, exit code 0."""
    done = run(capture, "--shadow", shadow, "--speed", "max", "--json", "--require-shadow")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["imbalances"] == []
    assert summary["target"] == "five.pcap"
    assert summary["ledger"]["pairs"]["compared"] == 5
    assert (summary["different"], summary["coverage"]) == (0, 1.0)


def test_for_people(capture: Path, shadow: str) -> None:
    """The summary of attach."""
    done = run(capture, "--shadow", shadow, "--target", "web", "--port", "80")
    assert done.returncode == 0, done.stderr
    assert "No difference in 5 compared exchanges." in done.stdout
    assert "web" in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--require-shadow"], 4, "Connection refused; start it, or leave out --require-shadow"),
        (["--shadow-iface", "absent0"], 3, "--shadow-iface absent0: no such interface here"),
        (["--speed", "-1"], 2, "--speed: '-1' is no speed"),
        (["--methods", "G T"], 2, "--methods: 'G T' is no HTTP method"),
    ],
)
def test_what_cannot_be(capture: Path, more: list[str], code: int, words: str) -> None:
    """One line and the exit code."""
    done = run(capture, "--shadow", "http://127.0.0.1:1", *more)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert words in done.stderr


def test_what_is_no_capture(tmp_path: Path, shadow: str) -> None:
    """Exit code 2 with the file's name; a pipe too, since it would distort latencies."""
    text = tmp_path / "f.txt"
    text.write_text("no capture, but long enough for one")
    for path in (text, tmp_path, tmp_path / "absent", "/dev/zero"):
        done = run(path, "--shadow", shadow)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        assert done.stderr.startswith(f"shadow-agent: {path}: ")


def test_a_file_says_the_rest(capture: Path, shadow: str, tmp_path: Path) -> None:
    """Every option may come from --config; interfaces in it are none of its business."""
    path = tmp_path / "c.toml"
    path.write_text(
        f'shadow = "{shadow}"\nspeed = "max"\niface = "eth0"\nrequests = 2\njson = true'
    )
    done = run(capture, "--config", path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["ledger"]["pairs"]["compared"] == 2
    assert summary["ledger"]["replay"]["refused"] == {"request_limit": 3}


def test_no_room(capture: Path, shadow: str) -> None:
    """One line at the end, exit code 2."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, capture, "--shadow", shadow, "--speed", "max", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert b"standard output: No space left on device" in done.stderr


@needs_root
def test_root_replays_as_somebody_else(capture: Path, shadow: str) -> None:
    """And Ctrl-C ends it with a balanced summary."""
    capture.chmod(0o600)
    command = [*COMMAND, str(capture), "--shadow", shadow, "--speed", "1e-6", "--json"]
    with subprocess.Popen(
        [*command, "--user", "nobody"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as one:
        status = Path(f"/proc/{one.pid}/status")
        eventually(lambda: "CapEff:\t0000000000000000\n" in status.read_text(), 30, "dropped")
        # the loop is there when it has something to show
        assert one.stderr is not None
        one.stderr.readline()
        one.send_signal(signal.SIGINT)
        output, errors = one.communicate(timeout=60)
    assert one.returncode == 0, errors
    summary = json.loads(output)
    assert summary["imbalances"] == []
    assert b"SIGINT: waiting for what is under way" in errors
