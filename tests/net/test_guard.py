"""``shadow-agent guard`` around a real service that sends mail, pays and calls a webhook."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_agent.daemon import hello
from shadow_agent.guard.record import NAMES
from shadow_agent.kernel import bpf
from shadow_agent.kernel.guard import HOOKS
from tests.net import calling
from tests.net.agent import (
    COMMAND,
    PATIENCE_S,
    PORT,
    attach,
    options,
    refused,
    status_field,
)
from tests.net.calling import HOOK, PAY, SMTP, Sink
from tests.net.conftest import ended_after
from tests.testbed import Process, Testbed, eventually, pyserver

CGROUPS = Path("/sys/fs/cgroup/unified")
HELLO = 7077
SECRET = b"k" * 40


@pytest.fixture(scope="module")
def routed_bed() -> Iterator[Testbed]:
    """The shadow's host could reach the client's: what does not come was refused."""
    with Testbed(forwarding=True) as built:
        yield built


@pytest.fixture
def bed(routed_bed: Testbed) -> Iterator[Testbed]:
    """One on which nothing runs."""
    yield from ended_after(routed_bed)


class Guarded:
    """A guard on the shadow's host, with a cgroup and folder of its own."""

    def __init__(self, bed: Testbed, name: str, *argv: str, command: list[str]) -> None:
        self.bed = bed
        self.name = f"{bed.run.of('guard')}-{name}"
        self.path = CGROUPS / self.name
        self.data = bed.directory / self.name
        self.key = bed.directory / "guard.key"
        self.key.write_bytes(SECRET)
        self.key.chmod(0o600)
        self.process: Process = bed.shadow.spawn(
            COMMAND, "guard", "--cgroup", self.name, "--data-dir", self.data, *argv,
            "--hello", f"{bed.shadow.v4}:{HELLO}", "--guard-key", self.key,
            "--resolver", "10.255.255.53", "--", *command, name="guard",
        )  # fmt: skip

    def wait(self) -> None:
        """Until the service listens inside."""
        self.process.wait_output("guarding ", PATIENCE_S)
        self.bed.shadow.wait_listening(PORT, PATIENCE_S, self.process.pid)

    def pids(self) -> list[int]:
        """Processes inside."""
        return [int(one) for one in (self.path / "cgroup.procs").read_text().split()]

    def records(self) -> list[dict[str, Any]]:
        """What the record holds."""
        (folder,) = (self.data / "guard").iterdir()
        lines = [line for name in NAMES for line in (folder / name).read_text().splitlines()]
        return sorted(map(json.loads, lines), key=lambda one: int(one["n"]))

    def greet(self) -> hello.Guarded:
        """As the agent does, from the production host."""
        return self.bed.prod.call(hello.greet, self.bed.shadow.v4, HELLO, SECRET, 10.0)

    def close(self) -> None:
        """Ended, whatever is left, and the cgroup gone."""
        self.process.stop(timeout=15)
        if self.path.exists():
            (self.path / "cgroup.kill").write_text("1")
            eventually(lambda: not self.pids(), 5, "cgroup empty")
            self.path.rmdir()


@pytest.fixture
def guards() -> Iterator[list[Guarded]]:
    """Guards that a test started, ended with it."""
    found: list[Guarded] = []
    yield found
    for one in found:
        one.close()


def order(bed: Testbed, host: str, number: int) -> str:
    """A customer orders; the answer."""
    url = f"http://{host}:{PORT}/order/{number}"
    return bed.prod.run("curl", "-sS", "--max-time", "20", url).stdout


def stub_options(bed: Testbed) -> list[str]:
    """Mail and payments are answered, the webhook is not."""
    pay, mail = bed.directory / "pay.json", bed.directory / "mail.json"
    pay.write_text('{"status": 201, "body": {"id": "ch_1"}}')
    mail.write_text('{"protocol": "smtp"}')
    sink = bed.client.v4
    return ["--stub", f"POST {sink}:{PAY}={pay}", "--stub", f"{sink}:{SMTP}={mail}"]


