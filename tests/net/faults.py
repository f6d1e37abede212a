"""What the fault tests share: a running agent, its kernel side seen from outside, sums of losses.

The agent is judged by what others say: the generator's count, the servers' logs, the kernel's own
counters. Its summary is what is judged.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections import Counter as Multiset
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from shadow_agent.daemon import client
from shadow_agent.errors import OperatorError
from shadow_agent.kernel import bpf
from shadow_agent.kernel.counters import KernelCounters
from shadow_agent.kernel.layout import Counter, Role
from shadow_agent.telemetry.ledger import Ledger, imbalances
from tests.testbed import Host, NotYet, Process, Testbed, eventually, links
from tests.testbed.process import descendants
from tests.testbed.pyserver import PyServer

COMMAND: Final = Path(sys.executable).with_name("shadow-agent")
PORT: Final = 8080
TARGET: Final = "fault"
# Generous: two cores are shared with whatever else runs.
SOON_S: Final = 20.0
STOP_S: Final = 30.0
# What the agent promises after a death; the lease is stale then.
PROMISE_S: Final = 2.0

# Deadlines that keep tests short and still are long for a healthy shadow on a busy machine.
QUICK: Final[Mapping[str, float]] = {
    "connect-timeout-s": 0.5,
    "first-byte-timeout-s": 0.5,
    "whole-timeout-s": 1.0,
    "max-queue": 4,
    "max-queue-age-s": 2.0,
    "drain-s": 4.0,
}

_PROG_GET_FD_BY_ID: Final = 13
_MAP_GET_FD_BY_ID: Final = 14


class Agent:
    """``shadow-agent attach`` on prod, from attached to its summary. Killed on exit if it lives."""

    def __init__(
        self,
        bed: Testbed,
        *options: str,
        limits: Mapping[str, float] | None = None,
        target: str = TARGET,
    ) -> None:
        """``limits`` are keys of the configuration's ``[limits]``; ``options`` are flags."""
        self.bed = bed
        self.target = target
        self.runtime = bed.directory / "run"
        serial = len(bed.prod.processes)
        config = bed.directory / f"{serial:02d}-config.toml"
        lines = ["[limits]", *(f"{name} = {value}" for name, value in (limits or {}).items())]
        config.write_text("\n".join(lines) + "\n")
        self.argv = [
            *("attach", "--iface", bed.service_iface, "--port", str(PORT)),
            *("--shadow", bed.shadow.url(PORT), "--shadow-iface", bed.shadow_iface),
            *("--target", target, "--config", str(config), "--json", "--debug"),
            *("--data-dir", str(bed.directory / "data"), "--runtime-dir", str(self.runtime)),
            *options,
        ]
        self.process: Process

    def __enter__(self) -> Self:
        self.process = self.bed.prod.spawn(COMMAND, *self.argv, name="agent")
        self.process.wait_output(f"attached {self.target}", timeout=SOON_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        tree = self.process.tree()
        for pid in tree:  # what a test stopped must run to be able to end
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.process.kill()
        if error is not None and not isinstance(error, KeyboardInterrupt):
            error.add_note(f"agent: {self.process.errors()[-3000:]}")

    def status(self) -> dict[str, Any]:
        """What ``shadow-agent status`` is told now."""
        return client.ask(self.runtime, self.target, "status", timeout_s=SOON_S)

    def workers(self) -> list[int]:
        """Pids of its workers."""
        return [pid for pid in self.process.tree() if _name(pid).startswith("shadow-worker")]

    def await_ledger(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        """Return once the ledger of its status fulfils ``condition``."""
        seen: dict[str, Any] = {}

        def holds() -> bool:
            try:
                seen.update(self.status()["ledger"])
            except OperatorError:
                return False
            return condition(seen)

        try:
            eventually(holds, SOON_S, what, self.process.pid)
        except NotYet as error:
            raise NotYet(f"{error}; last ledger: {json.dumps(seen)}") from None

    def await_compared(self, count: int) -> None:
        """Return once at least that many pairs were compared."""
        self.await_ledger(lambda ledger: ledger["pairs"]["compared"] >= count, f"{count} compared")

    def await_settled(self) -> None:
        """Return once nothing of what was replayed is open."""
        self.await_ledger(_settled, "everything settled")

    def finish(self) -> dict[str, Any]:
        """Stop it in order; its summary, the ledger of which balances."""
        code = self.process.stop(timeout=STOP_S, number=signal.SIGINT)
        assert code == 0, (code, self.process.errors()[-3000:])
        summary: dict[str, Any] = json.loads(self.process.output())
        assert "defect" not in self.process.errors(), self.process.errors()[-3000:]
        assert_balanced(summary)
        return summary


class Kernel:
    """An agent's production-side tap as the kernel holds it: fds of its programs and counters.

    The fds keep both alive, so that their last word can be heard after the agent is gone. Holding
    them attaches nothing: a TCX link is another object, and so is a filter.
    """

    def __init__(self, host: Host, interface: str) -> None:
        """Of what is attached to that interface of the host now."""
        self.ids = sorted(attached(host, interface))
        self.programs = [_by_id(_PROG_GET_FD_BY_ID, one) for one in self.ids]
        maps = {
            one["name"]: one["id"]
            for number in json.loads(
                host.run("bpftool", "-j", "prog", "show", "id", str(self.ids[0])).stdout
            )["map_ids"]
            for one in [
                json.loads(host.run("bpftool", "-j", "map", "show", "id", str(number)).stdout)
            ]
        }
        self._map = _by_id(_MAP_GET_FD_BY_ID, maps["counters"])

    def counters(self, role: Role = Role.PRODUCTION) -> dict[Counter, int]:
        """The tap's own counters."""
        return KernelCounters(self._map).read()[role]

    def runs(self) -> int:
        """How often its programs ran while run-time statistics were on, by the kernel's count."""
        return sum(bpf.program_info(fd).run_count for fd in self.programs)

    def close(self) -> None:
        """Let go of it."""
        for fd in (*self.programs, self._map):
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def attached(host: Host, interface: str) -> set[int]:
    """Ids of the BPF programs on an interface's ingress and egress, by TCX and by clsact."""
    return {*tcx(host, interface), *clsact(host, interface)}


def tcx(host: Host, interface: str) -> list[int]:
    """Ids of programs attached by TCX (Debian's bpftool does not list them)."""
    number = links.index(host, interface)
    hooks = (bpf.AttachType.TCX_INGRESS, bpf.AttachType.TCX_EGRESS)
    return [one for hook in hooks for one in host.call(bpf.query_tcx, number, hook)]


def clsact(host: Host, interface: str) -> list[int]:
    """Ids of programs attached as filters."""
    shown = json.loads(host.run("bpftool", "-j", "net", "show", "dev", interface).stdout)
    return [int(one["id"]) for part in shown for one in part.get("tc", [])]


def assert_balanced(summary: Mapping[str, Any]) -> None:
    """The ledger's identities hold, by the agent's word and recomputed from its numbers."""
    ledger = summary["ledger"]
    assert summary["imbalances"] == []
    assert imbalances(Ledger.from_dict(ledger)) == []
    assert ledger["records"]["in_ring"] == 0
    for line, name in (("requests", "open"), ("exchanges", "open"), ("pairs", "open")):
        assert ledger[line][name] == 0, (line, ledger[line])
    assert ledger["replay"]["queued"] == 0
    assert ledger["segments"]["held"] == 0


def accounted(ledger: Mapping[str, Any]) -> int:
    """Compared plus every named loss: each of production's requests is in exactly one term.

    A request either never started for us (``lost``), or started without its head becoming whole
    (``started`` less ``heads``: parts of gap, malformed, oversize, evicted and aborted), or its
    head was decided upon: refused, shed, failed, or replayed and then compared or uncomparable.
    ``gap`` and its neighbours are not added: a request whose body has a gap has a head too.
    """
    requests, replay, pairs = ledger["requests"], ledger["replay"], ledger["pairs"]
    return int(
        pairs["compared"]
        + total(pairs["uncomparable"])
        + total(replay["refused"])
        + total(replay["shed"])
        + total(replay["failed"])
        + requests["started"]
        - requests["heads"]
        + requests["lost"]
    )


def total(reasons: Mapping[str, int]) -> int:
    """All reasons of a name together."""
    return sum(reasons.values())


def repeated(server: PyServer) -> dict[str, int]:
    """Targets that the server got more than once; for traffic whose every target is its own."""
    counts = Multiset(str(request["target"]) for request in server.requests())
    return {target: count for target, count in counts.items() if count > 1}


def gone(pids: list[int]) -> bool:
    """Whether none of these processes lives."""
    return not any(descendants(pid) for pid in pids)


def _settled(ledger: Mapping[str, Any]) -> bool:
    lines = (ledger["pairs"]["open"], ledger["replay"]["queued"], ledger["exchanges"]["open"])
    return ledger["records"]["in_ring"] == 0 and lines == (0, 0, 0)


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _by_id(command: int, number: int) -> int:
    """An fd of a program or map by its id; OSError when it is gone."""
    attributes = ctypes.create_string_buffer(number.to_bytes(4, "little") + bytes(8), 12)
    return bpf._call(command, attributes)  # type: ignore[arg-type]
