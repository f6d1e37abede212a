"""Every case of HTTP that a tap meets, through a real socket of a server.

A transcript says what the client sends and what the server answers; the table says what the two
understood. The tap's records and tcpdump's file must tell the same, or name what they do not know.
"""
# ruff: noqa: D103 - a transcript's name says what it is

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import pytest

from shadow_agent.flow.segment import Segment
from shadow_agent.http.exchange import Exchange
from shadow_agent.selftest.listening import Rebuilt, rebuild
from tests.differential.compare import FILE_LIMITS, show
from tests.differential.conftest import Paper
from tests.differential.paper import Talk

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"3;name=value\r\nabc\r\n5 \r\ndefgh\r\n0\r\nX-Trailer: 1\r\n\r\n"


class Said(NamedTuple):
    """One exchange as both ends understood it; None: nobody can know."""

    method: str
    target: str
    status: int | None = 200
    answer: bytes | None = b"ok"
    body: bytes | None = b""


class Case(NamedTuple):
    """``counts``: of requests, segments and answers, by name, beside what was said."""

    play: Callable[[Talk], None]
    said: list[Said]
    counts: dict[str, object]


CASES: dict[str, Case] = {}


def case(
    *said: Said, **counts: object
) -> Callable[[Callable[[Talk], None]], Callable[[Talk], None]]:
    """Enters a transcript into the table under its name."""

    def enter(play: Callable[[Talk], None]) -> Callable[[Talk], None]:
        CASES[play.__name__.replace("_", "-")] = Case(play, list(said), counts)
        return play

    return enter


def simple(name: str, request: bytes, *said: Said, response: bytes = OK, **counts: object) -> None:
    """One request in one packet, one answer."""

    def play(t: Talk) -> None:
        t.open()
        for at in range(0, len(request), 1400):
            t.send(request[at : at + 1400])
            t.serve()
        t.say(response)
        end(t)

    CASES[name] = Case(play, list(said), counts)


def end(t: Talk) -> None:
    """Both close."""
    if t.server is not None:
        t.finish()


def head(first: str, *fields: str) -> bytes:
    return "\r\n".join([first, "Host: h", *fields, "", ""]).encode()


GET = head("GET /a HTTP/1.1")
POST = head("POST /p HTTP/1.1", "Content-Length: 4")

simple("plain", GET, Said("GET", "/a"))
simple("http-1.0", b"GET /a HTTP/1.0\r\n\r\n", Said("GET", "/a"))
simple("content-length", POST + b"body", Said("POST", "/p", body=b"body"))
simple("chunked-request-with-extensions-and-trailers", head("POST /c HTTP/1.1", "Transfer-Encoding: chunked") + CHUNKED, Said("POST", "/c", body=b"abcdefgh"))  # fmt: skip  # noqa: E501
simple("chunked-response-with-extensions-and-trailers", GET, Said("GET", "/a", answer=b"abcdefgh"), response=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED)  # fmt: skip  # noqa: E501
simple("chunked-and-length-in-a-response", GET, Said("GET", "/a", None, None), response=b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED)  # fmt: skip  # noqa: E501
simple("absolute-form", head("GET http://h/a HTTP/1.1"), Said("GET", "http://h/a"))
simple("asterisk-form", head("OPTIONS * HTTP/1.1"), Said("OPTIONS", "*"))
simple("leading-empty-lines", b"\r\n\r\n" + GET, Said("GET", "/a"))
simple("bare-line-feeds", b"GET /a HTTP/1.1\nHost: h\n\n", Said("GET", "/a"))
simple("folded-field", head("GET /a HTTP/1.1", "X: one\r\n two"), Said("GET", "/a"))
simple("long-head", head("GET /a HTTP/1.1", *(f"X-{n}: {'v' * 990}" for n in range(60))), Said("GET", "/a"))  # fmt: skip  # noqa: E501
simple("too-long-head", head("GET /a HTTP/1.1", *(f"X-{n}: {'v' * 990}" for n in range(70))), oversize=1)  # fmt: skip  # noqa: E501
simple("same-length-twice", head("POST /p HTTP/1.1", "Content-Length: 4", "Content-Length: 4") + b"body", malformed=1)  # fmt: skip  # noqa: E501

