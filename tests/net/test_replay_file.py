"""A capture by tcpdump of real traffic, replayed at another server: the books still balance."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.net.agent import COMMAND, PATIENCE_S, PORT, accounted, at, balanced, drained, endpoints
from tests.net.conftest import ended_after
from tests.testbed import Testbed, nginx, traffic
from tests.testbed.asks import Ask
from tests.testbed.capture import Capture
from tests.testbed.nginx import DIFFERENCES, SAME

REQUESTS = 200
MIX = [
    Ask("GET", "/api/items/7", weight=3),
    Ask("GET", "/api/empty"),
    Ask("GET", "/chunked"),
    Ask("GET", "/big"),
    Ask("HEAD", "/big"),
    Ask("POST", "/api/orders", 4096, chunked=True),
    Ask("POST", "/api/orders", 4096),
]


class Captured(NamedTuple):
    """A capture file, and what its generator knows."""

    pcap: Path
    by_ask: dict[str, int]

    @property
    def posts(self) -> int:
        """Requests that the default rule refuses."""
        return sum(n for ask, n in self.by_ask.items() if ask.startswith("POST"))


def capture(bed: Testbed, asks: list[Ask], requests: int, *, ipv6: bool = False) -> Captured:
    """Real clients ask a real v1; tcpdump sees it all at the service's interface."""
    production = nginx.start(bed.service, "v1", access_log=True)
    with Capture(bed.service, bed.service_iface, f"tcp port {PORT}") as one:
        url = bed.service.url(PORT, ipv6=ipv6)
        result = traffic.drive(
            bed.client, url, asks, requests=requests, rate=400, connections=4, keep_alive=True
        )
    assert result.answered == requests == len(production.requests())
    production.stop()
    return Captured(one.pcap, {name: found["sent"] for name, found in result.by_ask.items()})


@pytest.fixture(scope="module")
def mixed(plain_bed: Testbed) -> Captured:
    """Reads, writes, empty and large answers."""
    return capture(plain_bed, MIX, REQUESTS)


@pytest.fixture
def bed(plain_bed: Testbed, mixed: Captured) -> Iterator[Testbed]:
    """As everywhere, but after the capture was made."""
    yield from ended_after(plain_bed)