def test_calls_of_the_shadow_never_go_out(bed: Testbed, guards: list[Guarded]) -> None:
    """The same service unguarded calls out; guarded all of it is recorded and none arrives."""
    sink = Sink(bed, bed.client)
    bed.prod.spawn(*calling.service_command(bed, PORT, bed.client), name="service")
    bed.prod.wait_listening(PORT, 10)
    guard = Guarded(
        bed, "main", *stub_options(bed), command=calling.service_command(bed, PORT, bed.client)
    )
    guards.append(guard)
    guard.wait()
    assert order(bed, "127.0.0.1", 1) == "ordered"
    wanted = {"POST /v1/charges/1", "mail", "POST /hook"}
    assert {what for what, _ in sink.calls()} == wanted
    before = sink.calls()
    assert order(bed, bed.shadow.v4, 2) == "ordered"
    eventually(lambda: len(guard.records()) >= 3, 10, "three records")
    pay, mail, hook = guard.records()
    assert (pay["method"], pay["host"], pay["path"]) == ("POST", "pay.example", "/v1/charges/2")
    assert (pay["size"], pay["port"], pay["address"]) == (8, PAY, bed.client.v4)
    assert (mail["protocol"], mail["recipients"]) == ("smtp", 1)
    assert (hook["event"], hook["address"], hook["port"]) == ("refused", bed.client.v4, HOOK)
    assert "thanks" not in json.dumps([pay, mail, hook])
    assert sink.calls() == before
    out = guard.process.output()
    assert out.splitlines() == ["pay 2 done", "mail 2 done", "hook 2 PermissionError"]
    assert guard.process.stop(timeout=15) == 128 + signal.SIGTERM
    assert not guard.path.exists()
    assert sink.calls() == before


def test_the_shadow_has_no_privileges(bed: Testbed, guards: list[Guarded]) -> None:
    """Nobody, no capability to be had, in its cgroup; the guard's children have none either."""
    guard = Guarded(bed, "caps", command=calling.service_command(bed, PORT, bed.client))
    guards.append(guard)
    guard.wait()
    (pid,) = guard.pids()
    helpers = [one for one in guard.process.tree() if one not in {pid, guard.process.pid}]
    assert len(helpers) == 2
    for one in (pid, *helpers):
        assert status_field(one, "Uid").split()[0] != "0"
        assert int(status_field(one, "CapEff"), 16) == 0
        assert status_field(one, "NoNewPrivs") == "1"
    assert int(status_field(pid, "CapBnd"), 16) == 0


