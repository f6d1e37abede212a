"""``shadow-agent`` as its operator runs it on the production host, and the books it has to keep."""

from __future__ import annotations

import itertools
import json
import re
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shadow_agent.daemon import client
from shadow_agent.kernel import bpf
from tests.testbed import Host, Process, Testbed, eventually
from tests.testbed.host import REPO

COMMAND = str(REPO / ".venv/bin/shadow-agent")
PORT = 8080
# Two cores that others use too: an import of the agent alone may take a second.
PATIENCE_S = 30.0

Summary = dict[str, Any]
_serials = itertools.count()
Ledger = Mapping[str, Mapping[str, Any]]


class Home:
    """Where one agent or several keep their sockets and data; nobody else's."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self.path = bed.directory / f"home-{next(_serials):02d}"
        self.runtime = self.path / "run"
        self.data = self.path / "data"

    @property
    def options(self) -> list[str]:
        """The two folders as ``attach`` takes them."""
        return ["--runtime-dir", str(self.runtime), "--data-dir", str(self.data)]

    def command(self, *argv: str, host: Host | None = None) -> subprocess.CompletedProcess[str]:
        """Run another command of the program against this runtime directory, to its end."""
        return (host or self.bed.prod).run(
            COMMAND, *argv, "--runtime-dir", self.runtime, timeout=PATIENCE_S, check=False
        )

    def files(self) -> list[str]:
        """Names in the runtime directory, without the lock files that stay by design."""
        if not self.runtime.is_dir():
            return []
        return sorted(p.name for p in self.runtime.iterdir() if p.suffix != ".lock")


class Agent:
    """A running ``attach --json``; the testbed kills it if the test does not stop it."""

    def __init__(self, home: Home, process: Process, target: str) -> None:
        self.home = home
        self.process = process
        self.target = target

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self.process.pid

    def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """A question on the control socket, without the price of a new interpreter."""
        return client.ask(self.home.runtime, self.target, command, arguments, PATIENCE_S)

    def ledger(self) -> dict[str, dict[str, Any]]:
        """The ledger now; workers report twice a second."""
        found: dict[str, dict[str, Any]] = self.ask("status")["ledger"]
        return found

    def wait_compared(self, number: int) -> None:
        """Return once at least so many pairs are compared."""
        eventually(
            lambda: self.ledger()["pairs"]["compared"] >= number,
            PATIENCE_S,
            f"{number} compared",
            self.pid,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Summary:
        """Signal it, check that it ends well, and return its balanced summary."""
        assert self.process.running, self.process.errors()
        self.process.send(number)
        return self.finish()

    def finish(self) -> Summary:
        """Wait for it to end by itself; its summary, balanced."""
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"exit {code}: {self.process.errors()[-3000:]}"
        assert "defect" not in self.process.errors(), self.process.errors()[-3000:]
        summary: Summary = json.loads(self.process.output())
        assert balanced(summary)
        return summary


def options(bed: Testbed, *, ipv6: bool = False) -> list[str]:
    """What an attachment on this testbed takes at least."""
    return [
        *("--iface", bed.service_iface, "--port", str(PORT)),
        *("--shadow", bed.shadow.url(PORT, ipv6=ipv6), "--shadow-iface", bed.shadow_iface),
    ]


def attach(
    bed: Testbed,
    *more: str,
    home: Home | None = None,
    ipv6: bool = False,
    limits: Mapping[str, float] | None = None,
) -> Agent:
    """Attach with the usual options and ``more``; returns once attached.

    ``limits`` by their names in the configuration file, ``ring-bytes`` for one.
    """
    home = home or Home(bed)
    if limits is not None:
        home.path.mkdir(exist_ok=True)
        config = home.path / "limits.toml"
        lines = [f"{name} = {value}\n" for name, value in limits.items()]
        config.write_text("".join(["[limits]\n", *lines]))
        more = (*more, "--config", str(config))
    return attach_as(bed, *options(bed, ipv6=ipv6), *more, home=home)


def attach_as(bed: Testbed, *argv: str, home: Home | None = None) -> Agent:
    """Attach with exactly these options beside --json and folders; returns once attached."""
    home = home or Home(bed)
    argv = ungoverned(home, *argv)
    process = bed.prod.spawn(COMMAND, "attach", *argv, "--json", *home.options, name="agent")
    return attached(home, process)


def ungoverned(home: Home, *argv: str) -> tuple[str, ...]:
    """The options, and a file that keeps the governor out of it unless they configure one.

    The machine of the tests is busy with them, and who counts requests wants all of them mirrored.
    """
    if "--config" in argv:
        config = Path(argv[argv.index("--config") + 1])
    else:
        home.path.mkdir(exist_ok=True)
        config = home.path / "ungoverned.toml"
        argv = (*argv, "--config", str(config))
    text = config.read_text() if config.exists() else ""
    if "[governor]" not in text:
        config.write_text(f"{text}\n[governor]\nenabled = false\n")
    return argv


def attached(home: Home, process: Process) -> Agent:
    """Wait until a started ``attach`` says that it is attached, and take its target's name."""
    process.wait_output("shadow-agent: attached ", PATIENCE_S)
    found = re.search(r"shadow-agent: attached (\S+):", process.errors())
    assert found is not None, process.errors()
    return Agent(home, process, found.group(1))


