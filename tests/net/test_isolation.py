"""Nothing of the shadow's ever reaches a client; what would is seen, counted and ends mirroring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import TCP
from scapy.utils import PcapReader

from tests.net.agent import PORT, at, attach, balanced
from tests.net.conftest import ended_after
from tests.net.requests import ask, connected
from tests.testbed import Testbed, eventually, nginx, pyserver, tools, traffic
from tests.testbed.capture import Capture
from tests.testbed.modes import Mode
from tests.testbed.topology import CLIENT_V4, CLIENT_V6, PROD_V4, PROD_V6

# Short deadlines, so that a shadow that hangs does not make the test wait.
QUICK = {"first-byte-timeout-s": 0.3, "whole-timeout-s": 0.6, "connect-timeout-s": 0.3}
CLIENT_SIDE = f"(host {CLIENT_V4} and host {PROD_V4}) or (host {CLIENT_V6} and host {PROD_V6})"


def payload(pcap: Path) -> bytes:
    """Every TCP payload byte of a capture, one after the other."""
    with PcapReader(str(pcap)) as packets:
        return b"".join(bytes(packet[TCP].payload) for packet in packets if TCP in packet)


@pytest.mark.parametrize(
    "mode",
    [
        *(Mode.OK, Mode.HANG, Mode.RESET, Mode.GARBAGE, Mode.ENDLESS),
        *(Mode.SLOW_DRIP, Mode.TOO_LONG, Mode.CLOSE_SILENT),
    ],
)
def test_not_a_byte_of_the_shadow_reaches_clients(bed: Testbed, mode: Mode) -> None:
    """Captured on the client-facing interface: production's packets, and only they."""
    nginx.start(bed.service, "v1")
    pyserver.start(bed.shadow, mode, answers={"/health": "200:from-the-shadow"}, max_bytes=1 << 24)
    shadow = f"host {bed.shadow.v4} or host {bed.shadow.v6} or net 10.0.0.0/24"
    with Capture(bed.prod, "eth0", "ip or ip6") as capture:
        agent = attach(bed, limits=QUICK)
        for ipv6 in (False, True):
            url = bed.service.url(PORT, ipv6=ipv6)
            result = traffic.drive(bed.client, f"{url}/health", requests=20, connections=4)
            assert result.by_status == {"200": 20}
            assert (result.errors, result.unasked) == ({}, 0)
        summary = agent.stop()
    assert at(summary["ledger"], "replay.replayed") > 0
    assert capture.count(f"tcp port {PORT}") > 40
    assert capture.count(shadow) == 0
    assert capture.count(f"tcp and not ({CLIENT_SIDE})") == 0
    seen = payload(capture.pcap)
    assert b"from-the-shadow" not in seen
    assert b"Server: pyserver" not in seen
    # one request each, not one more: what is replayed does not pass here
    assert seen.count(b"GET /health") == 40
    assert summary["alerts"] == []


def test_sockets_are_bound_to_the_shadow_interface(bed: Testbed) -> None:
    """Whatever the routes say later, a connection to the shadow leaves by its interface only."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed)
    with connected(bed.client, bed.service) as connection:
        assert ask(connection, "/health")[0] == 200
        agent.wait_compared(1)
        shown = bed.prod.run("ss", "-H", "-tnp", "dst", bed.shadow.v4).stdout.splitlines()
        assert len(shown) == 1
        assert f"%{bed.shadow_iface}:" in shown[0]
        assert f"pid={agent.ask('status')['workers'][0]}," in shown[0]
        assert f"pid={agent.pid}," not in shown[0]
        agent.stop()


def test_a_changed_route_does_not_lead_replays_to_clients(bed: Testbed) -> None:
    """With the shadow's network routed to the clients' interface, nothing goes there."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, limits=QUICK)
    route = (f"{bed.shadow.v4}/32", "via", bed.client.v4, "dev", "eth0")
    bed.prod.run("ip", "route", "add", *route)
    try:
        with Capture(bed.prod, "eth0", f"host {bed.shadow.v4}") as capture:
            assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200
            summary = agent.stop()
        assert capture.count("tcp") == 0
    finally:
        bed.prod.run("ip", "route", "del", *route)
    assert at(summary["ledger"], "pairs.compared") == 1


@pytest.fixture(scope="module")
def forwarding_bed() -> Iterator[Testbed]:
    """A production host that forwards: there the shadow could answer a client."""
    with Testbed(forwarding=True) as built:
        yield built


@pytest.fixture
def leaky(forwarding_bed: Testbed) -> Iterator[Testbed]:
    """Such a host on which nothing runs."""
    yield from ended_after(forwarding_bed)


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_a_packet_of_the_shadows_stops_mirroring(leaky: Testbed, ipv6: bool) -> None:
    """It is forwarded as ever, never dropped; but mirroring ends at once and an alert is raised."""
    bed = leaky
    production = nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    agent = attach(bed, "--metrics", "127.0.0.1:9464", ipv6=ipv6)
    assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200
    agent.wait_compared(1)
    assert agent.ask("status")["tripped"] is False
    # the shadow connects to a port of the client where nobody listens: the refusal comes back
    client = bed.client.v6 if ipv6 else bed.client.v4
    url = f"http://[{client}]:9" if ipv6 else f"http://{client}:9"
    with Capture(bed.client, "eth0", "tcp port 9") as capture:
        assert tools.curl(bed.shadow, url).exit == 7
    assert capture.count() >= 2
    # in the kernel, before user space has noticed
    for _ in range(5):
        assert tools.curl(bed.client, bed.service.url(PORT, "/health")).status == 200
    eventually(lambda: bool(agent.ask("status")["alerts"]), 10, "alert")
    status = agent.ask("status")
    assert (status["tripped"], status["paused"]) == (True, True)
    assert "shadow" in status["alerts"][0]
    eventually(
        lambda: (
            "shadow_agent_alerts 1" in scrape(bed).replace('{target="eth0-8080"}', "")
            or 'alerts_total{target="eth0-8080"} 1' in scrape(bed)
        ),
        10,
        "alert in the metrics",
    )
    resumed = agent.home.command("ctl", "resume")
    assert resumed.returncode != 0
    assert agent.ask("status")["paused"] is True
    shown = agent.home.command("status").stdout
    assert "stopped by an alert" in shown
    summary = agent.stop()
    assert "ALERT" in agent.process.errors()
    assert balanced(summary)
    assert len(summary["alerts"]) == 1
    assert at(summary["ledger"], "requests.started") == 1
    assert at(summary["ledger"], "packets.paused") >= 10
    assert production.served() == 6


def scrape(bed: Testbed) -> str:
    """The metrics, as Prometheus would get them."""
    return tools.curl(bed.prod, "http://127.0.0.1:9464/metrics").body.decode()
