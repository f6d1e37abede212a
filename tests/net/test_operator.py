"""What an operator does to a running agent, and what the agent's processes may do themselves."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from shadow_agent.daemon import client
from tests.net.agent import (
    COMMAND,
    PATIENCE_S,
    PORT,
    Agent,
    Home,
    at,
    attach,
    attached,
    balanced,
    clean,
    drained,
    hooks,
    options,
    status_field,
    ungoverned,
)
from tests.testbed import Testbed, eventually, tools, traffic

METRICS = "127.0.0.1:9464"


def use(bed: Testbed, requests: int = 3) -> None:
    """Some requests, each answered."""
    for _ in range(requests):
        assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200


def test_status(served: Testbed) -> None:
    """A line for people and, with --json, everything the summary will have."""
    agent = attach(served)
    use(served)
    agent.wait_compared(3)
    shown = agent.home.command("status")
    assert shown.returncode == 0
    heading, line = shown.stdout.splitlines()
    for word in ("target", "shadow", "sample", "compared", "coverage"):
        assert word in heading
    for word in ("eth0-8080", served.shadow.url(PORT), "mirroring", " 3 "):
        assert word in line
    whole = json.loads(agent.home.command("status", "--json").stdout)
    assert balanced(whole)
    assert at(whole["ledger"], "pairs.compared") == 3
    assert whole["pid"] == agent.pid
    assert len(whole["workers"]) == 1
    assert (whole["sample"], whole["paused"], whole["tripped"]) == (1.0, False, False)
    assert set(agent.stop()) <= set(whole)


def test_nothing_attached(bed: Testbed) -> None:
    """``status`` is 3 then, ``detach`` 0, ``ctl`` says so."""
    home = Home(bed)
    status = home.command("status")
    assert (status.returncode, status.stdout) == (3, "")
    assert "nothing is attached" in status.stderr
    assert len(status.stderr.splitlines()) == 1
    detach = home.command("detach")
    assert (detach.returncode, detach.stdout, detach.stderr) == (0, "nothing is attached\n", "")
    for words in (("pause",), ("resume",), ("sample", "0.5"), ("epoch",)):
        done = home.command("ctl", *words)
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1


def test_ctl_acts_in_the_kernel(served: Testbed) -> None:
    """Pause, resume and sample decide before the copy; each shows in a counter of its own."""
    agent = attach(served)

    def packets() -> dict[str, int]:
        return agent.ledger()["packets"]

    def ctl(*words: str) -> None:
        done = agent.home.command("ctl", *words)
        assert done.returncode == 0, done.stderr

    use(served)
    agent.wait_compared(3)
    ctl("pause")
    before = packets()
    use(served)
    assert packets()["copied"] == before["copied"]
    assert packets()["paused"] >= before["paused"] + 6
    assert agent.ask("status")["paused"] is True
    ctl("resume")
    use(served)
    agent.wait_compared(6)
    ctl("sample", "0")
    before = packets()
    use(served)
    assert packets()["copied"] == before["copied"]
    assert packets()["sampled_out"] >= before["sampled_out"] + 6
    assert agent.ask("status")["sample"] == 0
    ctl("sample", "1")
    use(served)
    agent.wait_compared(9)
    summary = agent.stop()
    assert drained(summary["ledger"])
    assert at(summary["ledger"], "pairs.compared") == 9


def test_pause_under_load_balances(served: Testbed) -> None:
    """Switched to and fro while requests are in flight, every packet keeps a name."""
    agent = attach(served)
    url = served.service.url(PORT, "/api/slow")
    running = traffic.start(served.client, url, rate=200, duration=60)
    agent.wait_compared(20)
    for _ in range(3):
        agent.ask("pause")
        paused = agent.ledger()["packets"]["paused"]
        eventually(
            lambda at_least=paused + 20: agent.ledger()["packets"]["paused"] >= at_least,  # type: ignore[misc]
            PATIENCE_S,
            "packets pass by",
        )
        compared = at(agent.ledger(), "pairs.compared")
        agent.ask("resume")
        agent.wait_compared(compared + 20)
    result = running.stop()
    summary = agent.stop()
    assert result.answered == result.sent
    assert drained(summary["ledger"])
    assert summary["ledger"]["packets"]["paused"] >= 60


def test_detach_from_another_process(served: Testbed) -> None:
    """It waits for the drain, says so, and the agent prints its summary and exits 0."""
    agent = attach(served)
    connection = served.client.socket()
    connection.settimeout(PATIENCE_S)
    with connection:
        connection.connect((served.service.v4, PORT))
        connection.sendall(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536)
        done = agent.home.command("detach")
    assert (done.returncode, done.stdout, done.stderr) == (0, "eth0-8080: detached\n", "")
    summary = agent.finish()
    assert at(summary["ledger"], "pairs.compared") == 1
    assert agent.home.files() == []
    assert clean(served.prod)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(served: Testbed, number: signal.Signals) -> None:
    """Detach, drain, summarise, 0; every child is gone."""
    agent = attach(served, "--workers", "2", "--metrics", METRICS)
    use(served)
    pids = agent.process.tree()
    assert len(pids) == 4
    summary = agent.stop(number)
    assert at(summary["ledger"], "pairs.compared") == 3
    assert number.name in agent.process.errors()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert clean(served.prod)
    assert agent.home.files() == []


def test_nohup_is_respected(served: Testbed) -> None:
    """Who ignores SIGHUP before us wants us to live on."""
    home = Home(served)
    given = ungoverned(home, *options(served))
    argv = ["nohup", COMMAND, "attach", *given, "--json", *home.options]
    agent = attached(home, served.prod.spawn(*argv, name="agent"))
    agent.process.send(signal.SIGHUP)
    use(served)
    agent.wait_compared(3)
    assert at(agent.stop()["ledger"], "pairs.compared") == 3


@pytest.mark.parametrize("reader", ["none", "asleep"])
def test_standard_error_that_nobody_reads(served: Testbed, reader: str) -> None:
    """``2>&1 | head -1``, or a pipe that is full: mirroring and its end are as ever."""
    home = Home(served)
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 4096)
    os.set_blocking(theirs, True)
    if reader == "none":
        os.close(ours)
    argv = served.prod.command(
        COMMAND, "attach", *options(served), "--json", *home.options, "--debug"
    )
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=theirs) as process:
        try:
            agent_is_there = home.runtime / "eth0-8080.sock"
            eventually(agent_is_there.exists, PATIENCE_S, "see its socket")
            eventually(
                lambda: client.ask(home.runtime, "eth0-8080", "status")["attached"],
                PATIENCE_S,
                "see it attached",
            )
            use(served)
            eventually(
                lambda: (
                    client.ask(home.runtime, "eth0-8080", "status")["ledger"]["pairs"]["compared"]
                    == 3
                ),
                PATIENCE_S,
                "see all compared",
            )
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            os.close(theirs)
            if reader != "none":
                os.close(ours)
    assert process.returncode == 0
    assert balanced(json.loads(out))
    assert clean(served.prod)


def test_standard_output_that_takes_nothing(served: Testbed) -> None:
    """One line that says where the summary is; exit code 2."""
    home = Home(served)
    command = shlex.join([COMMAND, "attach", *options(served), "--duration", "1", *home.options])
    for more in ("", " --json"):
        done = served.prod.run("sh", "-c", f"{command}{more} >/dev/full", check=False)
        assert done.returncode == 2
        last = done.stderr.splitlines()[-1]
        assert "No space left on device; the summary is in " in last
        folder = Path(last.rpartition(" ")[2])
        assert balanced(json.loads((folder / "summary.json").read_text()))


def talk(agent: Agent, data: bytes) -> bytes:
    """Bytes to the control socket, and all that comes back until it is closed."""
    with socket.socket(socket.AF_UNIX) as channel:
        channel.settimeout(PATIENCE_S)
        channel.connect(str(agent.home.runtime / f"{agent.target}.sock"))
        answer = b""
        try:
            channel.sendall(data)
            channel.shutdown(socket.SHUT_WR)
            while piece := channel.recv(65536):
                answer += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # it did not want to hear more
        return answer


HOSTILE = (
    b"",
    b"\n",
    b"\0" * 100 + b"\n",
    b"x" * 100_000,
    b"{" * 4000 + b"\n",
    b"[" * 4000 + b"\n",
    b'{"command": 7}\n',
    b'{"command": "sample"}\n',
    b'{"command": "sample", "fraction": 1e999}\n',
    b'{"command": "sample", "fraction": -1}\n',
    b'{"command": "sample", "fraction": true}\n',
    b'{"command": "sample", "fraction": "1"}\n',
    b'{"command": "no such"}\n',
    b'{"command": "epoch", "build": {"a": [1]}}\n',
    b'{"command": "\\u0000\\ud800"}\n',
    b'"status"\n',
)


def test_hostile_input_on_the_control_socket(served: Testbed) -> None:
    """Nothing that is no proper command changes anything, or costs the agent anything."""
    agent = attach(served)
    before = agent.ask("status")
    for data in HOSTILE:
        answer = talk(agent, data)
        if answer and b"epoch" not in data:
            assert json.loads(answer)["ok"] is False, data
    silent = []
    for _ in range(40):  # more than it serves at a time
        channel = socket.socket(socket.AF_UNIX)
        channel.setblocking(False)
        silent.append(channel)
        try:
            channel.connect(str(agent.home.runtime / f"{agent.target}.sock"))
        except BlockingIOError:
            break  # its queue is full: as far as one can go
    for channel in silent:
        channel.close()

    def answers() -> bool:
        try:
            return bool(agent.ask("status"))
        except client.SilentError:
            return False  # its queue is full of those that have just hung up

    eventually(answers, PATIENCE_S, "answer again")
    after = agent.ask("status")
    for key in ("sample", "paused", "tripped", "workers", "alerts"):
        assert after[key] == before[key]
    use(served)
    assert at(agent.stop()["ledger"], "pairs.compared") == 3


PROBE = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
channel = socket.socket(socket.AF_UNIX)
try:
    if sys.argv[2]:
        channel = socket.socket(fileno=int(sys.argv[2]))
    else:
        channel.connect(sys.argv[1])
    channel.sendall(b'{"command": "pause"}\\n')
    print(channel.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


def test_control_socket_is_for_root_only(served: Testbed) -> None:
    """By its mode; and when that is loosened by mistake, by the peer's credentials."""
    agent = attach(served)
    path = agent.home.runtime / f"{agent.target}.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.home.runtime.stat().st_mode) == 0o700

    def probe() -> str:
        argv = ["python3", "-c", PROBE, str(path), ""]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    assert probe() == "PermissionError"
    path.chmod(0o666)
    agent.home.runtime.chmod(0o755)
    assert probe() in {"b''", "ConnectionResetError", "BrokenPipeError"}
    assert agent.ask("status")["paused"] is False
    agent.stop()


