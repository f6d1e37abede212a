"""Every way into the kernel mirrors alike, leaves others alone and leaves nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
from collections.abc import Iterator

import pytest
from pyroute2 import IPRoute, NetlinkError

from shadow_agent.kernel import bcc_loader, bpf
from tests.net.agent import (
    PORT,
    Agent,
    Home,
    at,
    attach,
    clean,
    drained,
    hooks,
    options,
    refused,
)
from tests.testbed import Testbed, eventually, pyserver, tools

TCX_HOOKS = (bpf.AttachType.TCX_INGRESS, bpf.AttachType.TCX_EGRESS)
MECHANISMS = pytest.mark.parametrize("mechanism", ["tcx", "clsact"])


@pytest.fixture
def served(bed: Testbed) -> Testbed:
    """Production and shadow run, alike."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    return bed


def use(bed: Testbed, requests: int = 3) -> None:
    """Some requests, each answered."""
    for number in range(requests):
        assert tools.curl(bed.client, bed.service.url(PORT, f"/{number}")).status == 200


def mirrors(agent: Agent, bed: Testbed) -> None:
    """Everything that is asked from here on is compared; then the agent ends."""
    use(bed)
    summary = agent.stop()
    assert drained(summary["ledger"])
    assert summary["coverage"] == 1.0
    assert at(summary["ledger"], "pairs.compared") == 3
    assert summary["latency_us"]["production"]["p50"] > 0
    assert summary["latency_us"]["shadow"]["p50"] > 0


@pytest.mark.parametrize("loader", ["libbpf", "bcc", "auto"])
@MECHANISMS
def test_loaders_and_mechanisms(
    served: Testbed, bcc_headers: None, loader: str, mechanism: str
) -> None:
    """Each loader by each mechanism: the summary says which, and detaching leaves nothing."""
    if loader == "bcc" and bcc_loader.find_bcc() is None:
        pytest.skip("bcc (python3-bpfcc)")
    agent = attach(served, "--loader", loader, "--mechanism", mechanism)
    status = agent.ask("status")
    assert status["loader"] == ("bcc" if loader == "bcc" else "libbpf")
    assert status["attached"] == {"eth0": mechanism, "eth1": mechanism}
    attached = hooks(served.prod)
    assert len(attached) == 4
    assert all(mechanism in one for one in attached)
    mirrors(agent, served)
    assert clean(served.prod)


def test_tcx_is_preferred(served: Testbed) -> None:
    """Where the kernel has TCX nothing else is used."""
    agent = attach(served)
    assert set(agent.ask("status")["attached"].values()) == {"tcx"}
    agent.stop()
    assert clean(served.prod)


_SCHED_CLS = 3  # BPF_PROG_TYPE_SCHED_CLS
_PROG_LOAD = 5  # BPF_PROG_LOAD
_ANSWER_OK = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit


@pytest.fixture
def foreign() -> Iterator[int]:
    """Another's program, by fd: it answers OK, which ends the line, and its runs are counted."""
    statistics = bpf.enable_run_time_stats()
    code = ctypes.create_string_buffer(_ANSWER_OK)
    licence = ctypes.create_string_buffer(b"GPL")
    wanted = bpf._attributes(
        "=IIQQ", _SCHED_CLS, 2, ctypes.addressof(code), ctypes.addressof(licence)
    )
    program = bpf._call(_PROG_LOAD, wanted)  # type: ignore[arg-type]
    yield program
    os.close(program)
    os.close(statistics)


def put_tcx(bed: Testbed, program: int, hook: bpf.AttachType) -> int:
    """Attach a program to production's interface as another tool would, in front; the link."""
    return bed.prod.call(lambda: bpf.create_tcx_link(program, socket.if_nametoindex("eth0"), hook))


def test_an_earlier_tcx_program_still_runs(served: Testbed, foreign: int) -> None:
    """One that ends the line with OK neither blinds us nor stops running, and outlives us."""
    links = [put_tcx(served, foreign, hook) for hook in TCX_HOOKS]
    try:
        agent = attach(served)
        assert len(hooks(served.prod)) == 6
        before = bpf.program_info(foreign).run_count
        mirrors(agent, served)
        assert bpf.program_info(foreign).run_count > before
        assert hooks(served.prod) == ["eth0 tcx_ingress theirs", "eth0 tcx_egress theirs"]
    finally:
        for link in links:
            os.close(link)
    assert clean(served.prod)


def test_a_later_tcx_program_stays(served: Testbed, foreign: int) -> None:
    """What others attach while we are there is still there and running when we have gone."""
    agent = attach(served)
    links: list[int] = []
    try:
        use(served)
        agent.wait_compared(3)
        links += [put_tcx(served, foreign, hook) for hook in TCX_HOOKS]
        agent.stop()
        before = bpf.program_info(foreign).run_count
        use(served)
        assert bpf.program_info(foreign).run_count > before
        assert len(hooks(served.prod)) == 2
    finally:
        for link in links:
            os.close(link)
    assert clean(served.prod)