def refused(bed: Testbed, *argv: str, home: Home | None = None) -> tuple[int, str]:
    """Attach with exactly these options, which must fail at once: exit code and its one line."""
    home = home or Home(bed)
    done = bed.prod.run(
        COMMAND, "attach", *argv, "--json", *home.options, timeout=PATIENCE_S, check=False
    )
    return failure(done)


def failure(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    """Exit code and the one line on stderr of a command that failed; stdout must be empty."""
    assert done.returncode != 0, done.stdout
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0]


def balanced(summary: Mapping[str, Any]) -> bool:
    """Whether the books balance: by the agent's own word, and line by line by ours."""
    assert summary["imbalances"] == [], summary["imbalances"]
    ledger: Ledger = summary["ledger"]
    for name, (left, parts) in IDENTITIES.items():
        line = ledger[name]
        assert set(line) == {left, *parts, *ASIDE.get(name, ())}, f"{name}: names"
        assert line[left] == sum(total(line[part]) for part in parts), f"{name}: {dict(line)}"
    for before, after in LINKS:
        assert at(ledger, before) == at(ledger, after), f"{before} is not {after}"
    assert summary["coverage"] == coverage(ledger)
    return True


def drained(ledger: Ledger) -> bool:
    """Whether nothing is held, queued, open or in a ring any more."""
    return not any(at(ledger, gauge) for gauge in GAUGES)


# DESIGN §5, written down a second time: the agent's own check is not asked.
IDENTITIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "packets": (
        "seen",
        (
            *("own", "not_service", "no_payload", "paused", "sampled_out", "over_budget"),
            *("unsupported", "ring_full", "copied"),
        ),
    ),
    "records": ("copied", ("read", "in_ring", "lost")),
    "segments": (
        "read",
        ("used", "duplicate", "out_of_window", "unaligned", "evicted", "not_http", "held"),
    ),
    "requests": (
        "started",
        ("complete", "gap", "malformed", "oversize", "evicted", "aborted", "open"),
    ),
    "exchanges": ("heads", ("answered", "unanswered", "open")),
    "replay": ("heads", ("replayed", "refused", "shed", "failed", "queued")),
    "pairs": ("replayed", ("compared", "uncomparable", "open")),
}
ASIDE = {"requests": ("heads", "lost")}
LINKS = (
    ("packets.copied", "records.copied"),
    ("records.read", "segments.read"),
    ("requests.heads", "exchanges.heads"),
    ("requests.heads", "replay.heads"),
    ("replay.replayed", "pairs.replayed"),
)
GAUGES = (
    "records.in_ring",
    "segments.held",
    "requests.open",
    "exchanges.open",
    "replay.queued",
    "pairs.open",
)
_LOSSES = (
    "requests.gap",
    "requests.oversize",
    "requests.evicted",
    "requests.lost",
    "replay.shed",
    "replay.failed",
    "pairs.uncomparable",
)