def test_killed_guard_still_refuses(bed: Testbed, guards: list[Guarded]) -> None:
    """kill -9 frees nothing: stubs are refused too, hello is silent, and a new guard is told."""
    sink = Sink(bed, bed.client)
    command = calling.service_command(bed, PORT, bed.client)
    guard = Guarded(bed, "killed", *stub_options(bed), command=command)
    guards.append(guard)
    guard.wait()
    assert guard.greet().active
    os.kill(guard.process.pid, signal.SIGKILL)
    guard.process.wait(10)
    assert guard.pids() != []

    def refused() -> bool:
        """Once the lease has run out; before it, the stub's port is closed."""
        order(bed, bed.shadow.v4, 3)
        return guard.process.output().splitlines()[-3:] == [
            f"{what} 3 PermissionError" for what in ("pay", "mail", "hook")
        ]

    eventually(refused, 20, "stubs are refused")
    assert sink.calls() == []
    with pytest.raises(hello.HelloError, match="Connection refused"):
        guard.greet()
    again = bed.shadow.run(
        COMMAND, "guard", "--cgroup", guard.name, "--data-dir", guard.data, "--", "true",
        check=False,
    )  # fmt: skip
    assert again.returncode == 2
    assert "1 processes are in it already" in again.stderr
    (guard.path / "cgroup.kill").write_text("1")
    eventually(lambda: not guard.pids(), 5, "cgroup empty")
    again = bed.shadow.run(
        COMMAND, "guard", "--cgroup", guard.name, "--data-dir", guard.data,
        "--allow", f"{bed.client.v4}:{HOOK}", "--", "bash", "-c",
        f"exec 3<>/dev/tcp/{bed.client.v4}/{HOOK}", check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_a_terminal_s_ctrl_c_comes_once(bed: Testbed) -> None:
    """Not from the terminal and from the guard: a second one means "at once" to many services."""
    code = (
        "import signal\n"
        "only = {signal.SIGINT}; signal.pthread_sigmask(signal.SIG_BLOCK, only)\n"
        "print('up', flush=True); signal.sigwait(only)\n"
        "print('again' if signal.sigtimedwait(only, 2) else 'once', flush=True)\n"
    )
    cgroup, data = f"{bed.run.of('guard')}-tty", str(bed.directory / "tty")
    argv = ["guard", "--cgroup", cgroup, "--data-dir", data, "--", calling.PYTHON, "-Ic", code]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(COMMAND, [str(COMMAND), *argv])  # noqa: S606 - no shell: as given
    said, typed = b"", False
    with contextlib.suppress(OSError):  # the terminal's end
        while piece := os.read(terminal, 4096):
            said += piece
            if not typed and b"up\r\n" in said and b"guarding" in said:
                typed = os.write(terminal, b"\x03") == 1
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert b"once\r\n" in said, said


def test_a_killed_stub_server_lets_nothing_out(bed: Testbed, guards: list[Guarded]) -> None:
    """Callers wait for the next one; the hello says that calls may be missing."""
    sink = Sink(bed, bed.client)
    command = calling.service_command(bed, PORT, bed.client)
    guard = Guarded(bed, "stub", *stub_options(bed), command=command)
    guards.append(guard)
    guard.wait()
    for number in (1, 2):
        (stub,) = [one for one in guard.process.tree() if name_of(one) == "guard-stub"]
        os.kill(stub, signal.SIGKILL)
        assert order(bed, bed.shadow.v4, number) == "ordered"
        eventually(lambda: guard.greet().record.restarts == number, 10, "restarts")  # noqa: B023
    wanted = [f"{what} {n} {how}" for n in (1, 2) for what, how in (
        ("pay", "done"), ("mail", "done"), ("hook", "PermissionError"))]  # fmt: skip
    assert guard.process.output().splitlines() == wanted
    eventually(lambda: [one["n"] for one in guard.records()] == [*range(1, 7)], 10, "six lines")
    assert sink.calls() == []


def name_of(pid: int) -> str:
    """What ps calls it."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_killed_command_ends_the_guard(bed: Testbed, guards: list[Guarded]) -> None:
    """With its code, and nothing is left: neither what it started nor the cgroup."""
    guard = Guarded(bed, "dead", command=["sh", "-c", "sleep 600 & echo up; wait"])
    guards.append(guard)
    guard.process.wait_output("up", PATIENCE_S)
    shell = next(one for one in guard.pids() if name_of(one) == "sh")
    os.kill(shell, signal.SIGKILL)
    assert guard.process.wait(PATIENCE_S) == 128 + signal.SIGKILL
    assert not guard.path.exists()


def test_a_command_moved_out_is_ended(bed: Testbed, guards: list[Guarded]) -> None:
    """And its cgroup removed: no call goes out for long, and the hello stays true until then."""
    guard = Guarded(bed, "moved", command=calling.service_command(bed, PORT, bed.client))
    guards.append(guard)
    guard.wait()
    (pid,) = guard.pids()
    (CGROUPS / "cgroup.procs").write_text(str(pid))
    guard.path.rmdir()
    assert guard.process.wait(PATIENCE_S) == 128 + signal.SIGKILL
    assert f"pid {pid} was moved out of {guard.path}" in guard.process.errors()
    assert "Traceback" not in guard.process.errors()


def test_a_broker_that_is_started_later_is_covered(bed: Testbed) -> None:
    """Here on a /run of the guard's own; COMMAND goes on until it is refused."""
    code = (
        "import socket, time\n"
        "while True:\n"
        "    try: socket.socket(socket.AF_UNIX).connect('/run/nscd/socket')\n"
        "    except ConnectionRefusedError: break\n"
        "    except FileNotFoundError: pass\n"
        "    time.sleep(0.05)\n"
    )
    guard = bed.shadow.spawn(
        "unshare", "-m", "sh", "-c",
        'mount -t tmpfs tmpfs /run && mkdir /run/nscd && exec "$0" "$@"',
        COMMAND, "guard", "--cgroup", f"{bed.run.of('guard')}-broker", "--data-dir",
        bed.directory / "broker", "--", calling.PYTHON, "-Ic", code, name="guard",
    )  # fmt: skip
    guard.wait_output("guarding ", PATIENCE_S)
    listen = (
        "import socket\n"
        "one = socket.socket(socket.AF_UNIX); one.bind('/run/nscd/socket'); one.listen()\n"
        "__import__('os').chmod('/run/nscd/socket', 0o777); input()\n"
    )
    with subprocess.Popen(
        ["nsenter", "-t", str(guard.pid), "-m", calling.PYTHON, "-Ic", listen],
        stdin=subprocess.PIPE,
    ) as broker:
        assert guard.wait(PATIENCE_S) == 0
        broker.communicate(b"\n")
    assert "/run/nscd/socket made anew: covered" in guard.errors()


def test_a_host_without_ipv6_starts(bed: Testbed) -> None:
    """A stub's IPv4 address is answered, its other refused and said; of IPv6 alone, the fix."""
    code = (
        "import socket\n"
        "for where in ('127.0.0.1', '::1'):\n"
        "    try: print(bool(socket.create_connection((where, 9925), 10).recv(3)))\n"
        "    except OSError as error: print(type(error).__name__)\n"
    )
    mail, hosts = bed.directory / "mail.json", bed.directory / "hosts"
    mail.write_text('{"protocol": "smtp"}')
    hosts.write_text("127.0.0.1 mail.internal\n::1 mail.internal six.internal\n")

    def run(stub: str, *command: str) -> subprocess.CompletedProcess[str]:
        """With those names, on a host without IPv6."""
        return bed.shadow.run(
            "unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"',
            COMMAND, "guard", "--cgroup", f"{bed.run.of('guard')}-ipv4", "--data-dir",
            bed.directory / "ipv4", "--stub", f"{stub}:9925={mail}", "--", *command, check=False,
        )  # fmt: skip

    bed.shadow.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=1")
    try:
        done = run("mail.internal", calling.PYTHON, "-Ic", code)
        assert done.stdout.split() == ["True", "PermissionError"], done.stderr
        assert "note: --stub mail.internal:9925: ::1 is refused, not answered" in done.stderr
        only = run("six.internal", "true")
        assert only.returncode == 3
        assert "::1: Cannot assign requested address; sysctl net.ipv6.conf.lo." in only.stderr
    finally:
        bed.shadow.run("sysctl", "-qw", "net.ipv6.conf.lo.disable_ipv6=0")


def test_the_hello_tells_what_is(bed: Testbed, guards: list[Guarded]) -> None:
    """Programs, processes and ports inside; not without the key; not once the shadow has ended."""
    guard = Guarded(bed, "hello", command=calling.service_command(bed, PORT, bed.client))
    guards.append(guard)
    guard.wait()
    eventually(lambda: guard.greet().listening == (PORT,), 10, "the port is seen")
    said = guard.greet()
    assert said.cgroup == str(guard.path)
    assert said.cgroup_id == guard.path.stat().st_ino
    assert (said.processes, len(said.programs)) == (1, hello.PROGRAMS)
    with pytest.raises(hello.HelloError, match="same key"):
        bed.prod.call(hello.greet, bed.shadow.v4, HELLO, b"o" * 40, 10.0)
    (program,) = [
        one["id"]
        for one in json.loads(
            subprocess.run(
                ["bpftool", "-j", "cgroup", "show", guard.path], capture_output=True, check=True
            ).stdout
        )
        if one["name"] == "guard_connect4"
    ]
    subprocess.run(
        ["bpftool", "cgroup", "detach", guard.path, "connect4", "id", str(program)], check=True
    )
    eventually(lambda: _refusal(guard) is not None, 10, "the guard no longer vouches")
    assert "only 5 of 6" in str(_refusal(guard))


def _refusal(guard: Guarded) -> hello.HelloError | None:
    try:
        guard.greet()
    except hello.HelloError as error:
        return error
    return None


def test_a_cgroup_that_stays_is_free_again(bed: Testbed, guards: list[Guarded]) -> None:
    """Of one that the guard did not make, its programs come off."""
    path = CGROUPS / f"{bed.run.of('guard')}-kept"
    path.mkdir()
    guard = Guarded(bed, "kept", command=["true"])
    guards.append(guard)
    assert guard.process.wait(PATIENCE_S) == 0
    fd = os.open(path, os.O_RDONLY)
    assert [bpf.query_cgroup(fd, hook) for hook in HOOKS.values()] == [[]] * len(HOOKS)
    os.close(fd)


def test_names_are_asked_of_the_resolver_only(bed: Testbed, guards: list[Guarded]) -> None:
    """A datagram to port 53 of it passes; of others, and to its other ports, none."""
    code = (
        "import socket\n"
        "for where in (('10.255.255.53', 53), ('10.255.255.53', 54), ('8.8.8.8', 53)):\n"
        "    try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', where)\n"
        "    except PermissionError: print('refused', *where, flush=True)\n"
        "    except OSError: print('no route', *where, flush=True)\n"
        "    else: print('sent', *where, flush=True)\n"
    )
    guard = Guarded(bed, "dns", command=[calling.PYTHON, "-I", "-c", code])
    guards.append(guard)
    assert guard.process.wait(PATIENCE_S) == 0
    first, *others = guard.process.output().splitlines()
    assert first.split()[0] in {"sent", "no"}  # past the guard, if no further
    assert others == ["refused 10.255.255.53 54", "refused 8.8.8.8 53"]


def test_a_bomb_of_connections(bed: Testbed, guards: list[Guarded]) -> None:
    """Thousands of refused and stubbed connections: bounded, counted, and the guard lives."""
    code = (
        "import socket, sys\n"
        "held = []\n"
        f"for number in range(6000): socket.socket().connect_ex(({bed.client.v4!r}, {HOOK}))\n"
        "for number in range(600):\n"
        "    one = socket.socket(); one.settimeout(10)\n"
        f"    try: one.connect(({bed.client.v4!r}, {PAY}))\n"
        "    except OSError: pass\n"
        "    held.append(one)\n"
    )
    guard = Guarded(bed, "bomb", *stub_options(bed), command=[calling.PYTHON, "-I", "-c", code])
    guards.append(guard)
    assert guard.process.wait(60) == 0
    (folder,) = (guard.data / "guard").iterdir()
    summary = json.loads((folder / "summary.json").read_text())
    counts, record = summary["counts"], summary["record"]
    assert (counts["refused"], counts["stubbed"]) == (6000, 600)
    events = [one["event"] for one in guard.records()]
    assert events.count("refused") == counts["refused"] - counts["untold"]
    assert record["calls"] + record["crowded"] <= 600
    assert record["written"] == len(events)


def test_a_full_disk_stops_no_refusal(bed: Testbed, guards: list[Guarded]) -> None:
    """What cannot be written is counted; nothing goes out."""
    sink = Sink(bed, bed.client)
    small = bed.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
    try:
        code = (
            "import socket\n"
            f"for _ in range(2000): print(socket.socket().connect_ex(({bed.client.v4!r}, {HOOK})))"
        )
        guard = Guarded(
            bed, "full", "--data-dir", str(small), command=[calling.PYTHON, "-I", "-c", code]
        )
        guards.append(guard)
        assert guard.process.wait(60) == 0
        assert guard.process.output().split() == ["1"] * 2000  # EPERM
        found = [
            word for line in guard.process.errors().splitlines() for word in line.split("; ")
            if word.startswith("lines lost")
        ]  # fmt: skip
        assert int(found[0].split()[2].rstrip(",")) > 0
    finally:
        subprocess.run(["umount", "-l", small], check=True)
    assert sink.calls() == []


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["--allow", "pay.invalid:443"], 2, "--allow pay.invalid:443: pay.invalid does not res"),
        (["--cgroup", "/etc"], 2, "is no cgroup below"),
        (["--user", "root"], 2, "has user id 0"),
        (["--stub", "10.0.0.1:80=/none.json"], 2, "/none.json: No such file"),
    ],
)
def test_bad_input_ends_before_anything_runs(
    bed: Testbed, argv: list[str], code: int, reason: str
) -> None:
    """One line that names it, and the fix."""
    data = bed.directory / "none"
    done = bed.shadow.run(
        COMMAND, "guard", "--cgroup", "sa-none", "--data-dir", data, *argv, "--", "touch",
        bed.directory / "ran", check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (bed.directory / "ran").exists()
    assert not (CGROUPS / "sa-none").exists()


def test_side_effects_of_both_sides(bed: Testbed, guards: list[Guarded]) -> None:
    """What production called and the shadow did not, and the other way round, in the summary."""
    sink = Sink(bed, bed.client)
    bed.prod.spawn(*calling.service_command(bed, PORT, bed.client), name="service")
    bed.prod.wait_listening(PORT, 10)
    # the shadow build calls another port instead of the webhook's
    command = calling.service_command(bed, PORT, bed.client)
    command[-1] = str(HOOK + 1)
    guard = Guarded(bed, "both", *stub_options(bed), command=command)
    guards.append(guard)
    guard.wait()
    eventually(lambda: guard.greet().listening == (PORT,), 10, "the port is seen")
    agent = attach(
        bed, "--guard", f"{bed.shadow.v4}:{HELLO}", "--guard-key", str(guard.key),
        "--observe-egress", f"eth0:{SMTP},{PAY},{HOOK}",
    )  # fmt: skip
    for number in (11, 12):
        url = bed.prod.url(PORT, f"/order/{number}")
        assert bed.client.run("curl", "-sS", "--max-time", "20", url).stdout == "ordered"
    agent.wait_compared(2)
    eventually(lambda: len(guard.records()) >= 6, 10, "the shadow's calls")
    summary = agent.stop()
    assert {peer for _, peer in sink.calls()} == {bed.prod.v4}
    assert summary["guard"]["vouched"] is True
    effects = summary["side_effects"]
    assert effects["notes"] == []
    assert set(effects["production_losses"].values()) == {0}

    def shown(rows: list[dict[str, Any]]) -> set[tuple[str, str, str, int]]:
        return {(row["protocol"], row["host"], row["path"], row["count"]) for row in rows}

    assert shown(effects["production"]) == {
        ("http", "pay.example", "/v1/charges/{id}", 2),
        ("http", "hook.example", "/hook", 2),
        ("smtp", bed.client.v4, "", 2),
    }
    assert shown(effects["only_production"]) == {("http", "hook.example", "/hook", 2)}
    assert shown(effects["only_shadow"]) == {("tcp", bed.client.v4, "", 2)}
    assert effects["only_shadow"][0]["refused"] is True


def test_a_guard_started_again_has_half_a_record(bed: Testbed, guards: list[Guarded]) -> None:
    """The summary says so, and does not say that the shadow called nothing."""
    bed.prod.spawn(*calling.service_command(bed, PORT, bed.client), name="service")
    bed.prod.wait_listening(PORT, 10)
    sink = Sink(bed, bed.client)
    command = calling.service_command(bed, PORT, bed.client)
    guard = Guarded(bed, "again", *stub_options(bed), command=command)
    guards.append(guard)
    guard.wait()
    eventually(lambda: guard.greet().listening == (PORT,), 10, "the port is seen")
    agent = attach(
        bed, "--guard", f"{bed.shadow.v4}:{HELLO}", "--guard-key", str(guard.key),
        "--observe-egress", f"eth0:{SMTP},{PAY},{HOOK}",
    )  # fmt: skip
    url = bed.prod.url(PORT, "/order/11")
    assert bed.client.run("curl", "-sS", "--max-time", "20", url).stdout == "ordered"
    agent.wait_compared(1)
    eventually(lambda: len(guard.records()) == 3, 10, "the shadow's calls")
    assert guard.process.stop(timeout=15) == 128 + signal.SIGTERM
    again = Guarded(bed, "again2", *stub_options(bed), command=command)
    guards.append(again)
    again.wait()
    eventually(lambda: again.greet().listening == (PORT,), 10, "the port is seen")
    summary = agent.stop()
    effects = summary["side_effects"]
    assert "the guard was started again" in effects["notes"][0]
    assert len(effects["production"]) == 3
    assert (effects["only_production"], effects["only_shadow"]) == (None, None)
    assert len(sink.calls()) == 3


def test_attach_needs_a_guard_that_vouches(bed: Testbed, guards: list[Guarded]) -> None:
    """Unreachable, of another key, or around something else: nothing is attached."""
    command = calling.service_command(bed, PORT + 1, bed.client)
    guard = Guarded(bed, "other", command=command)
    guards.append(guard)
    guard.process.wait_output("guarding ", PATIENCE_S)
    bed.shadow.wait_listening(PORT + 1, PATIENCE_S, guard.process.pid)
    where = f"{bed.shadow.v4}:{HELLO}"
    other = bed.directory / "other.key"
    other.write_bytes(b"o" * 40)
    other.chmod(0o600)
    eventually(lambda: guard.greet().listening == (PORT + 1,), 10, "the port is seen")
    for argv, reason in (
        (["--guard", where, "--guard-key", str(guard.key)], f"listens on {PORT + 1}, the shadow"),
        (["--guard", where, "--guard-key", str(other)], "give both sides the same key"),
        (["--guard", f"{bed.shadow.v4}:1", "--guard-key", str(other)], "Connection refused"),
        (["--guard", where], "needs --guard-key FILE"),
    ):
        code, line = refused(bed, *options(bed), *argv)
        assert code == 2
        assert reason in line
        assert where.split(":", maxsplit=1)[0] in line


def test_a_guard_that_dies_stops_mirroring(bed: Testbed, guards: list[Guarded]) -> None:
    """No request goes to a shadow that is not guarded any more, though it answers on that port."""
    bed.prod.spawn(*calling.service_command(bed, PORT, bed.client), name="service")
    bed.prod.wait_listening(PORT, 10)
    guard = Guarded(bed, "dies", command=calling.service_command(bed, PORT, bed.client))
    guards.append(guard)
    guard.wait()
    eventually(lambda: guard.greet().listening == (PORT,), 10, "the port is seen")
    agent = attach(bed, "--guard", f"{bed.shadow.v4}:{HELLO}", "--guard-key", str(guard.key))
    assert agent.ask("status")["paused"] is False
    (guard.path / "cgroup.kill").write_text("1")
    guard.process.wait(30)
    eventually(lambda: agent.ask("status")["paused"] is True, 40, "mirroring stops")
    assert "mirroring stops" in agent.process.errors()
    nobodys = pyserver.start(bed.shadow)
    # answered or not, by production: the sink is not there
    bed.client.run("curl", "-sS", "--max-time", "20", bed.prod.url(PORT, "/order/1"))
    eventually(lambda: agent.ledger()["packets"]["paused"] > 0, PATIENCE_S, "seen, not copied")
    summary = agent.stop()
    assert nobodys.requests() == []
    assert summary["ledger"]["packets"]["copied"] == 0
    nobodys.process.stop()


def test_a_guard_opens_writes(bed: Testbed, guards: list[Guarded]) -> None:
    """A POST is replayed while the guard vouches, and refused where there is none."""
    bed.prod.spawn(*calling.service_command(bed, PORT, bed.client), name="service")
    bed.prod.wait_listening(PORT, 10)
    guard = Guarded(bed, "writes", command=calling.service_command(bed, PORT, bed.client))
    guards.append(guard)
    guard.wait()
    eventually(lambda: guard.greet().listening == (PORT,), 10, "the port is seen")
    vouched = ("--guard", f"{bed.shadow.v4}:{HELLO}", "--guard-key", str(guard.key))
    for argv, line, name in (
        (vouched, "pairs", "compared"),
        ((), "replay", "refused"),
    ):
        agent = attach(bed, *argv, "--methods", "GET,POST")
        if argv:
            agent.process.wait_output("writes may go out", PATIENCE_S)
        bed.client.run("curl", "-sS", "--max-time", "20", "-d", "x", bed.prod.url(PORT, "/order/1"))
        eventually(lambda: agent.ledger()["exchanges"]["answered"] == 1, 20, "answered")  # noqa: B023
        found = agent.stop()["ledger"][line][name]
        assert found == (1 if argv else {"unguarded": 1})