def metrics(bed: Testbed) -> dict[str, float]:
    """A scrape by curl: sample with labels → value."""
    got = tools.curl(bed.prod, f"http://{METRICS}/metrics")
    assert got.status == 200
    lines = [one for one in got.body.decode().splitlines() if not one.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_are_the_ledger(served: Testbed) -> None:
    """Scraped when all is quiet, each counter is what the final ledger says."""
    agent = attach(served, "--metrics", METRICS)
    use(served, 5)
    assert tools.curl(served.client, served.service.url(PORT), "-X", "POST").status
    agent.wait_compared(5)

    def find(name: str, **labels: str) -> float | None:
        for key, value in metrics(served).items():
            if key.partition("{")[0] == name and all(
                f'{label}="{text}"' in key for label, text in labels.items()
            ):
                return value
        return None

    def current() -> bool:
        return find("shadow_agent_pairs_total", state="compared") == 5

    eventually(current, PATIENCE_S, "metrics caught up")
    scraped = metrics(served)
    summary = agent.stop()
    checked = 0
    for key, value in scraped.items():
        found = re.fullmatch(r"shadow_agent_(\w+?)_total\{(.*)\}", key)
        if found is None or found[1] not in summary["ledger"]:
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', found[2]))
        line = summary["ledger"][found[1]]
        expected = line[labels["state"]]
        if labels["reason"]:
            expected = expected.get(labels["reason"], 0)
        # packets may still trickle in between scrape and end, of others' only
        if (found[1], labels["state"]) not in {
            ("packets", "no_payload"),
            ("packets", "not_service"),
        }:
            assert value == expected, key
        checked += 1
    assert checked > 40
    assert scraped['shadow_agent_coverage_ratio{target="eth0-8080"}'] == 1.0
    assert any(key.startswith("shadow_agent_build_info{") for key in scraped)
    assert any("_seconds_bucket{" in key for key in scraped)


def test_workers_have_no_privileges(served: Testbed) -> None:
    """They run as nobody, without capabilities, and cannot get any back."""
    agent = attach(served, "--workers", "2", "--metrics", METRICS)
    children = [pid for pid in agent.process.tree() if pid != agent.pid]
    assert len(children) == 3
    for pid in children:
        assert status_field(pid, "CapEff").strip("0") == ""
        assert status_field(pid, "CapPrm").strip("0") == ""
        assert status_field(pid, "NoNewPrivs") == "1"
        assert set(status_field(pid, "Uid").split()) != {"0"}
        assert "0" not in status_field(pid, "Uid").split()
        assert status_field(pid, "Groups") == ""
        assert status_field(pid, "Seccomp") == "2", "a filter"
    assert agent.ask("status")["isolation"]["seccomp"] == "on"
    # production goes first where processors are short; scrapes cost nothing
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    below = min(ours + 10, 19)
    found = sorted(os.getpriority(os.PRIO_PROCESS, pid) for pid in children)
    assert found == [ours, below, below]
    agent.stop()


def test_workers_hold_their_ring_and_nothing_else(served: Testbed) -> None:
    """No link (it would outlive the supervisor), no program, no other map, no writable control."""
    agent = attach(served, "--workers", "2")
    use(served)
    agent.wait_compared(3)
    rings = []
    for pid in agent.ask("status")["workers"]:
        maps = []
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            text = entry.read_text()
            assert "link_type" not in text
            assert "prog_type" not in text
            if "map_type" in text:
                found = re.search(r"map_id:\s*(\d+)", text)
                assert found is not None
                assert re.search(r"map_type:\s*27\b", text), "not a ring"
                maps.append(found[1])
        assert len(maps) == 1
        rings += maps
        mapped = [
            line.split()
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines()
            if "anon_inode:bpf-map" in line
        ]
        writable = [line for line in mapped if "w" in line[1]]
        # the consumer position of its own ring: one page
        assert len(writable) == 1, mapped
        start, end = (int(number, 16) for number in writable[0][0].split("-"))
        assert end - start == os.sysconf("SC_PAGE_SIZE")
    assert len(set(rings)) == 2
    agent.stop()


def test_data_directory(served: Testbed) -> None:
    """What a run leaves there is for root's eyes only."""
    agent = attach(served)
    use(served)
    summary = agent.stop()
    runs = list((agent.home.data / "eth0-8080").iterdir())
    assert [run.name for run in runs] == [summary["run_id"]]
    assert stat.S_IMODE(runs[0].stat().st_mode) == 0o700
    files = {one.name: stat.S_IMODE(one.stat().st_mode) for one in runs[0].iterdir()}
    assert files == {"run.json": 0o600, "summary.json": 0o600}
    assert json.loads((runs[0] / "summary.json").read_text()) == summary


def test_progress_on_a_terminal(served: Testbed) -> None:
    """Live on a pty, drawn over itself; Ctrl-C ends it with the summary in words."""
    home = Home(served)
    ours, theirs = pty.openpty()
    argv = [str(COMMAND), "attach", *options(served), *home.options]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(
        served.prod.command(*argv),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = b""

        def see(sign: bytes) -> None:
            nonlocal shown

            def seen() -> bool:
                nonlocal shown
                while select.select([ours], [], [], 0)[0]:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # the other end is closed
                        break
                return sign in shown

            eventually(seen, PATIENCE_S, f"see {sign!r}")

        try:
            see(b"attached eth0-8080")
            use(served)
            see(b"compared")
            assert b"\x1b[" in shown
            process.send_signal(signal.SIGINT)
            see(b"coverage")
            assert process.wait(PATIENCE_S) == 0
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)
    assert clean(served.prod)


def test_progress_without_a_terminal(served: Testbed) -> None:
    """Plain lines on stderr; stdout has the summary in words and nothing else."""
    home = Home(served)
    given = ungoverned(home, *options(served))
    process = served.prod.spawn(COMMAND, "attach", *given, *home.options, name="agent")
    process.wait_output("attached eth0-8080", PATIENCE_S)
    use(served)
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    for text in (process.output(), process.errors()):
        assert "\x1b" not in text
    assert "coverage" in process.output().lower()
    assert "compared" in process.errors()


def test_doctor(served: Testbed) -> None:
    """A line for each question; 0 when all is well, 3 with a fix for each no."""
    home = Home(served)
    argv = (COMMAND, "doctor", *options(served), "--data-dir", str(served.directory))
    good = served.prod.run(*argv, timeout=PATIENCE_S, check=False)
    assert good.returncode == 0, good.stdout
    for name in (
        *("kernel", "btf", "capabilities", "tc hook", "ring buffer", "bpffs", "libbpf"),
        *("interface eth0", "interface eth1", "offloads eth0", "port 8080", "route to shadow"),
        *("shadow", "data dir", "user"),
    ):
        assert re.search(rf"^(ok|warn) +{name} ", good.stdout, re.MULTILINE), name
    assert not re.search(r"^no ", good.stdout, re.MULTILINE)
    bad = served.prod.run(*argv, "--iface", "eth9", timeout=PATIENCE_S, check=False)
    assert bad.returncode == 3
    (line,) = [one for one in bad.stdout.splitlines() if one.startswith("no ")]
    assert "interface eth9" in line
    assert "(fix: " in line
    silent = served.prod.run(*argv, "--port", "1234", "--json", timeout=PATIENCE_S, check=False)
    assert silent.returncode == 0
    findings = {one["name"]: one for one in json.loads(silent.stdout)["findings"]}
    assert findings["port 1234"]["ok"] is None
    assert findings["port 1234"]["fix"]
    assert findings["port 8080"]["ok"] is True
    assert hooks(served.prod) == []
    assert not home.path.exists()
