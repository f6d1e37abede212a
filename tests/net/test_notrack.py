"""Connections to the shadow stay out of production's conntrack table; nothing is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.net.agent import PATIENCE_S, PORT, attach
from tests.testbed import Testbed, eventually, nginx, traffic

# What tracks connections on most hosts: a firewall that looks at their state.
TRACKING = (
    "table inet fw { chain input { type filter hook input priority filter; policy accept; "
    "ct state established,related accept; }; }"
)
# As most of them end: whatever nobody asked for is dropped.
STRICT = (
    "table inet fw { chain input { type filter hook input priority filter; policy drop; "
    f'ct state established,related accept; iif "lo" accept; meta l4proto icmpv6 accept; '
    f"tcp dport {PORT} accept; }}; }}"
)


@pytest.fixture
def firewalled(bed: Testbed) -> Iterator[Testbed]:
    """Both builds run; the firewall is the test's."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    yield bed
    bed.prod.run("nft", "delete", "table", "inet", "fw", check=False)


def tracked(bed: Testbed) -> int:
    """Connections to the shadow in production's table, those that were closed lately too."""
    text = bed.prod.call(Path("/proc/thread-self/net/nf_conntrack").read_text)
    return sum(f"dst={bed.shadow.v4} " in line for line in text.splitlines())


def tables(bed: Testbed) -> str:
    """Every table of production's host."""
    return bed.prod.run("nft", "list", "tables").stdout


def mirror(bed: Testbed, number: int = 20) -> None:
    """So many requests, each on a connection of its own."""
    url = bed.service.url(PORT, "/health")
    result = traffic.drive(bed.client, url, requests=number, connections=4, keep_alive=False)
    assert result.by_status == {"200": number}


def test_they_are_not_tracked(firewalled: Testbed) -> None:
    """But for those that found out whether it works; production's are, as ever."""
    bed = firewalled
    bed.prod.run("nft", TRACKING)
    agent = attach(bed)
    assert agent.ask("status")["isolation"]["notrack"] == "on"
    before = tracked(bed)
    mirror(bed)
    agent.wait_compared(20)
    assert tracked(bed) == before <= 2
    assert "shadow-agent-eth0-8080" in tables(bed)
    agent.stop()
    assert "shadow-agent" not in tables(bed)


def test_asked_not_to(firewalled: Testbed) -> None:
    """Then they are tracked like others, and no table is made."""
    bed = firewalled
    bed.prod.run("nft", TRACKING)
    agent = attach(bed, "--notrack", "off")
    assert agent.ask("status")["isolation"]["notrack"] == "off (not asked for)"
    mirror(bed)
    agent.wait_compared(20)
    assert tracked(bed) >= 20
    assert "shadow-agent" not in tables(bed)
    agent.stop()


def test_nothing_tracks() -> None:
    """A rule that nobody needs would cost every packet: there is none."""
    with Testbed() as fresh:  # where no other test left entries
        nginx.start(fresh.service, "v1")
        nginx.start(fresh.shadow, "v1")
        agent = attach(fresh)
        assert agent.ask("status")["isolation"]["notrack"] == "off (nothing is tracked here)"
        assert tables(fresh) == ""
        agent.stop()


def test_a_firewall_that_needs_them(firewalled: Testbed) -> None:
    """It would take the shadow's answers for strangers: found out at start, undone, said."""
    bed = firewalled
    bed.prod.run("nft", STRICT)
    agent = attach(bed)
    state = agent.ask("status")["isolation"]["notrack"]
    assert state == "off (this host's firewall or NAT wants to track them)"
    assert "shadow-agent" not in tables(bed)
    mirror(bed)
    agent.wait_compared(20)
    agent.stop()


def test_a_killed_agent_leaves_no_table(firewalled: Testbed) -> None:
    """It is owned by a socket, which dies with the process."""
    bed = firewalled
    bed.prod.run("nft", TRACKING)
    agent = attach(bed)
    assert "shadow-agent" in tables(bed)
    os.kill(agent.pid, signal.SIGKILL)
    eventually(lambda: "shadow-agent" not in tables(bed), PATIENCE_S, "table gone")


def test_detach_removes_what_older_kernels_keep(firewalled: Testbed) -> None:
    """A table without an owner, as before Linux 5.12."""
    bed = firewalled
    bed.prod.run("nft", "add table ip shadow-agent-gone")
    agent = attach(bed)
    assert "shadow-agent-gone" in tables(bed), "another target's"
    agent.stop()
    done = agent.home.command("detach", "--target", "gone")
    assert "removed what was left of gone: nftables table shadow-agent-gone" in done.stdout
    assert tables(bed) == ""
