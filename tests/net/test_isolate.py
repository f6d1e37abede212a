"""``--isolate``: the shadow's side in a namespace of its own, and no way from there to clients."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.net.agent import (
    PATIENCE_S,
    PORT,
    Agent,
    accounted,
    at,
    attach,
    balanced,
    options,
    refused,
)
from tests.net.conftest import ended_after
from tests.net.faults import (
    ITEMS,
    QUICK,
    attach_with,
    drive,
    gone,
    repeated,
    untouched,
    wait_named,
    wait_settled,
)
from tests.testbed import Testbed, eventually, links, nginx, ns, pyserver, traffic
from tests.testbed.capture import Capture
from tests.testbed.modes import Mode
from tests.testbed.topology import PROD_SHADOW_V4, PROD_SHADOW_V6, SHADOW_V4, SHADOW_V6

T = TypeVar("T")

OWN_V4, OWN_V6 = "10.0.0.77", "fd00::77"
ISOLATED = ("--isolate", "--isolate-address", f"{OWN_V4}/24")
ISOLATED_V6 = ("--isolate", "--isolate-address", f"{OWN_V6}/64")
# no answer within the time given, or nobody who knows the address
SILENCE = {errno.EAGAIN, errno.ETIMEDOUT, errno.EHOSTUNREACH}
SHADOW_SIDE = "net 10.0.0.0/24 or net fd00::/64"


@pytest.fixture(scope="module")
def forwarding_bed() -> Iterator[Testbed]:
    """A production host that forwards, with routes both ways: what must not become a bridge."""
    with Testbed(forwarding=True) as built:
        yield built


@pytest.fixture
def leaky(forwarding_bed: Testbed) -> Iterator[Testbed]:
    """Such a host on which nothing runs."""
    yield from ended_after(forwarding_bed)


def within(pid: int, function: Callable[[], T]) -> T:
    """Run it in a process's network namespace, in a thread of its own."""
    results: list[T | BaseException] = []

    def run() -> None:
        try:
            fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
            try:
                assert ns._LIBC.setns(fd, ns._CLONE_NEWNET) == 0
            finally:
                os.close(fd)
            results.append(function())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]


def reach(address: str, port: int) -> int:
    """The errno of a connection from where the caller is; 0: it was accepted."""
    with socket.socket() as sock:
        sock.settimeout(0.5)
        return sock.connect_ex((address, port))


def namespace_of(pid: int) -> str:
    """Its network namespace, by number."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def holders(namespace: str) -> list[str]:
    """Whatever keeps a namespace alive that can be seen from here: processes, files, mounts."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for link in (entry / "ns/net", *_files(entry)):
                try:
                    if str(link.readlink()) == namespace:
                        found.append(str(link))
                except OSError:
                    continue
    number = re.findall(r"\d+", namespace)[0]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    return found + [line for line in mounts.splitlines() if f"net:[{number}]" in line]


def _files(entry: Path) -> list[Path]:
    try:
        return list((entry / "fd").iterdir())
    except OSError:
        return []


def macs(bed: Testbed) -> str:
    """Hardware addresses that the shadow interface of production's host listens to."""
    return bed.prod.run("bridge", "fdb", "show", "dev", bed.shadow_iface).stdout


def mac_of(agent: Agent) -> str:
    """The macvlan's, as status says."""
    found = re.search(r"at (\S+) on", agent.ask("status")["isolation"]["namespace"])
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize(
    ("mode", "ipv6"),
    [(Mode.OK, False), (Mode.OK, True), (Mode.RESET, False), (Mode.GARBAGE, False)],
    ids=["ipv4", "ipv6", "reset", "garbage"],
)
def test_not_one_packet_on_the_client_side(leaky: Testbed, mode: Mode, ipv6: bool) -> None:
    """Nothing from or to the shadow or the macvlan, on a host that forwards between the two."""
    bed = leaky
    nginx.start(bed.service, "v1")
    pyserver.start(bed.shadow, mode)
    isolated = ISOLATED_V6 if ipv6 else ISOLATED
    with (
        Capture(bed.prod, "eth0", SHADOW_SIDE) as near,
        Capture(bed.client, "eth0", SHADOW_SIDE) as far,
        Capture(bed.shadow, "eth0", f"host {OWN_V6 if ipv6 else OWN_V4}") as there,
    ):
        agent = attach(bed, *isolated, ipv6=ipv6, limits={"first-byte-timeout-s": 0.3})
        result = traffic.drive(bed.client, bed.service.url(PORT, "/health"), requests=20)
        assert result.by_status == {"200": 20}
        summary = agent.stop()
    assert at(summary["ledger"], "replay.replayed") > 0
    assert near.count() == far.count() == 0
    assert there.count("tcp") > 0, "that is where they were"
    assert summary["alerts"] == []


