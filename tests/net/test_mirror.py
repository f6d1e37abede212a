"""Requests of real clients are replayed and compared, and every one of them is accounted for."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.net.agent import (
    COMMAND,
    PORT,
    Agent,
    Home,
    Summary,
    accounted,
    at,
    attach,
    attach_as,
    attached,
    drained,
    endpoints,
    failure,
    options,
)
from tests.net.faults import wait_ledger
from tests.net.requests import ask, connected, sequences
from tests.testbed import Testbed, nginx, pyserver, tools, traffic
from tests.testbed.asks import Ask
from tests.testbed.nginx import DIFFERENCES, SAME, SLOW_S, Kind
from tests.testbed.process import memory_bytes

families = pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])

MIX = [
    Ask("GET", "/api/items/7", weight=3),
    Ask("GET", "/api/empty"),
    Ask("GET", "/chunked"),
    Ask("GET", "/big"),
    Ask("HEAD", "/big"),
    Ask("GET", "/api/price"),
    Ask("POST", "/api/orders", 4096, chunked=True),
    Ask("POST", "/api/orders", 4096),
]
# For tests that are not about overload, whatever else the machine does.
WIDE = {"ring-bytes": 16 << 20}
LOSSLESS = ("requests.gap", "requests.lost", "replay.shed", "replay.failed", "pairs.uncomparable")


def lossless(summary: Summary) -> bool:
    """Nothing was lost, nothing is open, and every latency is known."""
    ledger = summary["ledger"]
    assert {name: ledger[name.split(".")[0]] for name in LOSSLESS if at(ledger, name)} == {}
    assert drained(ledger)
    assert summary["coverage"] == 1.0
    # a stalled machine makes TCP send twice, which is nobody's loss
    assert set(summary["latency_unknown"]) <= {"retransmitted"}
    assert summary["outcomes"] == {"answered": at(ledger, "pairs.compared")}
    return True


@families
@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep-alive", "one-request"])
def test_every_request_is_compared_or_named(bed: Testbed, ipv6: bool, keep_alive: bool) -> None:
    """The generator's count, both servers' logs and the ledger tell the same story."""
    production = nginx.start(bed.service, "v1", access_log=True)
    shadow = nginx.start(bed.shadow, "v2", access_log=True)
    agent = attach(bed, ipv6=ipv6, limits=WIDE)
    url = bed.service.url(PORT, ipv6=ipv6)
    result = traffic.drive(bed.client, url, MIX, requests=300, rate=300, keep_alive=keep_alive)
    summary = agent.stop()
    ledger = summary["ledger"]
    posts = result.by_ask["POST /api/orders"]["sent"]
    assert result.sent == result.answered == len(production.requests()) == 300
    assert lossless(summary)
    assert accounted(ledger) == result.sent == at(ledger, "requests.complete")
    assert ledger["replay"]["refused"] == {"method": posts}
    assert at(ledger, "pairs.compared") == result.sent - posts
    understood = Counter((one["method"], one["target"]) for one in production.requests())
    replayed = Counter((one["method"], one["target"]) for one in shadow.requests())
    assert understood.pop(("POST", "/api/orders")) == posts
    assert replayed == understood
    peer = "fd00::2" if ipv6 else "10.0.0.2"
    assert {one["peer"] for one in shadow.requests()} == {peer}
    assert summary["bodies"]["unknown"] == 0
    assert summary["bodies"]["mismatched"] == result.by_ask["GET /api/price"]["sent"]


def test_every_difference_is_found_and_no_other(bed: Testbed) -> None:
    """Status, body and latency of the two builds differ where they are known to, only there."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v2")
    agent = attach(bed, limits=WIDE)
    asks = [Ask("GET", target) for target in SAME]
    asks += [Ask(one.method, one.target) for one in DIFFERENCES]
    requests = 5 * len(asks)
    result = traffic.drive(
        bed.client, bed.service.url(PORT), asks, requests=requests, connections=4
    )
    summary = agent.stop()
    assert lossless(summary)
    assert at(summary["ledger"], "pairs.compared") == result.sent == requests
    rows = endpoints(summary)
    assert set(rows) == {(one.method, one.target) for one in asks}
    by_pair = {"200→200": 0, "204→204": 5}
    for (method, target), row in rows.items():
        kinds = {one.kind for one in DIFFERENCES if (one.method, one.target) == (method, target)}
        assert row["pairs"] == 5
        assert row["status_mismatches"] == 5 * (Kind.STATUS in kinds), target
        # an error page is another body, too
        bodies = {Kind.STATUS, Kind.BODY} & kinds
        assert row["body_mismatches"] == 5 * bool(bodies), target
    for one in DIFFERENCES:
        if one.kind is Kind.STATUS:
            by_pair[one.detail] = 5
    by_pair["200→200"] = requests - sum(by_pair.values())
    assert summary["status"]["by_pair"] == by_pair
    assert summary["different"] == 5 * sum(one.kind is not Kind.LATENCY for one in DIFFERENCES)


