"""Every way to get the tap into the kernel mirrors alike, leaves others alone and leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from shadow_agent.kernel import bcc_loader, bpf
from shadow_agent.kernel.program import Loader, load
from tests.net.agent import (
    PORT,
    Agent,
    Home,
    at,
    attach,
    clean,
    clsact_filters,
    drained,
    hooks,
    options,
    refused,
)
from tests.testbed import Testbed, eventually, pyserver, tools

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


@pytest.fixture
def foreign() -> Iterator[dict[str, int]]:
    """Another's programs, by entry name: they pass every packet on, and count their runs."""
    statistics = bpf.enable_run_time_stats()
    loaded = load(Loader.LIBBPF, ["tap_ingress", "tap_egress"])  # without a lease: they do nothing
    yield loaded.programs
    loaded.close()
    os.close(statistics)


def put_tcx(bed: Testbed, program: int) -> int:
    """Attach a program to production's ingress as another tool would; the link's fd."""

    def link() -> int:
        index = socket.if_nametoindex("eth0")
        return bpf.create_tcx_link(program, index, bpf.AttachType.TCX_INGRESS)

    return bed.prod.call(link)


@pytest.mark.parametrize("earlier", [True, False], ids=["before-us", "after-us"])
def test_other_tcx_programs_still_run(
    served: Testbed, foreign: dict[str, int], earlier: bool
) -> None:
    """Whoever came first: another's program runs for each packet, and stays when we go."""
    program = foreign["tap_ingress"]
    theirs = put_tcx(served, program) if earlier else -1
    agent = attach(served)
    try:
        if not earlier:
            theirs = put_tcx(served, program)
        assert len([one for one in hooks(served.prod) if one.startswith("eth0 tcx_ingress")]) == 2
        before = bpf.program_info(program).run_count
        mirrors(agent, served)
        assert bpf.program_info(program).run_count > before
        assert hooks(served.prod) == ["eth0 tcx_ingress tap_ingress"]
    finally:
        os.close(theirs)
    assert clean(served.prod)


OTHERS = ("pref 7", "matchall chain 0 handle 0x1", "action order 1: gact action pass")


@MECHANISMS
@pytest.mark.parametrize("earlier", [True, False], ids=["before-us", "after-us"])
def test_other_clsact_filters_still_run(served: Testbed, mechanism: str, earlier: bool) -> None:
    """A filter that ends the chain with OK neither blinds us nor is touched, nor is its qdisc."""

    def put() -> None:
        prod = served.prod
        prod.run("tc", "qdisc", "add", "dev", "eth0", "clsact", check=earlier)
        for hook in ("ingress", "egress"):
            spec = ("dev", "eth0", hook, "pref", "7", "protocol", "all", "matchall")
            prod.run("tc", "filter", "add", *spec, "action", "pass")

    if earlier:
        put()
    agent = attach(served, "--mechanism", mechanism)
    if not earlier:
        put()
    mirrors(agent, served)
    for hook in ("ingress", "egress"):
        shown = served.prod.run(
            "tc", "-s", "filter", "show", "dev", "eth0", hook
        ).stdout
        for sign in OTHERS:
            assert sign in shown
        assert "shadow-agent" not in shown
        assert " 0 pkt" not in shown, "their filter did not run"
    served.prod.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
    assert clean(served.prod)


@MECHANISMS
def test_second_attach_is_refused(served: Testbed, mechanism: str) -> None:
    """The same interface and port, also by another name, is one line and exit 2; the first lives."""
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
        *("--iface", "lo", "--port", "1", "--shadow", served.shadow.url(1), "--target", "eth0-8080"),
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


def test_stale_filter_is_removed_by_detach(served: Testbed) -> None:
    """``detach`` clears what a killed agent left, of that target only, and never another's."""
    home = Home(served)
    kill(attach(served, "--mechanism", "clsact", home=home))
    served.prod.run(
        *("tc", "filter", "add", "dev", "eth0", "ingress", "pref", "7", "protocol", "all"),
        *("matchall", "action", "pass"),
    )
    other = home.command("detach", "--target", "another")
    assert (other.returncode, other.stdout) == (0, "nothing is attached as another\n")
    assert len(hooks(served.prod)) == 4
    done = home.command("detach")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("removed what was left of eth0-8080: ") for line in lines)
    assert hooks(served.prod) == []
    assert "matchall" in clsact_filters(served.prod, "eth0", "ingress")
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