def test_no_route_between_the_sides(leaky: Testbed) -> None:
    """Though the host forwards: from the namespace to a client, or from a client to the macvlan."""
    bed = leaky
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, *ISOLATED)
    drive(bed, 5)
    agent.wait_compared(5)
    worker = agent.ask("status")["workers"][0]
    assert namespace_of(worker) != namespace_of(agent.pid)

    assert within(worker, lambda: reach(bed.shadow.v4, PORT)) == 0
    assert within(worker, lambda: reach(bed.client.v4, 9)) == errno.ENETUNREACH
    assert within(worker, lambda: reach(bed.prod.v4, PORT)) == errno.ENETUNREACH
    # the host itself and whoever it forwards for cannot speak to it either
    assert bed.client.call(reach, bed.shadow.v4, PORT) == 0, "this host forwards"
    assert bed.client.call(reach, OWN_V4, PORT) in SILENCE
    assert bed.prod.call(reach, OWN_V4, PORT) in SILENCE
    # every socket to the shadow is inside
    assert bed.prod.run("ss", "-Htn", "dst", bed.shadow.v4, "dport", "=", str(PORT)).stdout == ""
    agent.stop()


@pytest.mark.parametrize("mechanism", ["tcx", "clsact"])
def test_latency_is_the_kernels(bed: Testbed, mechanism: str) -> None:
    """The tap is on the macvlan, inside: our own connections with their timestamps, every one."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, *ISOLATED, "--workers", "2", "--mechanism", mechanism)
    drive(bed, 40, connections=4)
    agent.wait_compared(40)
    status = agent.ask("status")
    assert status["attached"] == {"eth0": mechanism, "eth1": mechanism}
    assert status["isolation"]["notrack"] == "not needed (a namespace of its own)"
    summary = agent.stop()
    assert summary["latency_unknown"] == {}
    assert summary["latency_us"]["shadow"]["p50"] > 0
    assert summary["shadow_packets"]["copied"] > 0
    assert summary["ledger"]["pairs"]["compared"] == 40


def test_the_host_needs_no_address_there(bed: Testbed) -> None:
    """Neither an address nor a route of the shadow's subnet."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    bed.prod.run("ip", "addr", "flush", "dev", "eth1")
    try:
        agent = attach(bed, *ISOLATED)
        drive(bed, 5)
        agent.wait_compared(5)
        agent.stop()
    finally:
        links.up(bed.prod, "eth1", f"{PROD_SHADOW_V4}/24", f"{PROD_SHADOW_V6}/64")


def test_kill_leaves_nothing(bed: Testbed) -> None:
    """The supervisor is killed: no namespace, no macvlan, nobody at its address."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, *ISOLATED, "--workers", "2")
    drive(bed, 5)
    agent.wait_compared(5)
    workers, mac = agent.ask("status")["workers"], mac_of(agent)
    inside = namespace_of(workers[0])
    assert mac in macs(bed)
    assert holders(inside)
    assert bed.shadow.call(reach, OWN_V4, 1) == errno.ECONNREFUSED, "somebody is there"
    os.kill(agent.pid, signal.SIGKILL)
    eventually(lambda: gone([agent.pid, *workers]), PATIENCE_S, "dead")
    eventually(lambda: mac not in macs(bed), PATIENCE_S, "macvlan gone")
    assert holders(inside) == []
    assert bed.shadow.call(reach, OWN_V4, 1) in SILENCE
    drive(bed, 5)
    again = attach(bed, *ISOLATED)  # the address is free
    assert mac_of(again) == mac, "as the switch knows it"
    again.stop()
    eventually(lambda: mac not in macs(bed), PATIENCE_S, "macvlan gone again")


def test_a_new_worker_is_inside_too(bed: Testbed) -> None:
    """Without a capability to enter namespaces: a thread that is there forks it."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, *ISOLATED)
    (before,) = agent.ask("status")["workers"]
    inside = namespace_of(before)
    os.kill(before, signal.SIGKILL)
    eventually(
        lambda: agent.ask("status")["workers"] not in ([], [before]),
        PATIENCE_S,
        "another worker",
        agent.pid,
    )
    (after,) = agent.ask("status")["workers"]
    assert namespace_of(after) == inside
    drive(bed, 5)
    agent.wait_compared(5)
    for task in Path(f"/proc/{agent.pid}/task").iterdir():
        text = (task / "status").read_text(encoding="ascii")
        caps = int(re.findall(r"^CapEff:\s*(\w+)", text, re.MULTILINE)[0], 16)
        assert not caps & 1 << 21, "CAP_SYS_ADMIN"
    agent.stop()