def test_latency_is_each_sides_own(bed: Testbed) -> None:
    """A server that sleeps shows its sleep, on its side only, and the slower build as slower."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v2")
    agent = attach(bed)
    mix = [Ask("GET", "/api/slow"), Ask("GET", "/health")]
    traffic.drive(bed.client, bed.service.url(PORT), mix, requests=60, connections=4, rate=60)
    summary = agent.stop()
    assert lossless(summary)
    slow = endpoints(summary)["GET", "/api/slow"]["latency_us"]
    quick = endpoints(summary)["GET", "/health"]["latency_us"]
    # Bounds are the sleeps themselves, less the histogram's error of 1 %.
    for side, build in (("production", "v1"), ("shadow", "v2")):
        assert slow[side]["p50"] >= SLOW_S[build] * 0.99e6
        assert 0 < quick[side]["p50"] < slow[side]["p50"]
        assert summary["last_byte_us"][side]["p50"] >= summary["latency_us"][side]["p50"] > 0
    assert slow["production"]["p50"] < slow["shadow"]["p50"]
    assert summary["network_rtt_us"] > 0
    assert summary["dispatch_lag_us"]["p50"] > 0


@families
def test_curl(bed: Testbed, ipv6: bool) -> None:
    """GET, HEAD, OPTIONS, uploads with a length and in chunks, with Expect, as sent but marked."""
    production = pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, "--methods", "all", "--unguarded")
    body = "x" * 3000
    for more in (
        ("-X", "GET"),
        ("-I",),
        ("-X", "OPTIONS"),
        ("--data-binary", body),
        ("--data-binary", body, "-H", "Expect: 100-continue", "--expect100-timeout", "20"),
        ("--data-binary", body, "-H", "Transfer-Encoding: chunked", "-X", "PUT"),
        ("-X", "DELETE", "-H", "X-Odd:  spaced "),
    ):
        assert (
            tools.curl(bed.client, bed.service.url(PORT, "/p?q=1", ipv6=ipv6), *more).status == 200
        )
    summary = agent.stop()
    assert lossless(summary)
    assert at(summary["ledger"], "pairs.compared") == 7
    assert summary["bodies"] == {"matched": 7, "mismatched": 0, "unknown": 0}
    assert summary["different"] == 0
    seen, copied = production.requests(), shadow.requests()
    for one in (*seen, *copied):
        for key in ("connection", "peer", "ts"):
            del one[key]
    for one in copied:
        marks = {"X-Shadow-Request", "X-Shadow-Request-Id"}
        if one["method"] in {"POST", "PUT", "DELETE"}:
            marks.add("Idempotency-Key")
        assert {name for name, _ in one["headers"][-len(marks) :]} == marks
        del one["headers"][-len(marks) :]
    assert sorted(copied, key=json.dumps) == sorted(seen, key=json.dumps)
    assert {one["body_len"] for one in copied} == {0, 3000}


def test_wrk(bed: Testbed) -> None:
    """As fast as it can: what nginx served is what has a name in the ledger."""
    production = nginx.start(bed.service, "v1")
    shadow = nginx.start(bed.shadow, "v1")
    agent = attach(bed)
    result = tools.wrk(bed.client, bed.service.url(PORT, "/health"), connections=2, seconds=1)
    served = production.served()
    summary = agent.stop()
    ledger = summary["ledger"]
    assert result.requests <= served <= result.requests + 2
    assert result.errors == {"connect": 0, "read": 0, "write": 0, "timeout": 0}
    assert drained(ledger)
    assert accounted(ledger) == served
    assert shadow.served() >= at(ledger, "pairs.compared") > 0
    assert summary["status"]["mismatched"] == 0


@pytest.mark.parametrize(
    ("methods", "refused"),
    [
        ((), {"PUT": 1, "POST": 2}),
        (("--methods", "GET,POST", "--unguarded"), {"HEAD": 1, "PUT": 1}),
    ],
    ids=["default", "GET,POST"],
)
def test_methods(bed: Testbed, methods: tuple[str, ...], refused: dict[str, int]) -> None:
    """Only what may be replayed is; the rest is counted and the connection goes on."""
    pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, *methods)
    sent: Counter[str] = Counter()
    with connected(bed.client, bed.service) as connection:
        for method, body in (
            ("GET", None),
            ("POST", b"y" * 2000),
            ("HEAD", None),
            ("POST", [b"z" * 700] * 3),
            ("PUT", b"p"),
            ("GET", None),
        ):
            assert ask(connection, "/m", method, body)[0] == 200
            sent[method] += 1
    summary = agent.stop()
    assert lossless(summary)
    assert summary["ledger"]["replay"]["refused"] == {"method": sum(refused.values())}
    sent.subtract(refused)
    assert Counter(one["method"] for one in shadow.requests()) == +sent
    assert len(sequences(shadow.requests())) == 1
    assert summary["different"] == 0


def test_head_then_get_on_one_connection(bed: Testbed) -> None:
    """An answer without the body it declares does not eat the next one, on either side."""
    nginx.start(bed.service, "v1")
    shadow = nginx.start(bed.shadow, "v1", access_log=True)
    agent = attach(bed, limits=WIDE)
    asked = [(method, target) for target in ("/big", "/chunked") for method in ("HEAD", "GET")] * 3
    with connected(bed.client, bed.service) as connection:
        for method, target in asked:
            assert ask(connection, target, method)[0] == 200
    summary = agent.stop()
    assert lossless(summary)
    assert summary["bodies"] == {"matched": 12, "mismatched": 0, "unknown": 0}
    assert sequences(shadow.requests()) == [asked]


@pytest.mark.parametrize("workers", [1, 2])
def test_one_shadow_connection_for_each_of_production(bed: Testbed, workers: int) -> None:
    """Order and grouping at the shadow are production's, also over several workers."""
    production = pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, "--workers", str(workers))
    mix = [Ask("GET", "/a/{n}", weight=3), Ask("HEAD", "/b/{n}"), Ask("GET", "/chunked/2500")]
    url = bed.service.url(PORT)
    result = traffic.drive(bed.client, url, mix, requests=600, connections=24, rate=600)
    assert len(agent.ask("status")["workers"]) == workers
    summary = agent.stop()
    assert lossless(summary)
    assert at(summary["ledger"], "pairs.compared") == result.sent == 600
    expected = sequences(production.requests())
    assert len(expected) == result.connections > 1
    assert sequences(shadow.requests()) == expected
    assert summary["different"] == 0


