"""`read` beside tshark: two programs that share no code must tell the same story of one capture."""

import json
import random
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.testbed import Testbed, pyserver, traffic
from tests.testbed.asks import Ask
from tests.testbed.capture import Capture

SHADOW_AGENT = Path(sys.executable).with_name("shadow-agent")
PORT = 8080
MIX = [
    Ask("GET", "/items/{n}", weight=4),
    Ask("HEAD", "/bytes/500"),
    Ask("GET", "/bytes/70000"),
    Ask("GET", "/chunked/9000"),
    Ask("GET", "/status/304"),
    Ask("GET", "/status/204"),
    Ask("POST", "/orders/{n}", 4096),
    Ask("PUT", "/orders/{n}", 30_000, chunked=True),
]
REQUESTS = 400

# method, target, host, status
Story = Counter[tuple[str, str, str | None, int | None]]


def read(pcap: Path) -> list[dict[str, Any]]:
    """What `shadow-agent read` prints."""
    done = subprocess.run(
        [SHADOW_AGENT, "read", "--quiet", pcap], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def story(exchanges: list[dict[str, Any]]) -> Story:
    """The parts that tshark knows too."""
    return Counter((e["method"], e["target"], e["host"], e["status"]) for e in exchanges)


def tshark(pcap: Path) -> Story:
    """The same from tshark's dissector, told to put segments in order."""
    fields = ("http.request.method", "http.request.uri", "http.host", "http.response.code")
    wanted = [
        word for name in ("frame.number", *fields, "http.request_in") for word in ("-e", name)
    ]
    done = subprocess.run(
        ["tshark", "-2", "-r", pcap, "-Y", "http", "-T", "fields", "-E", "separator=/t",
         "-d", f"tcp.port=={PORT},http", "-o", "tcp.reassemble_out_of_order:TRUE", *wanted],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    requests: dict[str, tuple[str, str, str | None]] = {}
    answers: dict[str, int] = {}
    for line in done.stdout.splitlines():
        frame, method, uri, host, code, asked = line.split("\t")
        if method:
            requests[frame] = (method, uri, host or None)
        elif asked:
            answers[asked] = int(code)
    return Counter((*request, answers.get(frame)) for frame, request in requests.items())


@pytest.fixture(scope="module")
def captured(plain_bed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mix of requests to a real server, each connection keeping alive, as tcpdump saw it."""
    server = pyserver.start(plain_bed.service, port=PORT)
    with Capture(plain_bed.prod, "eth0", f"tcp port {PORT}") as capture:
        result = traffic.drive(
            plain_bed.client,
            plain_bed.service.url(PORT),
            MIX,
            rate=400,
            connections=5,
            requests=REQUESTS,
        )
    assert result.answered == REQUESTS
    server.stop()
    kept = tmp_path_factory.mktemp("tshark") / "captured.pcap"
    kept.write_bytes(capture.pcap.read_bytes())
    return kept


def frames_of(pcap: Path) -> tuple[bytes, list[bytes]]:
    """The file's header, and each record with its own."""
    data = pcap.read_bytes()
    at, records = 24, []
    while at < len(data):
        size = 16 + struct.unpack_from("<I", data, at + 8)[0]
        records.append(data[at : at + size])
        at += size
    return data[:24], records


def test_tshark_tells_the_same(captured: Path) -> None:
    """Every request and its status, from HEAD to chunked uploads."""
    mine = story(read(captured))
    assert sum(mine.values()) == REQUESTS
    assert mine == tshark(captured)


@pytest.mark.parametrize("seed", range(4))
def test_disorder_and_copies_change_nothing(captured: Path, tmp_path: Path, seed: int) -> None:
    """Neighbours swapped, packets twice: the same exchanges to the last hash.

    tshark loses some of them then, or takes another's answer; what it saw asked we tell too.
    """
    order = random.Random(seed)
    header, records = frames_of(captured)
    places = order.sample(range(len(records) - 1), len(records) // 20)
    for place in places[::2]:
        records[place : place + 2] = reversed(records[place : place + 2])
    for place in sorted(places[1::2], reverse=True):
        records.insert(place + order.randrange(1, 4), records[place])
    moved = tmp_path / "moved.pcap"
    moved.write_bytes(header + b"".join(records))
    known = {"flow", "method", "target", "status", "request_body_sha256", "response_body_sha256"}

    def facts(pcap: Path) -> list[tuple[Any, ...]]:
        return sorted(tuple(str(e[key]) for key in sorted(known)) for e in read(pcap))

    assert facts(moved) == facts(captured)
    assert story(read(moved)) == tshark(captured)
    methods = {ask.method for ask in MIX}
    theirs = Counter(fact[:3] for fact in tshark(moved).elements() if fact[0] in methods)
    assert not theirs - Counter(fact[:3] for fact in story(read(moved)).elements())
