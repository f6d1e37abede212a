"""100,000 open connections of production, mostly idle: memory, and the shadow's share of them."""

from __future__ import annotations

import socket
import time
from typing import Final

from shadow_agent.flow.segment import ACK, PSH, SYN
from tests.bench.agent import PORT, Agent
from tests.bench.figure import Figure, at_least, at_most
from tests.bench.paper import Connection
from tests.testbed import Testbed, nginx
from tests.testbed.host import Host
from tests.testbed.topology import PROD_V4
from tests.testbed.wait import eventually

_FLOWS: Final = 100_000
_BATCH: Final = 500
_CAP: Final = 1024  # limits.max-connections as shipped
_DEAF: Final = (
    "table inet deaf { chain in { type filter hook prerouting priority -400; "
    f"iifname eth0 tcp dport {PORT} drop; iifname eth0 tcp sport {PORT} drop; }} }}"
)
_GET: Final = b"GET /api/items/7 HTTP/1.1\r\nHost: shop\r\n\r\n"


def open_flows() -> list[Figure]:
    """Each flow opens, has one exchange and stays; frames are ours, the tap and shadow are real."""
    part = f"{_FLOWS:,} open flows, live, one exchange each, then idle"
    with Testbed() as bed:
        nginx.start(bed.shadow, "v1", PORT)
        # The kernel knows none of these connections: it must neither answer nor refuse them.
        for host in (bed.client, bed.prod):
            host.run("nft", "add table inet quiet")
            host.run(
                "nft", "add chain inet quiet in { type filter hook prerouting priority -400; }"
            )
            host.run("nft", f"add rule inet quiet in tcp dport {PORT} iifname eth0 drop")
            host.run("nft", f"add rule inet quiet in tcp sport {PORT} iifname eth0 drop")
        with Agent(bed) as agent:
            before, _ = agent.memory()
            most = _open(bed, agent)
            pss, rss = agent.memory()
            summary = agent.summary()
    ledger = summary["ledger"]
    heads = ledger["requests"]["heads"]
    note = f"ring full: {ledger['packets']['ring_full']:,} packets"
    return [
        Figure(part, "requests read", heads, "", at_least(_FLOWS, ""), note=note),
        Figure(part, "memory per flow", (pss - before) * 1e6 / _FLOWS, "B", at_most(2_048, "B")),
        Figure(part, "memory (PSS)", pss, "MB"),
        Figure(part, "memory (RSS)", rss, "MB"),
        Figure(part, "connections to the shadow, most", most, "", at_most(_CAP, "")),
        Figure(part, "coverage", summary["coverage"], note="flows beyond the cap are shed by name"),
    ]


def _open(bed: Testbed, agent: Agent) -> int:
    """Opens all flows, a batch at a time; the most connections that the shadow had meanwhile."""
    body = b'{"id": 7}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    macs = _mac(bed.client), _mac(bed.prod)
    outside, inside = _raw(bed.client), _raw(bed.prod)
    most = 0
    with outside, inside:
        for start in range(0, _FLOWS, _BATCH):
            for number in range(start, start + _BATCH):
                client = f"10.0.1.{10 + number // 60_000}", 1_024 + number % 60_000
                made = Connection(client, (PROD_V4, PORT), macs)
                outside.send(made.frame(0, flags=SYN))
                inside.send(made.frame(1, flags=SYN | ACK))
                outside.send(made.frame(0, _GET, PSH | ACK))
                inside.send(made.frame(1, answer, PSH | ACK))
            if start % 5_000 == 0:
                most = max(most, _connections(bed.shadow))
            time.sleep(0.16)  # some 3,000 flows a second: each is a connection to the shadow too
        most = max(most, _connections(bed.shadow))

    def settled() -> bool:
        """Two looks in a row cost the agent nothing more."""
        first = agent.cpu().worker
        time.sleep(0.5)
        return agent.cpu().worker - first < 0.1

    eventually(settled, 60, "the agent has caught up")
    return most


def _raw(host: Host) -> socket.socket:
    made = host.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind(("eth0", 0))
    return made


def _mac(host: Host) -> bytes:
    shown = host.run("ip", "-o", "link", "show", "eth0").stdout
    return bytes.fromhex(shown.partition("link/ether ")[2][:17].replace(":", ""))


def _connections(host: Host) -> int:
    return len(host.run("ss", "-Htn", "state", "established").stdout.splitlines())