def test_the_interface_vanishes_and_comes_back(bed: Testbed) -> None:
    """The macvlan goes with its parent, and is made again on the new one."""
    nginx.start(bed.service)
    pyserver.start(bed.shadow)
    agent = attach_with(bed, QUICK, *ISOLATED)
    sent = drive(bed, 10).sent
    wait_settled(agent, sent)
    links.delete(bed.prod, "eth1")
    try:
        agent.process.wait_output("interface eth1 is gone", PATIENCE_S)
        sent += drive(bed, 10, connections=2).sent
        assert wait_settled(agent, sent)["pairs"]["compared"] == 10
    finally:
        links.veth(bed.prod, "eth1", bed.shadow, "eth0")
        links.up(bed.prod, "eth1", f"{PROD_SHADOW_V4}/24", f"{PROD_SHADOW_V6}/64")
        links.up(bed.shadow, "eth0", f"{SHADOW_V4}/24", f"{SHADOW_V6}/64")
    agent.process.wait_output("interface eth1 is back", PATIENCE_S)
    (worker,) = agent.ask("status")["workers"]
    eventually(
        lambda: within(worker, lambda: reach(bed.shadow.v4, PORT)) == 0,
        PATIENCE_S,
        "the shadow is reached",
    )
    sent += drive(bed, 10).sent
    wait_settled(agent, sent)
    summary = agent.stop()
    assert balanced(summary)
    assert summary["outcomes"] == {"answered": 20}
    assert [one["iface"] for one in summary["interruptions"]] == ["eth1"]


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--isolate"], 2, "--isolate: the namespace has no address"),
        (
            ["--isolate", "--isolate-address", "10.0.9.7/24"],
            2,
            "the shadow 10.0.0.9 is not in 10.0.9.0/24",
        ),
        (["--isolate", "--isolate-address", "10.0.0.9/24"], 2, "is the shadow's own"),
        (["--isolate", "--isolate-address", "10.0.0.2/24"], 2, "is this host's already"),
        (
            ["--isolate", "--isolate-address", "10.0.0.77/24", "--require-shadow"],
            4,
            "from 10.0.0.77/24 at 02:",
        ),
    ],
)
def test_what_is_refused(bed: Testbed, more: list[str], code: int, said: str) -> None:
    """In one line, with the fix; no namespace stays behind."""
    before = macs(bed)
    found = refused(bed, *options(bed), *more)
    assert found[0] == code
    assert said in found[1]
    eventually(lambda: macs(bed) == before, PATIENCE_S, "no macvlan")


def test_the_interface_goes_down_and_up(bed: Testbed) -> None:
    """Down is not gone: the macvlan stays, what was sent meanwhile failed, and it goes on."""
    nginx.start(bed.service)
    pyserver.start(bed.shadow)
    agent = attach_with(bed, QUICK, *ISOLATED)
    sent = drive(bed, 10).sent
    wait_settled(agent, sent)
    mac = mac_of(agent)
    for compared in (20, 30):
        bed.prod.run("ip", "link", "set", "eth1", "down")
        eventually(
            lambda n=compared // 10: agent.process.errors().count("eth1 is down") == n - 1,  # type: ignore[misc]
            PATIENCE_S,
            "it is told",
        )
        sent += drive(bed, 10, connections=2).sent
        wait_settled(agent, sent)
        bed.prod.run("ip", "link", "set", "eth1", "up")
        eventually(
            lambda n=compared // 10: agent.process.errors().count("eth1 is back") == n - 1,  # type: ignore[misc]
            PATIENCE_S,
            "it is told",
        )
        (worker,) = agent.ask("status")["workers"]
        eventually(
            lambda pid=worker: within(pid, lambda: reach(bed.shadow.v4, PORT)) == 0,  # type: ignore[misc]
            PATIENCE_S,
            "the shadow is reached",
        )
        sent += drive(bed, 10).sent
        wait_settled(agent, sent)
        assert agent.ask("status")["outcomes"]["answered"] == compared
        assert mac_of(agent) == mac
    summary = agent.stop()
    assert balanced(summary)
    assert summary["outcomes"] == {"answered": 30}, "none of it was the shadow's fault"
    assert summary["ledger"]["replay"]["failed"] == {"link_down": 20}
    assert summary["coverage"] == pytest.approx(0.6)
    assert [one["iface"] for one in summary["interruptions"]] == ["eth1", "eth1"]


def test_killed_workers_repeat_nothing(bed: Testbed) -> None:
    """All of them, thrice under traffic: each request is sent once, from inside, and named."""
    nginx.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach_with(bed, {}, *ISOLATED, "--workers", "2")
    inside = namespace_of(agent.ask("status")["workers"][0])
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=200, duration=60, connections=8
    )
    for _ in range(3):
        agent.wait_compared(at(agent.ledger(), "pairs.compared") + 100)
        dead = agent.ask("status")["workers"]
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        eventually(
            lambda dead=dead: len(set(agent.ask("status")["workers"]) - set(dead)) == 2,  # type: ignore[misc]
            PATIENCE_S,
            "other workers",
            agent.pid,
        )
    assert {namespace_of(pid) for pid in agent.ask("status")["workers"]} == {inside}
    result = running.stop()
    assert untouched(result)
    wait_named(agent, result.sent)
    summary = agent.stop()
    assert accounted(summary["ledger"]) == result.sent
    assert repeated(shadow) == {}
    assert {one["peer"].split()[0] for one in shadow.requests()} == {OWN_V4}
    assert set(summary["outcomes"]) == {"answered"}, "the agent's own fault is not the shadow's"