def total(value: Any) -> int:
    """A number, or the sum over its reasons."""
    return sum(value.values()) if isinstance(value, dict) else int(value)


def at(ledger: Ledger, path: str) -> int:
    """The total under ``line.name``."""
    line, name = path.split(".")
    return total(ledger[line][name])


def coverage(ledger: Ledger) -> float | None:
    """Compared ÷ what was wanted, computed anew."""
    compared = at(ledger, "pairs.compared")
    wanted = compared + sum(at(ledger, loss) for loss in _LOSSES)
    return compared / wanted if wanted else None


def accounted(ledger: Ledger) -> int:
    """Every request that has a name in the ledger: compared, refused, or lost somewhere."""
    requests = ledger["requests"]
    headless = int(requests["started"]) - int(requests["heads"]) + int(requests["lost"])
    after = ("replay.refused", "replay.shed", "replay.failed", "pairs.uncomparable")
    return at(ledger, "pairs.compared") + sum(at(ledger, name) for name in after) + headless


def endpoints(summary: Summary) -> dict[tuple[str, str], dict[str, Any]]:
    """The summary's rows by method and path."""
    return {(row["method"], row["path"]): row for row in summary["endpoints"]}


def hooks(host: Host) -> list[str]:
    """What hangs on the interfaces of ``host``: ``DEVICE KIND PROGRAM``, in order per hook."""
    (found,) = json.loads(host.run("bpftool", "-j", "net", "show").stdout)
    names = [
        f"{row['devname']} {row.get('kind', 'xdp')} {row.get('name', '?')}"
        for row in [*found["xdp"], *found["tc"]]
    ]
    # Debian's bpftool does not know TCX, so the kernel is asked.
    return names + [f"{one.device} {one.hook} {one.program}" for one in host.call(_tcx)]


class TcxProgram(NamedTuple):
    """A program on a TCX hook."""

    device: str
    hook: str
    program: str


def _tcx() -> list[TcxProgram]:
    found = []
    for index, device in socket.if_nameindex():
        for hook in (bpf.AttachType.TCX_INGRESS, bpf.AttachType.TCX_EGRESS):
            found += [
                TcxProgram(device, hook.name.lower(), _program_name(number))
                for number in bpf.query_tcx(index, hook)
            ]
    return found


def _program_name(number: int) -> str:
    shown = subprocess.run(
        ["bpftool", "-j", "prog", "show", "id", str(number)], capture_output=True, check=True
    )
    name: str = json.loads(shown.stdout).get("name", "theirs")
    return name


def clsact_filters(host: Host, device: str, hook: str) -> str:
    """``tc filter show`` of one hook; empty without filters."""
    return host.run("tc", "filter", "show", "dev", device, hook, check=False).stdout


def clean(host: Host, devices: tuple[str, ...] = ("lo", "eth0", "eth1")) -> bool:
    """Nothing is attached, and no clsact qdisc stands around."""
    present = [one for one in devices if (host.run("ip", "link", "show", one, check=False)).stdout]
    qdiscs = "".join(host.run("tc", "qdisc", "show", "dev", one).stdout for one in present)
    return hooks(host) == [] and "clsact" not in qdiscs


def status_field(pid: int | str, name: str) -> str:
    """One field of ``/proc/PID/status``; of a thread's where ``pid`` is ``PID/task/TID``."""
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{name}:[ \t]*(.*)$", text, re.MULTILINE)
    assert found is not None
    return found.group(1)