def replay(
    bed: Testbed, pcap: Path, *more: str, ipv6: bool = False, speed: str = "max"
) -> dict[str, Any]:
    """Replay from the production host at the shadow; its balanced summary."""
    done = bed.prod.run(
        *(COMMAND, "replay", pcap, "--shadow", bed.shadow.url(PORT, ipv6=ipv6)),
        *("--shadow-iface", bed.shadow_iface, "--speed", speed, "--json", *more),
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "defect" not in done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    assert balanced(summary)
    assert drained(summary["ledger"])
    return summary


@pytest.mark.parametrize("speed", ["1", "4", "max"])
def test_equal_builds(bed: Testbed, mixed: Captured, speed: str) -> None:
    """Every request is compared or refused by rule, none differs, whatever the speed."""
    shadow = nginx.start(bed.shadow, "v1", access_log=True)
    summary = replay(bed, mixed.pcap, speed=speed)
    ledger = summary["ledger"]
    assert accounted(ledger) == REQUESTS
    assert ledger["replay"]["refused"] == {"method": mixed.posts}
    assert at(ledger, "pairs.compared") == REQUESTS - mixed.posts == len(shadow.requests())
    assert (summary["different"], summary["coverage"]) == (0, 1.0)
    assert summary["latency_unknown"] == {}
    assert summary["clock"] == "user"
    assert {one["peer"] for one in shadow.requests()} == {"10.0.0.2"}
    understood = Counter(one["method"] for one in shadow.requests())
    assert set(understood) == {"GET", "HEAD"}
    # as captured it takes as long as it took, which the generator's rate says
    assert speed != "1" or summary["duration_s"] > 0.8 * REQUESTS / 400


def test_writes_only_when_asked(bed: Testbed, mixed: Captured) -> None:
    """With their bodies, whole."""
    nginx.start(bed.shadow, "v1")
    summary = replay(bed, mixed.pcap, "--methods", "all", "--unguarded")
    assert at(summary["ledger"], "pairs.compared") == REQUESTS
    assert summary["different"] == 0


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_every_difference_is_found_and_no_other(bed: Testbed, ipv6: bool) -> None:
    """As with live traffic."""
    asks = [Ask("GET", target) for target in SAME]
    asks += [Ask(one.method, one.target) for one in DIFFERENCES]
    captured = capture(bed, asks, 4 * len(asks), ipv6=ipv6)
    nginx.start(bed.shadow, "v2")
    summary = replay(bed, captured.pcap, ipv6=ipv6)
    for (method, target), row in endpoints(summary).items():
        kinds = {one.kind for one in DIFFERENCES if (one.method, one.target) == (method, target)}
        assert row["pairs"] == 4
        assert row["status_mismatches"] == (4 if "status" in kinds else 0), target
        assert row["body_mismatches"] >= (4 if "body" in kinds else 0), target
        assert kinds or not row["body_mismatches"], target


def test_requests_of_the_shadow_itself(bed: Testbed) -> None:
    """A capture that holds them replays none: it could go on for ever."""
    nginx.start(bed.service, "v1")
    with Capture(bed.prod, bed.shadow_iface, f"tcp port {PORT}") as one:
        url = f"http://10.0.0.2:{PORT}/"
        for _ in range(3):
            bed.shadow.run("curl", "-s", url)
    shadow = nginx.start(bed.shadow, "v1", access_log=True)
    summary = replay(bed, one.pcap)
    assert summary["ledger"]["replay"]["refused"] == {"loop": 3}
    assert shadow.requests() == []


def test_a_damaged_capture(bed: Testbed, mixed: Captured, tmp_path: Path) -> None:
    """What came before the damage is replayed, and the damage said."""
    cut = bed.directory / "cut.pcap"
    whole = mixed.pcap.read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    nginx.start(bed.shadow, "v1")
    summary = replay(bed, cut)
    assert summary["capture"]["damage"]
    assert 0 < at(summary["ledger"], "pairs.compared") < REQUESTS
    assert summary["different"] == 0


def test_ctrl_c(bed: Testbed, mixed: Captured) -> None:
    """Ends it early with a balanced summary and exit code 0."""
    nginx.start(bed.shadow, "v1")
    process = bed.prod.spawn(
        *(COMMAND, "replay", mixed.pcap, "--shadow", bed.shadow.url(PORT)),
        *("--speed", "0.01", "--json"),
        name="replay",
    )
    process.wait_output(" compared ", PATIENCE_S)
    process.send(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0, process.errors()
    summary = json.loads(process.output())
    assert balanced(summary)
    assert drained(summary["ledger"])
    assert at(summary["ledger"], "requests.started") < REQUESTS


def test_nobody_there(bed: Testbed, mixed: Captured) -> None:
    """Compared with that outcome; or, if the shadow was required, exit code 4 in one line."""
    summary = replay(bed, mixed.pcap)
    assert summary["outcomes"] == {"refused": REQUESTS - mixed.posts}
    assert summary["different"] == REQUESTS - mixed.posts
    done = bed.prod.run(
        *(COMMAND, "replay", mixed.pcap, "--shadow", bed.shadow.url(PORT), "--require-shadow"),
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)


def test_reading_is_what_was_sent(bed: Testbed, mixed: Captured) -> None:
    """``read`` prints every exchange of the same capture, in the generator's numbers."""
    done = bed.prod.run(COMMAND, "read", mixed.pcap, "--port", str(PORT), timeout=PATIENCE_S)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = Counter(f"{one['method']} {one['target'].partition('?')[0]}" for one in lines)
    assert found == Counter(mixed.by_ask)
    assert all(one["status"] and not one["notes"] for one in lines)
