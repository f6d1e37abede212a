"""What the fault tests share: limits for the agent, its kernel side seen from outside, waiting.

The agent is judged by what others say: the generator's count, the servers' logs, the kernel's own
counters.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections import Counter as Multiset
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from shadow_agent.errors import OperatorError
from shadow_agent.kernel import bpf
from shadow_agent.kernel.counters import KernelCounters
from shadow_agent.kernel.layout import Counter, Role
from tests.net.agent import (
    PATIENCE_S,
    PORT,
    Agent,
    Home,
    Ledger,
    accounted,
    at,
    attach,
    drained,
)
from tests.testbed import Host, NotYet, Testbed, eventually, links, traffic
from tests.testbed.asks import Ask
from tests.testbed.pyserver import PyServer
from tests.testbed.traffic import Result

# Every request of a run has a target of its own, so that nothing can be sent twice unseen.
ITEMS: Final = [Ask("GET", "/api/items/{n}")]

# Deadlines that keep tests short and still are long for a healthy shadow on a busy machine.
QUICK: Final[Mapping[str, float]] = {
    "connect-timeout-s": 0.5,
    "first-byte-timeout-s": 0.4,
    "whole-timeout-s": 1.0,
    "max-queue": 2,
    "max-queue-age-s": 2.0,
}

NO_BREAKER: Final[Mapping[str, Mapping[str, object]]] = {"breaker": {"enabled": False}}

_PROG_GET_FD_BY_ID: Final = 13
_MAP_GET_FD_BY_ID: Final = 14


def attach_with(
    bed: Testbed,
    limits: Mapping[str, float],
    *more: str,
    home: Home | None = None,
    sections: Mapping[str, Mapping[str, object]] = NO_BREAKER,
) -> Agent:
    """Attach with these keys of the configuration's ``[limits]``; returns once attached.

    ``sections`` are other tables of it. Without a breaker every request meets the fault.
    """
    config = bed.directory / f"{len(bed.prod.processes):02d}-limits.toml"
    lines = ["[limits]", *(f"{name} = {value}" for name, value in limits.items())]
    for name, keys in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    config.write_text("\n".join(lines) + "\n")
    return attach(bed, "--config", str(config), "--debug", *more, home=home)


def drive(
    bed: Testbed, requests: int, rate: float = 200, *, mix: list[Ask] | None = None, **more: Any
) -> Result:
    """Traffic of which production answers every request, whatever else goes on."""
    url = bed.service.url(PORT)
    result = traffic.drive(
        bed.client, url, ITEMS if mix is None else mix, rate=rate, requests=requests, **more
    )
    assert untouched(result)
    assert result.sent == requests
    return result


def untouched(result: Result) -> bool:
    """Whether production answered everything that it was asked, and nothing else."""
    assert result.errors == {}
    assert (result.unsent, result.unasked) == (0, 0)
    return result.answered == result.sent > 0


def wait_ledger(agent: Agent, condition: Callable[[Ledger], bool], what: str) -> Ledger:
    """The first ledger that fulfils ``condition``."""
    seen: list[Ledger] = [{}]

    def holds() -> bool:
        try:
            seen[0] = agent.ledger()
        except OperatorError:
            return False
        return condition(seen[0])

    try:
        eventually(holds, PATIENCE_S, what, agent.pid)
    except NotYet as error:
        said = agent.process.errors()[-3000:]
        raise NotYet(f"{error}; last: {json.dumps(seen[0])}; it said: {said}") from None
    return seen[0]


def wait_settled(agent: Agent, sent: int) -> Ledger:
    """Return once each of so many requests has its name in the ledger, and nothing is open."""
    return wait_ledger(
        agent, lambda ledger: drained(ledger) and accounted(ledger) == sent, f"all {sent} named"
    )


def wait_named(agent: Agent, sent: int, resent: int = 0) -> Ledger:
    """As ``wait_settled``, but pairs may be open: where the end of a flow was lost, until drained.

    Whether production's answer was lost or is late is not known before the flow is idle for long.
    ``resent``: segments that TCP sent twice meanwhile. The kernel counts both copies of a request
    that a full ring refuses, so that many may be named once too often, and none too few.
    """

    def named(ledger: Ledger) -> bool:
        waiting = at(ledger, "records.in_ring") + at(ledger, "replay.queued")
        known = accounted(ledger) + at(ledger, "pairs.open")
        return not waiting and sent <= known <= sent + resent

    return wait_ledger(agent, named, f"all {sent} named or open")


def retransmitted(host: Host) -> int:
    """Segments that the host's TCP sent again, since it was made."""
    table = host.call(Path("/proc/thread-self/net/snmp").read_text)
    names, values = (line.split() for line in table.splitlines() if line.startswith("Tcp: "))
    return int(values[names.index("RetransSegs")])


def workers(agent: Agent) -> list[int]:
    """Pids of the agent's workers that are in their role already."""
    return [pid for pid in agent.process.tree() if name_of(pid).startswith("shadow-worker")]


def name_of(pid: int) -> str:
    """The name of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def state_of(pid: int) -> str:
    """State letter of a process (proc(5): T is stopped, Z dead and not reaped), X when gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def gone(pids: Iterable[int]) -> bool:
    """Whether none of these processes runs any more."""
    return all(state_of(pid) in "XZ" for pid in pids)


def repeated(*servers: PyServer) -> dict[str, int]:
    """Targets that these servers got more than once between them."""
    counts = Multiset(str(one["target"]) for server in servers for one in server.requests())
    return {target: count for target, count in counts.items() if count > 1}


class Kernel:
    """An agent's production-side tap as the kernel holds it: fds of its programs and counters.

    The fds keep both alive, so that their last word can be heard after the agent is gone. Holding
    them attaches nothing: a TCX link is another object, and so is a filter.
    """

    def __init__(self, host: Host, interface: str) -> None:
        """Of what is attached to that interface of the host now."""
        self.ids = attached(host, interface)
        self.programs = [_by_id(_PROG_GET_FD_BY_ID, one) for one in self.ids]
        shown = json.loads(host.run("bpftool", "-j", "prog", "show", "id", str(self.ids[0])).stdout)
        maps = {
            one["name"]: int(one["id"])
            for number in shown["map_ids"]
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for fd in (*self.programs, self._map):
            os.close(fd)


def attached(host: Host, interface: str) -> list[int]:
    """Ids of the BPF programs on an interface's ingress and egress, by TCX or by clsact."""
    number = links.index(host, interface)
    hooks = (bpf.AttachType.TCX_INGRESS, bpf.AttachType.TCX_EGRESS)
    shown = json.loads(host.run("bpftool", "-j", "net", "show", "dev", interface).stdout)
    return [
        *(one for hook in hooks for one in host.call(bpf.query_tcx, number, hook)),
        *(int(one["id"]) for part in shown for one in part["tc"]),
    ]


def _by_id(command: int, number: int) -> int:
    """An fd of a program or map by its id; OSError when it is gone."""
    attributes = ctypes.create_string_buffer(number.to_bytes(4, "little") + bytes(8), 12)
    return bpf._call(command, attributes)  # type: ignore[arg-type]
