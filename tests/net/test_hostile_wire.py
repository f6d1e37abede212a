"""Hostile bytes on the service's port: counted by name, never fatal, never passed on broken.

Each shape is what a raw client sends; production (nginx) makes of it what it will. Honest traffic
runs beside it and must be compared as ever.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import Counter
from typing import NamedTuple

import pytest

from tests.net.agent import PATIENCE_S, PORT, at, attach, drained, total
from tests.net.faults import ITEMS, untouched, wait_ledger
from tests.testbed import Testbed, nginx, traffic


class Shape(NamedTuple):
    """Bytes of one connection, and what must come of them.

    ``pieces`` go out as packets of their own. ``replayed``: targets that reach the shadow whole,
    and no other may. The client reads until production closes, or, where production waits for
    more, gives up after ``answers`` beginnings of a response; ``reset``: it ends with RST.
    ``begun``: a sound head whose body breaks later, so that the shadow may have seen its start,
    never its end.
    """

    pieces: tuple[bytes, ...]
    counts: dict[str, int]
    replayed: tuple[str, ...] = ()
    answers: int = 1
    reset: bool = False
    begun: str = ""


def get(target: str, *fields: bytes, version: bytes = b"1.1") -> bytes:
    """A plain request."""
    head = b"GET %b HTTP/%b" % (target.encode(), version)
    return b"\r\n".join((head, b"Host: x", *fields, b"", b""))


HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(190))
MALFORMED = {"requests.malformed": 1}
COMPARED = {"pairs.compared": 1}
ABORTED = {"requests.aborted": 1}


def malformed(*fields: bytes, body: bytes = b"") -> Shape:
    """A request with these fields that must not be believed."""
    return Shape((get("/evil", *fields) + body,), MALFORMED)


NOT_HTTP = {
    "tls": Shape((HELLO,), {"segments.not_http.tls": 1}),
    "h2": Shape((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),), {"segments.not_http.h2": 1}),
    "ssh": Shape((b"SSH-2.0-x\r\n",), {"segments.not_http.other": 1}),
    "binary": Shape((bytes(range(128, 256)) * 4,), {"segments.not_http.other": 1}),
    "nuls": Shape((bytes(500),), {"segments.not_http.other": 1}),
    "lower-case": Shape(
        (b"get /evil HTTP/1.1\r\nHost: x\r\n\r\n",), {"segments.not_http.other": 1}
    ),
}
SMUGGLED = b"0\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
BROKEN = {
    "cl-te": malformed(b"Content-Length: 4", b"Transfer-Encoding: chunked", body=SMUGGLED),
    "te-cl": malformed(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=SMUGGLED),
    "cl-cl": malformed(b"Content-Length: 4", b"Content-Length: 5", body=b"abcd"),
    "cl-negative": malformed(b"Content-Length: -4", body=b"abcd"),
    "cl-plus": malformed(b"Content-Length: +4", body=b"abcd"),
    "te-unknown": malformed(b"Transfer-Encoding: xchunked", body=SMUGGLED),
    "te-tab": malformed(b"Transfer-Encoding:\x0bchunked", body=SMUGGLED),
    "nul-in-field": malformed(b"X: a\0b"),
    "space-before-colon": malformed(b"X : a"),
    "folded-framing": malformed(b"Content-Length:", b" 4", body=b"abcd"),
    "version": Shape((get("/evil", version=b"9.9"),), MALFORMED),
    "space-in-target": Shape((get("/evil one"),), MALFORMED),
    "http-0.9": Shape((b"GET /evil\r\n\r\n",), MALFORMED),
    "http-0.9-line": Shape((b"GET /evil\r\n",), MALFORMED),
    "field-too-long": malformed(b"X: " + b"a" * 70_000)._replace(counts={"requests.oversize": 1}),
    "target-too-long": Shape((get("/" + "u" * 70_000),), {"requests.oversize": 1}),
    # The head is sound, so its replay begins; the shadow never gets the broken body whole.
    "chunk-size": Shape(
        (get("/b/size", b"Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n",),
        MALFORMED | {"pairs.uncomparable.request_incomplete": 1},
        begun="/b/size",
    ),
    "chunk-overflow": Shape(
        (get("/b/overflow", b"Transfer-Encoding: chunked") + b"f" * 17 + b"\r\nabc",),
        MALFORMED | {"pairs.uncomparable.request_incomplete": 1},
        begun="/b/overflow",
    ),
    "pipelined-binary": Shape(
        (get("/p/binary") + HELLO + b"\r\n\r\n",), MALFORMED | COMPARED, ("/p/binary",)
    ),
    "pipelined-broken": Shape(
        (get("/p/broken") + get("/evil", b"X : a"),), MALFORMED | COMPARED, ("/p/broken",)
    ),
}
CUT = {
    "half-head": Shape((b"GET /evil HTTP/1.1\r\nHost",), ABORTED, answers=0),
    "half-head-reset": Shape((b"GET /evil HTTP/1.1\r\nHost",), ABORTED, answers=0, reset=True),
    "half-body": Shape(
        (get("/b/half", b"Content-Length: 100") + b"x" * 10,),
        ABORTED | {"pairs.uncomparable.request_incomplete": 1},
        begun="/b/half",
    ),
    "nothing": Shape((), {}, answers=0),
}
ODD = {
    "http-1.0": Shape((get("/o/10", version=b"1.0"),), COMPARED, ("/o/10",)),
    "bare-lf": Shape((b"GET /o/lf HTTP/1.1\nHost: x\n\n",), COMPARED, ("/o/lf",)),
    "leading-lines": Shape((b"\r\n\r\n" + get("/o/lines"),), COMPARED, ("/o/lines",)),
    "folded": Shape((get("/o/folded", b"X: a", b" b"),), COMPARED, ("/o/folded",)),
    "absolute": Shape((b"GET http://x/o/abs HTTP/1.1\r\nHost: x\r\n\r\n",), COMPARED, ("/o/abs",)),
    "no-host": Shape((b"GET /o/nohost HTTP/1.1\r\n\r\n",), COMPARED, ("/o/nohost",)),
    "many-fields": Shape(
        (get("/o/bomb", *(b"A%d: b" % n for n in range(3000))),), COMPARED, ("/o/bomb",)
    ),
    "byte-by-byte": Shape(tuple(bytes((one,)) for one in get("/o/drip")), COMPARED, ("/o/drip",)),
    "pipelined": Shape(
        (b"".join(get(f"/o/p{n}") for n in range(5)),),
        {"pairs.compared": 5},
        tuple(f"/o/p{n}" for n in range(5)),
        answers=5,
    ),
    "continue": Shape(
        (get("/o/go", b"Content-Length: 4", b"Expect: 100-continue"), b"abcd"),
        COMPARED,
        ("/o/go",),
    ),
    "upgrade": Shape(
        (get("/evil", b"Connection: Upgrade", b"Upgrade: websocket"),),
        {"replay.refused.upgrade": 1},
    ),
    "connect": Shape(
        (b"CONNECT evil:443 HTTP/1.1\r\nHost: evil\r\n\r\n",), {"replay.refused.method": 1}
    ),
    "trace": Shape((b"TRACE /evil HTTP/1.1\r\nHost: x\r\n\r\n",), {"replay.refused.method": 1}),
}


def say(bed: Testbed, shape: Shape) -> None:
    """One connection of that shape, to its end."""
    with bed.client.socket() as sock:
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect((bed.service.v4, PORT))
        heard = b""
        # A server that refuses may reset before it has read all.
        with contextlib.suppress(ConnectionError):
            for piece in shape.pieces:
                sock.sendall(piece)
            while shape.answers and heard.count(b"HTTP/1.1 ") < shape.answers:
                data = sock.recv(65536)
                if not data:
                    break
                heard += data
        if shape.reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "shapes", [NOT_HTTP, BROKEN, CUT, ODD], ids=["not-http", "broken", "cut", "odd"]
)
def test_hostile_shapes(bed: Testbed, shapes: dict[str, Shape]) -> None:
    """Every shape has its name in the ledger; the shadow sees the sound ones, each once."""
    nginx.start(bed.service)
    shadow = nginx.start(bed.shadow, access_log=True)
    agent = attach(bed)
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, duration=120, connections=4
    )
    for shape in shapes.values():
        say(bed, shape)
    agent.wait_compared(50)
    result = running.stop()
    expected: Counter[str] = Counter()
    for shape in shapes.values():
        expected.update(shape.counts)
    names = [name for name in expected if name != "pairs.compared"]
    compared = result.sent + expected["pairs.compared"]

    wait_ledger(
        agent,
        lambda ledger: drained(ledger) and at(ledger, "pairs.compared") == compared,
        f"{compared} compared",
    )
    summary = agent.stop()
    ledger = summary["ledger"]
    assert untouched(result)
    for name in names:
        line, key, *reason = name.split(".")
        found = ledger[line][key].get(reason[0], 0) if reason else total(ledger[line][key])
        if line == "segments":  # packets: of one connection at least as many as were sent
            assert found >= expected[name], name
        else:
            assert found == expected[name], (name, ledger[line])
    assert at(ledger, "pairs.compared") == compared
    # Nothing is lost that no shape accounts for.
    assert ledger["requests"]["lost"] == ledger["requests"]["gap"] == 0
    assert ledger["replay"]["failed"] == ledger["replay"]["shed"] == {}
    targets = [one["target"] for one in shadow.requests()]
    strange = [target for target in targets if not target.startswith("/api/items/")]
    begun = {one.begun for one in shapes.values() if one.begun}
    assert sorted(target for target in strange if target not in begun) == sorted(
        target for one in shapes.values() for target in one.replayed
    )
    assert len(targets) - len(strange) == result.sent
    # The same build on both sides, so every difference would be ours.
    assert summary["different"] == 0
    assert summary["bodies"]["mismatched"] == 0
    assert summary["outcomes"].keys() == {"answered"}


def test_a_flood_of_connections(bed: Testbed) -> None:
    """Thousands of connections without a word cost neither the agent nor an honest client."""
    nginx.start(bed.service)
    nginx.start(bed.shadow)
    agent = attach(bed)
    running = traffic.start(
        bed.client, bed.service.url(PORT), ITEMS, rate=100, duration=120, connections=4
    )
    linger = struct.pack("ii", 1, 0)
    for number in range(1500):
        with bed.client.socket() as sock:
            if number % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            sock.connect((bed.service.v4, PORT))
    agent.wait_compared(50)
    result = running.stop()
    wait_ledger(
        agent,
        lambda ledger: drained(ledger) and at(ledger, "pairs.compared") == result.sent,
        "all honest requests compared",
    )
    summary = agent.stop()
    assert untouched(result)
    ledger = summary["ledger"]
    assert ledger["requests"]["started"] == result.sent
    assert ledger["packets"]["copied"] > 2 * 1500
    assert summary["outcomes"] == {"answered": result.sent}