class Attaching:
    """Production and shadow run, connections are open, and the agent comes later."""

    def __init__(self, bed: Testbed) -> None:
        self.production = pyserver.start(bed.service)
        self.shadow = pyserver.start(bed.shadow)
        self.bed = bed

    def attach(self) -> Agent:
        """Now."""
        return attach(self.bed, "--methods", "all", "--unguarded")


@families
def test_attach_to_an_idle_connection(bed: Testbed, ipv6: bool) -> None:
    """What was there before is picked up with its next request."""
    late = Attaching(bed)
    with connected(bed.client, bed.service, ipv6=ipv6) as connection:
        assert ask(connection, "/before")[0] == 200
        agent = late.attach()
        assert ask(connection, "/after", "POST", b"b" * 5000)[0] == 200
        assert ask(connection, "/more")[0] == 200
        summary = agent.stop()
    assert lossless(summary)
    assert sequences(late.shadow.requests()) == [[("POST", "/after"), ("GET", "/more")]]
    assert summary["bodies"]["matched"] == 2
    assert at(summary["ledger"], "segments.unaligned") == 0


def test_attach_in_the_middle_of_a_body(bed: Testbed) -> None:
    """Half a request is none: the rest of it has a name, the next one is compared."""
    late = Attaching(bed)
    with connected(bed.client, bed.service) as connection:
        connection.putrequest("POST", "/half")
        connection.putheader("Content-Length", "20000")
        connection.endheaders(b"h" * 10000)
        agent = late.attach()
        for _ in range(10):
            connection.send(b"i" * 1000)
        assert connection.getresponse().read()
        assert ask(connection, "/whole")[0] == 200
        assert ask(connection, "/whole", "PUT", b"w" * 100)[0] == 200
        summary = agent.stop()
    assert late.production.requests()[0]["body_len"] == 20000
    assert lossless(summary)
    assert sequences(late.shadow.requests()) == [[("GET", "/whole"), ("PUT", "/whole")]]
    assert at(summary["ledger"], "requests.started") == 2
    assert at(summary["ledger"], "segments.unaligned") > 0


