"""The testbed itself: what tests and benchmark rely on is true, and nothing of it stays behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import netns

from tests.testbed import NotYet, Testbed, leftovers, links, nginx, pyserver, sweep, tools, traffic
from tests.testbed.asks import Ask
from tests.testbed.capture import Capture
from tests.testbed.host import REPO
from tests.testbed.names import RunName, parse, process_start
from tests.testbed.needs import missing
from tests.testbed.ns import RUN_DIR, Namespace
from tests.testbed.wait import eventually

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]

OWNER = """
import sys
from tests.testbed import Testbed, nginx
with Testbed() as bed:
    nginx.start(bed.prod)
    bed.shadow.spawn("sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    print(bed.run.of("prod"), bed.directory, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def bed() -> Iterator[Testbed]:
    """A plain testbed."""
    with Testbed() as built:
        yield built


class Owner:
    """A process that owns a testbed with running servers, until a signal ends it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        assert self.process.stdout is not None
        prod, directory = self.process.stdout.readline().split()
        self.prod = Namespace(prod)
        self.directory = Path(directory)
        self.servers = self.prod.pids()

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        status = self.process.wait(20)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return status

    def gone(self) -> bool:
        """Whether namespaces, files and processes are no more."""
        run = self.prod.name.rpartition("-")[0]
        names = [path.name for path in RUN_DIR.iterdir()]
        alive = [pid for pid in self.servers if process_start(pid) is not None]
        return not (alive or self.directory.exists() or any(n.startswith(run) for n in names))


@pytest.mark.parametrize("ipv6", [False, True])
def test_hosts_reach_their_neighbours_only(bed: Testbed, ipv6: bool) -> None:
    """Client reaches prod, prod reaches shadow, and nothing is forwarded between the two."""
    pyserver.start(bed.prod)
    pyserver.start(bed.shadow)
    assert tools.curl(bed.client, bed.prod.url(8080, ipv6=ipv6)).status == 200
    assert tools.curl(bed.prod, bed.shadow.url(8080, ipv6=ipv6)).status == 200
    assert tools.curl(bed.client, bed.shadow.url(8080, ipv6=ipv6), timeout=1).status == 0


def test_interfaces_have_the_promised_names(bed: Testbed) -> None:
    """prod has eth0 to the client and eth1 to the shadow, up, and the machine sees none of it."""
    assert links.names(bed.prod) == ["eth0", "eth1", "lo"]
    assert links.names(bed.client) == ["eth0", "lo"]
    assert links.names(bed.shadow) == ["eth0", "lo"]
    assert links.all_up(bed.prod)


def test_one_armed_prod_reaches_the_shadow_through_eth0() -> None:
    """With one interface the way to the shadow crosses the one towards the clients."""
    with Testbed(one_armed=True) as bed:
        pyserver.start(bed.shadow)
        assert links.names(bed.prod) == ["eth0", "lo"]
        for ipv6 in (False, True):
            with Capture(bed.prod, "eth0", "tcp port 8080") as capture:
                assert tools.curl(bed.prod, bed.shadow.url(8080, ipv6=ipv6)).status == 200
            assert capture.count() > 5


def test_forwarding_prod_lets_the_shadow_reach_the_client() -> None:
    """Only with ``forwarding`` can a packet of the shadow's leave on the client's side."""
    with Testbed(forwarding=True) as bed:
        pyserver.start(bed.client)
        with Capture(bed.prod, "eth0", f"src host {bed.shadow.v4}") as capture:
            assert tools.curl(bed.shadow, bed.client.url(8080)).status == 200
        assert capture.count() > 3


def test_container_vanishes_and_comes_back() -> None:
    """The veth goes with its ifindex; the same name and addresses return and serve again."""
    with Testbed(container=True) as bed:
        nginx.start(bed.service)
        url = bed.service.url(8080)
        before = links.index(bed.prod, bed.service_iface)
        assert tools.curl(bed.client, url).status == 200
        bed.vanish_container()
        assert bed.service_iface not in links.names(bed.prod)
        assert tools.curl(bed.client, url, timeout=1).status == 0
        bed.return_container()
        assert links.index(bed.prod, bed.service_iface) != before
        assert tools.curl(bed.client, url).status == 200
        assert tools.curl(bed.client, bed.service.url(8080, ipv6=True)).status == 200


def test_builds_differ_as_declared(bed: Testbed) -> None:
    """v1 and v2 of nginx differ in what DIFFERENCES says, and in nothing else."""
    nginx.start(bed.prod, "v1")
    nginx.start(bed.shadow, "v2")
    found = set()
    for page in nginx.PAGES:
        data = ["-d", "x=1"] if page.method == "POST" else []
        one = tools.curl(bed.client, bed.prod.url(8080, page.target), *data)
        two = tools.curl(bed.prod, bed.shadow.url(8080, page.target), *data)
        assert one.exit == two.exit == 0
        if one.status != two.status:
            found.add((page.target, nginx.Kind.STATUS, f"{one.status}→{two.status}"))
        elif one.body != two.body:
            found.add((page.target, nginx.Kind.BODY, "body"))
    expected = {
        (difference.target, difference.kind, difference.detail)
        for difference in nginx.DIFFERENCES
        if difference.kind is not nginx.Kind.LATENCY
    }
    assert found == expected


def test_nginx_framing(bed: Testbed) -> None:
    """nginx offers declared lengths, chunks, no content and HEAD, and takes both upload forms."""
    server = nginx.start(bed.prod, access_log=True)

    def get(target: str, *options: str) -> tools.CurlResult:
        return tools.curl(bed.client, bed.prod.url(8080, target), *options)

    assert len(get("/big").body) == nginx.BIG_BYTES
    assert "Transfer-Encoding: chunked" in get("/chunked").headers
    assert get("/api/empty").status == 204
    head = get("/big", "-I")
    assert (head.status, head.body) == (200, b"")
    assert f"Content-Length: {nginx.BIG_BYTES}" in head.headers
    assert get("/api/orders", "-d", "x=1").status == 201
    assert get("/api/orders", "-H", "Transfer-Encoding: chunked", "-d", "x=1").status == 201
    assert server.served() == 6
    assert [line["method"] for line in server.requests()] == ["GET"] * 3 + ["HEAD"] + ["POST"] * 2


@pytest.mark.parametrize(
    "options",
    [
        {"rate": 1000},
        {"rate": 0},
        {"rate": 500, "keep_alive": False},
        {"rate": 0, "keep_alive": False, "connections": 4},
    ],
    ids=["open", "closed", "open-single", "closed-single"],
)
def test_traffic_counts_are_the_servers(bed: Testbed, options: dict[str, float]) -> None:
    """The generator's counts are exact: nginx served as many, and every kind its share."""
    server = nginx.start(bed.prod)
    mix = [
        Ask("GET", "/api/items/{n}", weight=3),
        Ask("HEAD", "/big"),
        Ask("GET", "/chunked"),
        Ask("POST", "/api/orders", 3000, chunked=True),
        Ask("POST", "/api/orders", 100),
        Ask("GET", "/api/empty"),
    ]
    for ipv6 in (False, True):
        before = server.served()
        url = bed.prod.url(8080, ipv6=ipv6)
        result = traffic.drive(bed.client, url, mix, requests=400, **options)  # type: ignore[arg-type]
        assert result.sent == result.answered == 400 == server.served() - before
        assert (result.errors, result.unsent) == ({}, 0)
        assert result.by_status == {"200": 250, "201": 100, "204": 50}
        assert result.by_ask["GET /api/items/{n}"] == {"sent": 150, "200": 150}
        assert (result.connections == 400) is not options.get("keep_alive", True)


def test_traffic_stops_when_told(bed: Testbed) -> None:
    """Stopped half-way, the generator still accounts for all it sent."""
    server = nginx.start(bed.prod, access_log=True)
    running = traffic.start(bed.client, bed.prod.url(8080), rate=1000, duration=60)
    eventually(lambda: server.served() > 100, what="traffic flows")
    result = running.stop()
    assert result.sent == result.answered == server.served()
    assert result.seconds < 30


def test_wrk_counts(bed: Testbed) -> None:
    """wrk's count is nginx's, but for what was outstanding when it stopped."""
    server = nginx.start(bed.prod)
    result = tools.wrk(bed.client, bed.prod.url(8080), connections=8, seconds=1)
    assert 0 <= server.served() - result.requests <= 8
    assert result.errors == {"connect": 0, "read": 0, "write": 0, "timeout": 0}
    assert result.bad_status == 0
    assert set(result.latency_us) == {"p50", "p75", "p90", "p99"}


def test_pyserver_understands_what_was_sent(bed: Testbed) -> None:
    """Its log holds method, target, body length and hash of every request, and who sent it."""
    server = pyserver.start(bed.shadow, answers={"/odd": "500:broken"})
    body = "x" * 5000
    url = bed.shadow.url(8080, "/up?q=1", ipv6=True)
    options = ["-H", "Transfer-Encoding: chunked", "--data-binary", body]
    assert tools.curl(bed.prod, url, *options).status == 200
    assert tools.curl(bed.prod, bed.shadow.url(8080, "/bytes/10"), "-I").body == b""
    assert tools.curl(bed.prod, bed.shadow.url(8080, "/chunked/2500")).body[:3] == b"\x00\x01\x02"
    odd = tools.curl(bed.prod, bed.shadow.url(8080, "/odd"))
    assert (odd.status, odd.body) == (500, b"broken")
    first, second, *_ = server.requests()
    assert (first["method"], first["target"], first["complete"]) == ("POST", "/up?q=1", True)
    assert first["body_len"] == 5000
    assert first["body_sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert first["peer"].startswith("fd00::2 ")
    assert (second["method"], second["connection"]) == ("HEAD", 2)


@pytest.mark.parametrize(
    ("mode", "answered", "errors"),
    [
        ("ok", 20, {}),
        ("slow", 20, {}),
        ("hang", 0, {"timeout": 20}),
        ("hang-share", 18, {"timeout": 2}),
        ("deaf", 0, {"timeout": 20}),
        ("reset", 0, {"reset": 20}),
        ("reset-on-connect", 0, {"reset": 20}),
        ("close", 0, {"closed": 20}),
        ("close-each", 20, {}),
        ("garbage", 0, {"malformed": 20}),
        ("endless", 0, {"timeout": 20}),
        ("endless-head", 0, {"malformed": 20}),
        ("slow-drip", 0, {"timeout": 20}),
        ("too-short", 0, {"closed": 20}),
        ("too-long", 0, {"too long": 20}),
    ],
)
def test_pyserver_misbehaves_as_named(
    bed: Testbed, mode: str, answered: int, errors: dict[str, int]
) -> None:
    """Each mode looks to a client as its name says, and the server survives it."""
    server = pyserver.start(bed.shadow, mode, ms=20, max_bytes=1 << 26)
    url = bed.shadow.url(8080)
    result = traffic.drive(bed.prod, url, requests=20, connections=20, timeout=1)
    if mode == "reset-on-connect":  # the reset may come before the handshake is reported
        assert sum(result.errors.values()) == 20
    else:
        assert (result.sent, result.answered, result.errors) == (20, answered, errors)
    understood = 0 if mode in {"deaf", "reset-on-connect"} else 20
    assert len(server.requests()) == understood
    assert server.stop() == 0
    assert server.process.errors() == ""


def test_capture_counts_packets(bed: Testbed) -> None:
    """A capture has every packet of a connection, once, and counts by filter."""
    pyserver.start(bed.prod)
    with Capture(bed.client, "eth0", "tcp port 8080") as capture:
        for _ in range(5):
            assert tools.curl(bed.client, bed.prod.url(8080)).status == 200
    assert capture.count("tcp[tcpflags] == tcp-syn") == 5
    assert capture.count(f"src host {bed.prod.v4} and tcp[tcpflags] & tcp-syn != 0") == 5
    assert capture.count("tcp port 1") == 0
    assert capture.pcap.stat().st_size > 1000


def test_process_that_will_not_end_is_killed(bed: Testbed) -> None:
    """SIGTERM first, then SIGKILL for the process and its children."""
    stubborn = bed.prod.spawn("sh", "-c", "trap '' TERM; echo up; sleep 60 & wait; sleep 60")
    stubborn.wait_output("up")
    assert stubborn.stop(timeout=0.2) == -signal.SIGKILL
    eventually(lambda: bed.prod.pids() == [], what="children are gone")


def test_waiting_ends_when_the_process_does(bed: Testbed) -> None:
    """Who waits for a server that died learns so at once, with its last words."""
    dying = bed.prod.spawn("sh", "-c", "echo no luck >&2; exit 3")
    with pytest.raises(ChildProcessError, match="ended first"):
        bed.prod.wait_listening(8080, pid=dying.pid)
    with pytest.raises(ChildProcessError, match="no luck"):
        dying.wait_output("never")
    with pytest.raises(NotYet, match="port 8080"):
        bed.prod.wait_listening(8080, timeout=0.05)
    assert dying.wait(5) == 3


def test_nginx_that_cannot_start_says_why(bed: Testbed) -> None:
    """A configuration it refuses is an error with nginx's own words."""
    with pytest.raises(ChildProcessError, match="invalid port"):
        nginx.start(bed.prod, port=70000)


def test_nothing_is_left_in_this_process() -> None:
    """No thread, child, file descriptor, namespace or file outlives the block."""
    with Testbed():
        pass  # the first one imports lazily

    def held() -> tuple[int, int, list[str]]:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), children

    before = held()
    with Testbed(container=True) as bed:
        nginx.start(bed.service)
        hosts, directory = bed.hosts, bed.directory
        pids = bed.service.pids()
    assert len(pids) == 2
    assert held() == before
    assert not any(host.exists() for host in hosts)
    assert not directory.exists()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_failure_inside_cleans_up() -> None:
    """An exception in the block, or while it is being built, leaves nothing."""
    bed = Testbed()
    with pytest.raises(ChildProcessError), bed:
        nginx.start(bed.prod, port=70000)
    assert not any(host.exists() for host in bed.hosts)
    clash = Testbed()
    clash.shadow.create()
    with pytest.raises(OSError, match="exists"), clash:
        pass
    assert not any(host.exists() for host in clash.hosts)
    assert not clash.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_clean_up(number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end everything before the owner does."""
    owner = Owner()
    assert len(owner.servers) == 2
    assert owner.end(number) != 0
    assert owner.gone()


def test_sweep_removes_what_kill_9_left() -> None:
    """What a killed owner left stays until the next sweep, which spares a live owner's."""
    live, dead = Owner(), Owner()
    dead.end(signal.SIGKILL)
    assert dead.prod.exists()
    assert dead.prod.path in leftovers()
    assert dead.prod.name in sweep()
    eventually(dead.gone, what="the dead run is gone")
    assert live.prod.exists()
    assert sorted(live.prod.pids()) == sorted(live.servers)
    live.end(signal.SIGTERM)
    assert live.gone()
    assert dead.prod.path not in leftovers()


def test_only_namespaces_of_the_testbed_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that stands for the machine's own namespace, or is not ours, is never killed in."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    ours = Namespace(RunName.new().of("prod"))
    netns.attach(ours.name, os.getpid())
    try:
        with pytest.raises(PermissionError, match="nothing killed"):
            ours.kill_all(timeout=0.1)
    finally:
        ours.remove()
    with pytest.raises(PermissionError, match="nothing killed"):
        Namespace("somebody-elses").kill_all(timeout=0.1)
    assert killed == []


def test_names_tell_run_and_role() -> None:
    """A name gives back who owns it; a reused pid is not taken for the owner."""
    run = RunName.new()
    assert parse(run.of("prod")) == (run, "prod")
    assert run.owner_alive()
    assert not run._replace(started=run.started + 1).owner_alive()
    assert parse("sandbox-1") is None