def put_filter(program: int, preference: int) -> None:
    """A filter in direct-action mode on both hooks of eth0, in the namespace of the caller."""
    with IPRoute() as netlink:
        index = socket.if_nametoindex("eth0")
        with contextlib.suppress(NetlinkError):  # it exists
            netlink.tc("add", "clsact", index)
        for parent in (0xFFFFFFF2, 0xFFFFFFF3):
            netlink.tc(
                *("add-filter", "bpf", index),
                handle=1,
                parent=parent,
                prio=preference,
                protocol=0x0003,
                fd=program,
                name="theirs",
                direct_action=True,
            )


# Who comes later at the same preference goes first, as with tc itself: that one is not ours to win.
@pytest.mark.parametrize(
    ("mechanism", "earlier", "preference"),
    [
        *(("tcx", earlier, preference) for earlier in (True, False) for preference in (1, 7)),
        *(("clsact", True, 1), ("clsact", True, 7), ("clsact", False, 7)),
    ],
)
def test_other_clsact_filters_still_run(
    served: Testbed, foreign: int, mechanism: str, earlier: bool, preference: int
) -> None:
    """A filter that ends the chain with OK neither blinds us nor is touched, nor is its qdisc."""
    if earlier:
        served.prod.call(put_filter, foreign, preference)
    agent = attach(served, "--mechanism", mechanism)
    if not earlier:
        served.prod.call(put_filter, foreign, preference)
    before = bpf.program_info(foreign).run_count
    mirrors(agent, served)
    assert bpf.program_info(foreign).run_count > before
    assert hooks(served.prod) == ["eth0 clsact/ingress theirs", "eth0 clsact/egress theirs"]
    served.prod.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
    assert clean(served.prod)


@MECHANISMS
def test_second_attach_is_refused(served: Testbed, mechanism: str) -> None:
    """The same interface and port, by any name, is one line and exit 2; the first lives."""
    home = Home(served)
    agent = attach(served, "--mechanism", mechanism, home=home)
    before = hooks(served.prod)
    for more in ((), ("--target", "other"), ("--port", "9999", "--target", "third")):
        code, line = refused(served, *options(served), *more, home=home)
        assert code == 2
        assert "already" in line
        assert "detach" in line
    code, line = refused(
        served,
        *(
            "--iface",
            "lo",
            "--port",
            "1",
            "--shadow",
            served.shadow.url(1),
            "--target",
            "eth0-8080",
        ),
        home=home,
    )
    assert code == 2
    assert "target eth0-8080 is attached already" in line
    assert hooks(served.prod) == before
    mirrors(agent, served)
    assert clean(served.prod)


def kill(agent: Agent) -> None:
    """The whole agent at once, as the kernel does when memory is short."""
    pids = agent.process.tree()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    agent.process.wait(10)


def test_stale_filter_is_removed_at_start(served: Testbed) -> None:
    """A killed agent's clsact filters are replaced by the next start of the target, and named."""
    home = Home(served)
    kill(attach(served, "--mechanism", "clsact", home=home))
    assert len(hooks(served.prod)) == 4
    use(served)
    agent = attach(served, "--mechanism", "clsact", home=home)
    assert "removed what a killed agent left: eth0-8080" in agent.process.errors()
    assert len(hooks(served.prod)) == 4
    mirrors(agent, served)
    assert clean(served.prod)


def test_stale_filter_is_removed_by_detach(served: Testbed, foreign: int) -> None:
    """``detach`` clears what a killed agent left, of that target only, and never another's."""
    home = Home(served)
    kill(attach(served, "--mechanism", "clsact", home=home))
    served.prod.call(put_filter, foreign, 7)
    other = home.command("detach", "--target", "another")
    assert (other.returncode, other.stdout) == (0, "nothing is attached as another\n")
    assert len(hooks(served.prod)) == 6
    done = home.command("detach")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("removed what was left of eth0-8080: ") for line in lines)
    assert hooks(served.prod) == ["eth0 clsact/ingress theirs", "eth0 clsact/egress theirs"]
    assert "clsact" not in served.prod.run("tc", "qdisc", "show", "dev", "eth1").stdout
    served.prod.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
    again = home.command("detach")
    assert (again.returncode, again.stdout) == (0, "nothing is attached\n")
    mirrors(attach(served, home=home), served)


def test_killed_agent_on_tcx_leaves_nothing(served: Testbed) -> None:
    """Links die with the process that holds them, so no worker may hold one."""
    home = Home(served)
    agent = attach(served, "--workers", "2", "--metrics", "127.0.0.1:9464", home=home)
    assert len(hooks(served.prod)) == 4
    os.kill(agent.pid, signal.SIGKILL)
    eventually(lambda: hooks(served.prod) == [], 10, "links gone")
    use(served)
    mirrors(attach(served, home=home), served)