def test_attach_while_an_answer_is_due(bed: Testbed) -> None:
    """An answer to a request that was not seen is paired with nothing."""
    late = Attaching(bed)
    with connected(bed.client, bed.service) as connection:
        connection.request("GET", "/sleep/3000")
        agent = late.attach()
        assert connection.getresponse().read()
        assert ask(connection, "/status/404")[0] == 404
        summary = agent.stop()
    assert lossless(summary)
    assert summary["status"]["by_pair"] == {"404→404": 1}


def test_a_large_body_streams(bed: Testbed) -> None:
    """64 MiB up and down are replayed while they pass, compared, and never held in memory."""
    production = pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, "--methods", "all", "--unguarded", limits=WIDE)
    size, piece = 64 << 20, bytes(64 << 10)
    before: dict[str, int] = {}
    peak = 0
    with connected(bed.client, bed.service) as connection:
        connection.putrequest("PUT", "/up")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        for number in range(size // len(piece)):
            connection.send(piece)
            # the shadow has part of it long before the whole exists
            time.sleep(0.003)  # a network's pace, not the veth's, which no copy keeps up with
            if number == 100:
                before = agent.ask("status")["ledger"]["replay"]
                peak = max(memory_bytes(pid) for pid in agent.process.tree())
        assert connection.getresponse().read()
        connection.request("GET", f"/bytes/{size}")
        answer = connection.getresponse()
        while answer.read(256 << 10):
            time.sleep(0.003)
        summary = agent.stop()
    assert before["heads"] <= 1
    assert peak < 150 << 20
    assert lossless(summary)
    assert summary["bodies"] == {"matched": 2, "mismatched": 0, "unknown": 0}
    assert [one["body_len"] for one in shadow.requests()] == [size, 0]
    assert shadow.requests()[0]["body_sha256"] == production.requests()[0]["body_sha256"]
    assert summary["agent"]["max_rss_bytes"] < 150 << 20


def test_requests_n_is_exact(bed: Testbed) -> None:
    """It ends by itself with N replayed, not one more; what came after is refused by name."""
    nginx.start(bed.service, "v1")
    shadow = nginx.start(bed.shadow, "v1")
    agent = attach(bed, "--requests", "100")
    running = traffic.start(bed.client, bed.service.url(PORT, "/health"), rate=400, duration=60)
    summary = agent.finish()
    running.stop()
    assert "100 requests replayed" in agent.process.errors()
    assert at(summary["ledger"], "pairs.compared") == 100 == shadow.served()
    assert set(summary["ledger"]["replay"]["refused"]) <= {"request_limit"}
    assert summary["coverage"] == 1.0


def test_requests_n_is_exact_over_workers(bed: Testbed) -> None:
    """The limit is the target's, not each worker's."""
    nginx.start(bed.service, "v1")
    shadow = nginx.start(bed.shadow, "v1")
    agent = attach(bed, "--requests", "101", "--workers", "2")
    url = bed.service.url(PORT, "/health")
    running = traffic.start(bed.client, url, rate=400, duration=60, connections=32)
    summary = agent.finish()
    running.stop()
    assert at(summary["ledger"], "pairs.compared") == 101 == shadow.served()


def test_duration(bed: Testbed) -> None:
    """It ends by itself, drained, with what came in until then."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v2")
    agent = attach(bed, "--duration", "1.5")
    assert tools.curl(bed.client, bed.service.url(PORT, "/api/price")).status == 200
    summary = agent.finish()
    assert "duration reached" in agent.process.errors()
    assert summary["duration_s"] >= 1.5
    assert at(summary["ledger"], "pairs.compared") == 1 == summary["different"]


@pytest.mark.parametrize("fraction", ["0.0", "0.5", "1.0"])
def test_sampling_takes_whole_connections(bed: Testbed, fraction: str) -> None:
    """Both directions of what is sampled and none of what is not, by connection."""
    production = pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, "--sample", fraction)
    url = bed.service.url(PORT)
    mix = [Ask("GET", "/s/{n}")]
    result = traffic.drive(bed.client, url, mix, requests=400, connections=40, rate=800)
    wait_ledger(
        agent,
        lambda ledger: (
            drained(ledger)
            and at(ledger, "pairs.compared") == sum(map(len, sequences(shadow.requests())))
        ),
        "whatever the shadow got is compared",
    )
    summary = agent.stop()
    ledger = summary["ledger"]
    whole, sampled = sequences(production.requests()), sequences(shadow.requests())
    assert [one for one in whole if one in sampled] == sampled
    assert sum(map(len, sampled)) == at(ledger, "pairs.compared") == at(ledger, "requests.started")
    assert at(ledger, "segments.unaligned") == 0
    # 400 requests and their answers, and the SYNs and FINs of what is sampled
    left_out = result.sent - at(ledger, "pairs.compared")
    assert ledger["packets"]["sampled_out"] >= 2 * left_out
    if fraction == "0.5":
        assert 0 < len(sampled) < len(whole)
    else:
        assert sampled == (whole if fraction == "1.0" else [])
        assert summary["coverage"] == (1.0 if fraction == "1.0" else None)
        assert bool(ledger["packets"]["sampled_out"]) is (fraction == "0.0")


def test_several_ports_and_interfaces(bed: Testbed) -> None:
    """Every port on every interface that is named, and nothing else."""
    for port in (8080, 8081, 8082):
        pyserver.start(bed.service, port=port)
    shadow = pyserver.start(bed.shadow)
    agent = attach(bed, "--port", "8081", "--iface", "lo")
    for port in (8080, 8081, 8082):
        for host, address in (
            (bed.client, bed.service.url(port)),
            (bed.prod, f"http://127.0.0.1:{port}"),
        ):
            assert tools.curl(host, f"{address}/{host.role}/{port}").status == 200
    summary = agent.stop()
    assert lossless(summary)
    assert summary["target"] == "eth0-lo-8080-8081"
    assert set(summary["attached"]) == {"eth0", "lo", "eth1"}
    expected = sorted(f"/{role}/{port}" for role in ("client", "prod") for port in (8080, 8081))
    assert sorted(one["target"] for one in shadow.requests()) == expected
    assert summary["ledger"]["packets"]["not_service"] > 0


CONFIG = """\
port = {port}
shadow = "{shadow}"
shadow-iface = "eth1"
data-dir = "{data}"
runtime-dir = "{runtime}"
json = true
production-build = "shop-41"
session = "header:X-Session"

[governor]
enabled = false

[limits]
drain-s = 3

[target.blue]
shadow-build = "shop-42"
methods = "all"
unguarded = true
"""


def test_configuration_file_alone(bed: Testbed) -> None:
    """``attach --iface eth0`` is complete with the rest in /etc; a target's table adds to it."""
    pyserver.start(bed.service)
    shadow = pyserver.start(bed.shadow)
    home = Home(bed)
    etc = home.path / "etc"
    (etc / "shadow-agent").mkdir(parents=True)
    for name in ("passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache", "protocols"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc", name), etc)
    text = CONFIG.format(
        port=PORT, shadow=bed.shadow.url(PORT), data=home.data, runtime=home.runtime
    )
    (etc / "shadow-agent/config.toml").write_text(text)
    # a mount namespace in which /etc is ours; the machine's own is not touched
    script = f'mount --bind {etc} /etc && exec "$@"'
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", COMMAND)
    plain = attached(home, bed.prod.spawn(*argv, "attach", "--iface", "eth0", name="agent"))
    assert tools.curl(bed.client, bed.service.url(PORT, "/one")).status == 200
    assert tools.curl(bed.client, bed.service.url(PORT), "-X", "POST").status == 200
    summary = plain.stop()
    assert lossless(summary)
    assert summary["target"] == "eth0-8080"
    assert summary["builds"] == {"production": "shop-41", "shadow": "unknown"}
    assert [one["target"] for one in shadow.requests()] == ["/one"]
    again = bed.prod.spawn(*argv, "attach", "--iface", "eth0", "--target", "blue", name="agent")
    blue = attached(home, again)
    assert tools.curl(bed.client, bed.service.url(PORT, "/two"), "-X", "POST").status == 200
    summary = blue.stop()
    assert lossless(summary)
    assert summary["target"] == "blue"
    assert summary["builds"] == {"production": "shop-41", "shadow": "shop-42"}
    assert [one["target"] for one in shadow.requests()] == ["/one", "/two"]


def test_run_build_and_epoch(bed: Testbed) -> None:
    """A run has an id and builds from its start; a deploy begins a new epoch."""
    nginx.start(bed.service, "v1")
    nginx.start(bed.shadow, "v1")
    builds = ("--production-build", "a1", "--shadow-build", "b1")
    agent = attach(bed, *builds, "--target", "shop")
    (folder,) = (agent.home.data / "shop").iterdir()
    begun = json.loads((folder / "run.json").read_text())
    assert begun["run_id"] == folder.name
    assert (begun["epoch"], begun["builds"]) == (1, {"production": "a1", "shadow": "b1"})
    done = agent.home.command("ctl", "epoch", "--shadow-build", "b2")
    assert done.returncode == 0, done.stderr
    begun = json.loads((folder / "run.json").read_text())
    assert (begun["epoch"], begun["builds"]) == (2, {"production": "a1", "shadow": "b2"})
    assert agent.home.command("ctl", "epoch", "--build", "a2").returncode == 0
    summary = agent.stop()
    assert summary["epoch"] == 3
    assert summary["run_id"] == folder.name
    assert summary["builds"] == {"production": "a2", "shadow": "b2"}
    assert json.loads((folder / "summary.json").read_text()) == summary


@pytest.mark.parametrize("key", ["connection", "header:X-User", "cookie:sid"])
def test_session_keys(bed: Testbed, key: str) -> None:
    """Whatever tells sessions apart, requests that lack it or have odd ones are mirrored too."""
    pyserver.start(bed.service)
    pyserver.start(bed.shadow)
    agent = attach(bed, "--session", key)
    for header in ("X-User: 7", "Cookie: sid=abc; other=1", "Cookie: \xff=;;=", "X-Nothing: 1"):
        assert tools.curl(bed.client, bed.service.url(PORT), "-H", header).status == 200
    summary = agent.stop()
    assert lossless(summary)
    assert at(summary["ledger"], "pairs.compared") == 4


def test_session_key_that_is_none(bed: Testbed) -> None:
    """Said in one line before anything is attached."""
    home = Home(bed)
    argv = (COMMAND, "attach", *options(bed), "--session", "colour:red", *home.options)
    code, line = failure(bed.prod.run(*argv, check=False))
    assert code == 2
    assert "--session" in line
    assert "cookie:NAME" in line


@pytest.mark.parametrize("mechanism", ["tcx", "clsact"])
def test_two_targets_side_by_side(bed: Testbed, mechanism: str) -> None:
    """Each has its own traffic, and the end of one is nothing to the other."""
    shadows = []
    for port in (8080, 8081):
        pyserver.start(bed.service, port=port)
        shadows.append(pyserver.start(bed.shadow, port=port))
    home = Home(bed)
    first, second = (
        attach_as(
            bed,
            *("--iface", "eth0", "--port", str(port), "--shadow", bed.shadow.url(port)),
            *("--shadow-iface", "eth1", "--mechanism", mechanism),
            home=home,
        )
        for port in (8080, 8081)
    )
    for number in range(3):
        for port in (8080, 8081):
            assert tools.curl(bed.client, bed.service.url(port, f"/{number}")).status == 200
    ended = first.stop()
    assert at(second.ledger(), "requests.started") >= 0
    for port in (8080, 8081):
        assert tools.curl(bed.client, bed.service.url(port, "/last")).status == 200
    summary = second.stop()
    assert lossless(ended)
    assert lossless(summary)
    assert (ended["target"], summary["target"]) == ("eth0-8080", "eth0-8081")
    assert at(ended["ledger"], "pairs.compared") == len(shadows[0].requests()) == 3
    assert at(summary["ledger"], "pairs.compared") == len(shadows[1].requests()) == 4


@pytest.mark.parametrize("mechanism", ["tcx", "clsact"])
@families
def test_loopback(bed: Testbed, ipv6: bool, mechanism: str) -> None:
    """Service and shadow on one host, told apart by port; replay is not taken for traffic."""
    production = pyserver.start(bed.prod)
    shadow = pyserver.start(bed.prod, port=9090)
    address = "[::1]" if ipv6 else "127.0.0.1"
    argv = ("--iface", "lo", "--port", str(PORT), "--shadow", f"http://{address}:9090")
    agent = attach_as(bed, *argv, "--allow-same-interface", "--mechanism", mechanism)
    result = traffic.drive(
        bed.prod, f"http://{address}:{PORT}", [Ask("GET", "/l/{n}")], requests=100, rate=200
    )
    summary = agent.stop()
    assert lossless(summary)
    assert at(summary["ledger"], "pairs.compared") == result.sent == 100
    assert sequences(shadow.requests()) == sequences(production.requests())
    assert summary["ledger"]["packets"]["own"] > 0


def test_shadow_that_comes_later(bed: Testbed) -> None:
    """Until it is there its absence is a bad outcome; then it is compared like any other."""
    nginx.start(bed.service, "v1")
    agent = attach(bed)
    assert "does not answer yet" in agent.process.errors()
    with connected(bed.client, bed.service) as connection:
        assert ask(connection, "/health")[0] == 200
        agent.wait_compared(1)
        nginx.start(bed.shadow, "v1")
        assert ask(connection, "/health")[0] == 200
        summary = agent.stop()
    assert summary["outcomes"] == {"refused": 1, "answered": 1}
    assert summary["status"]["by_pair"] == {"200→refused": 1, "200→200": 1}
    assert summary["coverage"] == 1.0