# What a front end and a back end may read differently: malformed, never guessed.
SMUGGLING = {
    "two-lengths": head("POST /p HTTP/1.1", "Content-Length: 4", "Content-Length: 5") + b"bodyX",
    "length-list": head("POST /p HTTP/1.1", "Content-Length: 4, 5") + b"bodyX",
    "length-and-chunked": head(
        "POST /p HTTP/1.1", "Content-Length: 4", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\n",
    "chunked-twice": head(
        "POST /p HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"
    )
    + b"0\r\n\r\n",
    "chunked-then-identity": head("POST /p HTTP/1.1", "Transfer-Encoding: chunked, identity")
    + b"0\r\n\r\n",
    "unknown-coding": head("POST /p HTTP/1.1", "Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "coding-before-a-tab": head("POST /p HTTP/1.1", "Transfer-Encoding: \x0bchunked")
    + b"0\r\n\r\n",
    "space-before-the-colon": head("POST /p HTTP/1.1", "Content-Length : 4") + b"body",
    "negative-length": head("POST /p HTTP/1.1", "Content-Length: -4") + b"body",
    "signed-length": head("POST /p HTTP/1.1", "Content-Length: +4") + b"body",
    "hexadecimal-length": head("POST /p HTTP/1.1", "Content-Length: 0x4") + b"body",
    "huge-length": head("POST /p HTTP/1.1", "Content-Length: 99999999999999999999") + b"body",
    "empty-length": head("POST /p HTTP/1.1", "Content-Length:") + b"body",
    "nul-in-a-field": head("GET /p HTTP/1.1", "X: a\0b"),
    "bare-cr-in-a-field": head("GET /p HTTP/1.1", "X: a\rContent-Length: 4"),
    "no-colon": head("GET /p HTTP/1.1", "nonsense"),
    "chunked-in-1.0": b"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space-in-the-target": head("GET /p q HTTP/1.1"),
}
for _name, _raw in SMUGGLING.items():
    simple(f"smuggling-{_name}", _raw, response=b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n", malformed=1)  # fmt: skip  # noqa: E501

for _name, _raw in {
    "chunk-size-is-no-number": b"xyz\r\nabc\r\n0\r\n\r\n",
    "chunk-without-its-crlf": b"3\r\nabcX\r\n0\r\n\r\n",
    "chunk-size-overflows": b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
}.items():
    simple(f"smuggling-{_name}", head("POST /p HTTP/1.1", "Transfer-Encoding: chunked") + _raw, Said("POST", "/p", 400, b"", None), response=b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n", malformed=1)  # fmt: skip  # noqa: E501


@case(Said("GET", "/a"), Said("GET", "/b"), Said("GET", "/c"))
def keep_alive(t: Talk) -> None:
    t.open()
    for name in "abc":
        t.send(head(f"GET /{name} HTTP/1.1"))
        t.say(OK)
    end(t)


@case(
    Said("GET", "/a", answer=b"1"), Said("HEAD", "/b", answer=b""), Said("GET", "/c", answer=b"3")
)
def pipelined(t: Talk) -> None:
    t.open()
    t.send(GET + head("HEAD /b HTTP/1.1") + head("GET /c HTTP/1.1"))
    t.say(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n3"
    )
    end(t)


@case(Said("GET", "/a", answer=b"until the end"))
def close_delimited(t: Talk) -> None:
    t.open()
    t.send(GET)
    t.say(b"HTTP/1.1 200 OK\r\n\r\nuntil ")
    t.say(b"the end", end=True)
    t.send(flags=0x11)


@case(
    Said("HEAD", "/a", answer=b""),
    Said("GET", "/b", 204, b""),
    Said("GET", "/c", 304, b""),
    Said("GET", "/d"),
)
def no_body_whatever_the_fields_say(t: Talk) -> None:
    t.open()
    for first, status in (("HEAD /a", 200), ("GET /b", 204), ("GET /c", 304)):
        t.send(head(f"{first} HTTP/1.1"))
        t.say(b"HTTP/1.1 %d X\r\nContent-Length: 50\r\n\r\n" % status)
    t.send(head("GET /d HTTP/1.1"))
    t.say(OK)
    end(t)


@case(Said("POST", "/p", body=b"body"), Said("GET", "/a"))
def continue_then_body(t: Talk) -> None:
    t.open()
    t.send(head("POST /p HTTP/1.1", "Content-Length: 4", "Expect: 100-continue"))
    t.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    t.send(b"body")
    t.say(OK)
    t.send(GET)
    t.say(OK)
    end(t)


@case(Said("POST", "/p", body=b"body"), Said("GET", "/a"))
def body_then_continue(t: Talk) -> None:
    t.open()
    t.send(head("POST /p HTTP/1.1", "Content-Length: 4", "Expect: 100-continue") + b"body")
    t.say(b"HTTP/1.1 100 Continue\r\n\r\n")
    t.say(OK)
    t.send(GET)
    t.say(OK)
    end(t)


@case(Said("GET", "/a"))
def early_hints(t: Talk) -> None:
    t.open()
    t.send(GET)
    t.say(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK)
    end(t)


@case(Said("POST", "/p", 413, b"", b"body"), Said("GET", "/a"))
def early_response(t: Talk) -> None:
    t.open()
    t.send(POST + b"bo")
    t.say(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
    t.send(b"dy")
    t.send(GET)
    t.say(OK)
    end(t)


@case(Said("POST", "/p", 417, b"", None))
def expectation_refused(t: Talk) -> None:
    t.open()
    t.send(head("POST /p HTTP/1.1", "Content-Length: 4", "Expect: 100-continue"))
    t.say(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
    end(t)


@case(Said("CONNECT", "h:443", 200, None), upgraded=4)
def connect(t: Talk) -> None:
    t.open()
    t.send(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n")
    t.say(b"HTTP/1.1 200 OK\r\n\r\n")
    t.send(b"\x16\x03\x01GET /not HTTP/1.1\r\n\r\n")
    t.say(b"HTTP/1.1 500 not HTTP\r\n\r\n")
    end(t)


@case(Said("CONNECT", "h:443", 403), Said("GET", "/a"))
def connect_refused(t: Talk) -> None:
    t.open()
    t.send(b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n")
    t.say(OK.replace(b"200", b"403"))
    t.send(GET)
    t.say(OK)
    end(t)


UPGRADE = head("GET /ws HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket")


@case(Said("GET", "/ws", 101, None), upgraded=4)
def upgrade(t: Talk) -> None:
    t.open()
    t.send(UPGRADE)
    t.say(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello")
    t.send(b"\x81\x85\1\2\3\4GET /not HTTP/1.1\r\n\r\n")
    t.say(b"\x81\x05world")
    end(t)


@case(Said("GET", "/ws"), Said("GET", "/a"))
def upgrade_refused(t: Talk) -> None:
    t.open()
    t.send(UPGRADE)
    t.say(OK)
    t.send(GET)
    t.say(OK)
    end(t)


@case(tls=4)
def tls(t: Talk) -> None:
    t.open()
    t.send(b"\x16\x03\x01\0\x05hello")
    t.say(b"\x16\x03\x03\0\x05hello")
    end(t)


@case(h2=4)
def http_2(t: Talk) -> None:
    t.open()
    t.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    t.say(bytes(9))
    end(t)


@case(other=4)
def something_else(t: Talk) -> None:
    t.open()
    t.send(b"SSH-2.0-OpenSSH\r\n")
    t.say(b"SSH-2.0-OpenSSH\r\n")
    end(t)


@case(Said("GET", "/a"))
def proxy_v1(t: Talk) -> None:
    t.open()
    t.send(b"PROXY TCP4 203.0.113.7 192.0.2.2 5000 8080\r\n" + GET)
    t.say(OK)
    end(t)


@case(Said("GET", "/a"))
def proxy_v2(t: Talk) -> None:
    t.open()
    preamble = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([203, 0, 113, 7, 192, 0, 2, 2])
    t.send(preamble + b"\x13\x88\x1f\x90")
    t.send(GET)
    t.say(OK)
    end(t)


@case(Said("GET", "/a"))
def slow_head(t: Talk) -> None:
    t.open()
    for byte in GET:
        t.send(bytes([byte]))
    t.say(OK)
    end(t)


@case(Said("GET", "/a"), Said("POST", "/p", body=b"body"))
def response_byte_by_byte(t: Talk) -> None:
    t.open()
    for request in (GET, POST + b"body"):
        t.send(request)
        for byte in OK:
            t.say(bytes([byte]))
    end(t)


@case(Said("POST", "/p", None, None, None), aborted=1)
def cut_off_in_the_body(t: Talk) -> None:
    t.open()
    t.send(POST + b"bo")
    end(t)


@case(Said("GET", "/a", 200, None))
def cut_off_in_the_answer(t: Talk) -> None:
    t.open()
    t.send(GET)
    t.say(OK[:-1], end=True)
    t.send(flags=0x11)


def _known(value: bytes | None) -> tuple[int | None, bytes | None]:
    return (None, None) if value is None else (len(value), sha256(value).digest())


def _differences(said: Said, exchange: Exchange) -> list[str]:
    request, answer = _known(said.body), _known(said.answer)
    return [
        f"{said.method} {said.target}: {name} {got!r}, not {wanted!r}"
        for name, wanted, got in (
            ("method", said.method, exchange.method),
            ("target", said.target, exchange.target.decode()),
            ("request body", request, (exchange.request_body_len, exchange.request_body_sha256)),
            ("status", said.status, exchange.status),
            ("answer", answer, (exchange.response_body_len, exchange.response_body_sha256)),
        )
        if wanted != got and not (name == "answer" and said.status in {101, None})
        and not (name == "answer" and said.method == "CONNECT" and said.status == 200)
    ]  # fmt: skip


def _count(made: Rebuilt, name: str) -> object:
    segments = made.segments.as_dict()
    not_http = segments["not_http"]
    assert isinstance(not_http, dict)
    return (made.requests.as_dict() | not_http).get(name, 0)


def _answers_first(segments: list[Segment]) -> list[Segment]:
    """As a capture of two interfaces may have them: each answer ahead of what it answers."""
    turned = list(segments)
    for place in range(1, len(turned)):
        before, this = turned[place - 1], turned[place]
        if this.direction and not before.direction and this.payload and before.payload:
            turned[place - 1 : place + 1] = [this, before]
    return turned


def _check(played: Case, made: Rebuilt, source: str) -> None:
    shown = f"{source}\n{show(made)}"
    assert len(made.exchanges) == len(played.said), shown
    for said, exchange in zip(played.said, made.exchanges, strict=True):
        assert _differences(said, exchange) == [], shown
    for count, number in played.counts.items():
        assert _count(made, count) == number, f"{count}: {shown}"


@pytest.mark.parametrize("name", CASES)
def test_http(paper: Paper, name: str) -> None:
    """Live and from the file, also out of order: what was said, and nothing else."""
    played = CASES[name]
    talk = paper.talk()
    talk.scripted = True
    played.play(talk)
    live, file = (
        [one for one in segments if one.key == talk.key]
        for segments in (paper.live(), paper.dump.segments())
    )
    _check(played, rebuild(live), "live")
    _check(played, rebuild(file, FILE_LIMITS), "file")
    _check(played, rebuild(_answers_first(file), FILE_LIMITS), "file, answers first")
