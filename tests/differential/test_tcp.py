"""Every case of TCP that a tap meets, against the kernel's own receiver.

A case is a transcript of packets. What the server's socket gave and what the client got back is
the truth; the tap's records and tcpdump's file of the same device must tell the same, or name what
they do not know.
"""
# ruff: noqa: D103, E501 - a transcript's name says what it is, an overlap is a line of its table

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple

import pytest

from shadow_agent.selftest.peers import Ask, answer
from tests.differential.compare import FILE_LIMITS, judge_talk, show
from tests.differential.conftest import Paper
from tests.differential.paper import ACK, FIN, MSS, PSH, RST, SYN, TFO_ASKED, URG, Talk

EXACT: frozenset[str] = frozenset()


class Case(NamedTuple):
    """``named``: what a tap cannot know of it; empty where all is rebuilt."""

    play: Callable[[Talk], None]
    named: frozenset[str]
    isn: int
    exchanges: int  # that the server understood


CASES: dict[str, Case] = {}


def case(
    *named: str, isn: int = 1000, exchanges: int = 1
) -> Callable[[Callable[[Talk], None]], Callable[[Talk], None]]:
    """Enters a transcript into the table under its name."""

    def enter(play: Callable[[Talk], None]) -> Callable[[Talk], None]:
        name = play.__name__.strip("_").replace("_", "-")
        assert name not in CASES
        CASES[name] = Case(play, frozenset(named), isn, exchanges)
        return play

    return enter


def get(name: str = "a", size: int = 30) -> bytes:
    """A request of 50 bytes or so."""
    return Ask("GET", f"/length/{size}/{name}").head()


def post(body: bytes, name: str = "p") -> tuple[bytes, int]:
    """A request, and where its body begins."""
    ask = Ask("POST", f"/length/10/{name}", body)
    return ask.head() + body, len(ask.head())


@case()
def in_order(t: Talk) -> None:
    t.open()
    t.send(get())
    t.serve()
    t.finish()


@case()
def byte_by_byte(t: Talk) -> None:
    t.open()
    for byte in get():
        t.send(bytes([byte]))
    t.serve()
    t.finish()


@case()
def out_of_order(t: Talk) -> None:
    t.open()
    data = get()
    t.send(data[20:], at=20)
    t.send(data[:20], at=0)
    t.serve()
    t.finish()


@case()
def reversed_order(t: Talk) -> None:
    t.open()
    data = get()
    for at in reversed(range(0, len(data), 7)):
        t.send(data[at : at + 7], at=at)
    t.serve()
    t.finish()


@case(exchanges=2)
def next_request_before_this_one(t: Talk) -> None:
    t.open()
    first, second = get("a"), get("b")
    t.send(second, at=len(first))
    t.send(first, at=0)
    t.serve()
    t.finish()


@case(exchanges=2)
def fin_before_its_data(t: Talk) -> None:
    t.open()
    first, second = get("a"), get("b")
    t.send(first)
    t.serve()
    t.send(flags=ACK | FIN, at=len(first + second))
    t.send(second, at=len(first))
    t.serve()
    t.leave()


@case(exchanges=2)
def duplicate(t: Talk) -> None:
    t.open()
    data = get()
    t.send(data)
    t.send(data, at=0)
    t.serve()
    t.send(data, at=0)
    t.send(get("b"))
    t.serve()
    t.finish()


@case()
def retransmitted_shorter(t: Talk) -> None:
    t.open()
    data = get()
    t.send(data[:40])
    t.send(data[:20], at=0)
    t.send(data[10:30], at=10)
    t.send(data[40:], at=40)
    t.serve()
    t.finish()


@case()
def retransmitted_longer(t: Talk) -> None:
    t.open()
    data = get()
    t.send(data[:20])
    t.send(data[:40], at=0)
    t.send(data, at=0)
    t.serve()
    t.finish()


@case(exchanges=2)
def retransmitted_with_the_next_request(t: Talk) -> None:
    t.open()
    first, second = get("a"), get("b")
    t.send(first)
    t.serve()
    t.send(first + second, at=0)
    t.serve()
    t.finish()


@case()
def partial_overlap(t: Talk) -> None:
    t.open()
    data = get()
    t.send(data[:30])
    t.send(data[20:45], at=20)
    t.send(data[40:], at=40)
    t.serve()
    t.finish()


@case()
def partial_overlap_out_of_order(t: Talk) -> None:
    t.open()
    data = get()
    for start, end in ((30, 45), (20, 35), (40, 99), (10, 25), (0, 15)):
        t.send(data[start:end], at=start)
    t.serve()
    t.finish()


# Bytes of a 40-byte body as (start, end, what); the head comes first, and 0 to 10 last unless a
# piece begins there. Which copy a stack keeps is its own affair: these show Linux's.
OVERLAPS: dict[str, list[tuple[int, int, bytes]]] = {
    "new-at-the-end-of-delivered": [(0, 20, b"A"), (10, 40, b"B")],
    "new-within-delivered": [(0, 30, b"A"), (5, 20, b"B"), (30, 40, b"A")],
    "held-then-later-start": [(10, 30, b"A"), (20, 40, b"B"), (0, 10, b"C")],
    "held-then-earlier-start": [(20, 40, b"A"), (10, 30, b"B"), (0, 10, b"C")],
    "held-then-same-start-longer": [(10, 20, b"A"), (10, 40, b"B"), (0, 10, b"C")],
    "held-then-same-start-shorter": [(10, 40, b"A"), (10, 20, b"B"), (0, 10, b"C")],
    "held-then-same-place": [(10, 40, b"A"), (10, 40, b"B"), (0, 10, b"C")],
    "held-then-around-it": [(15, 25, b"A"), (10, 40, b"B"), (0, 10, b"C")],
    "held-then-within-it": [(10, 40, b"A"), (15, 25, b"B"), (0, 10, b"C")],
    "held-then-same-end-earlier-start": [(20, 40, b"A"), (10, 40, b"B"), (0, 10, b"C")],
    "held-then-same-end-later-start": [(10, 40, b"A"), (20, 40, b"B"), (0, 10, b"C")],
    "two-held-then-around-both": [(12, 16, b"A"), (20, 24, b"A"), (10, 40, b"B"), (0, 10, b"C")],
    "two-held-then-one-and-a-part": [(12, 16, b"A"), (20, 40, b"A"), (10, 30, b"B"), (0, 10, b"C")],
    "two-held-then-between": [(10, 20, b"A"), (30, 40, b"A"), (15, 35, b"B"), (0, 10, b"C")],
    "two-adjacent-held-then-across": [(10, 20, b"A"), (20, 30, b"A"), (15, 40, b"B"), (0, 10, b"C")],
    "two-adjacent-held-backwards-then-across": [(20, 30, b"A"), (10, 20, b"A"), (15, 40, b"B"), (0, 10, b"C")],
    "two-adjacent-held-then-from-the-second": [(10, 20, b"A"), (20, 30, b"A"), (20, 40, b"B"), (0, 10, b"C")],
    "hole-filled-into-held": [(10, 40, b"A"), (0, 20, b"B")],
    "hole-filled-over-all-held": [(10, 30, b"A"), (0, 40, b"B")],
    "hole-filled-over-first-of-two": [(10, 15, b"A"), (20, 40, b"A"), (0, 25, b"B")],
    "three-deep": [(20, 30, b"A"), (15, 35, b"B"), (12, 28, b"C"), (10, 40, b"D"), (0, 10, b"E")],
    "staircase-up": [(10, 20, b"A"), (15, 25, b"B"), (20, 30, b"C"), (25, 40, b"D"), (0, 10, b"E")],
    "staircase-down": [(25, 40, b"A"), (20, 30, b"B"), (15, 25, b"C"), (10, 20, b"D"), (0, 10, b"E")],
}  # fmt: skip


def _overlap(pieces: list[tuple[int, int, bytes]]) -> Callable[[Talk], None]:
    def play(t: Talk) -> None:
        t.open()
        data, body = post(bytes(40))
        t.send(data[:body])
        for start, end, what in pieces:
            t.send(what * (end - start), at=body + start)
        t.serve()
        t.finish()

    return play


for _name, _pieces in OVERLAPS.items():
    # Of one early segment and another Linux's choice is known; beside more it is not foretold.
    _many = _name.startswith(("two-", "three-", "staircase-"))
    _named = frozenset({"request.gap"}) if _many else EXACT
    CASES[f"different-{_name}"] = Case(_overlap(_pieces), _named, 1000, 1)


@case(isn=(1 << 32) - 20)
def sequence_wraps_in_head(t: Talk) -> None:
    in_order(t)


@case(isn=(1 << 32) - 60)
def sequence_wraps_in_body_out_of_order(t: Talk) -> None:
    t.open()
    data, body = post(bytes(range(200)))
    t.send(data[body + 50 :], at=body + 50)
    t.send(data[:60], at=0)
    t.send(data[60 : body + 50], at=60)
    t.serve()
    t.finish()


@case(isn=(1 << 32) - 1)
def sequence_wraps_with_the_syn(t: Talk) -> None:
    in_order(t)


@case("request.gap")
def missing_in_request_body(t: Talk) -> None:
    t.open()
    data, body = post(bytes(100))
    for start, end in ((0, body + 20), (body + 20, body + 50), (body + 50, len(data))):
        t.send(data[start:end])
    t.hide = lambda s: s.direction == 0 and s.seq == t.isn + 1 + body + 20
    t.serve()
    t.finish()


@case("request.lost", exchanges=3)
def missing_a_whole_request(t: Talk) -> None:
    t.open()
    for name in "abc":
        t.send(get(name))
        t.serve()
    start = t.isn + 1 + len(get("a"))
    t.hide = lambda s: s.direction == 0 and s.seq == start and s.length > 0
    t.finish()


@case("request.lost", exchanges=2)
def missing_end_of_head(t: Talk) -> None:
    t.open()
    data = get("a")
    t.send(data[:20])
    t.send(data[20:])
    t.serve()
    t.send(get("b"))
    t.serve()
    t.hide = lambda s: s.direction == 0 and s.seq == t.isn + 21
    t.finish()


@case("unanswered.gap", exchanges=2)
def missing_response_head(t: Talk) -> None:
    t.open()
    t.send(get("a"))
    first = t.peer
    t.serve()
    t.send(get("b"))
    t.serve()
    t.hide = lambda s: s.direction == 1 and s.seq == first and s.length > 0
    t.finish()


@case("response body: gap")
def missing_in_response_body(t: Talk) -> None:
    t.open()
    t.mute = True
    t.send(get("a", 60_000))
    t.serve()
    first, whole = t.peer, answer(t.requests[0])
    for at in range(0, len(whole), 10_000):  # no segment reaches from what is hidden to the end
        t.say(whole[at : at + 10_000])
    t.hide = lambda s: s.direction == 1 and 10_000 <= (s.seq - first) & 0xFFFFFFFF < 30_000
    t.finish()


@case("unanswered.gap")
def one_sided_requests(t: Talk) -> None:
    in_order(t)
    t.hide = lambda s: s.direction == 1


@case("request.lost")
def one_sided_responses(t: Talk) -> None:
    in_order(t)
    t.hide = lambda s: s.direction == 0


@case(exchanges=2)
def keep_alive_probe(t: Talk) -> None:
    t.open()
    t.send(get("a"))
    t.serve()
    t.send(at=t.next - 1, flags=ACK)
    t.send(b"\0", at=t.next - 1, flags=ACK)  # as BSD's ancestors do, with a byte of garbage
    t.send(get("b"))
    t.serve()
    t.finish()


@case(exchanges=2)
def keep_alive_probe_of_the_server(t: Talk) -> None:
    t.open()
    assert t.server is not None
    t.server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    t.server.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    t.send(get("a"))
    t.serve()
    seen = len(t.arrived)
    t.bed.until(lambda: len(t.arrived) > seen)
    t.ack()
    t.send(get("b"))
    t.serve()
    t.finish()


@case()
def zero_window_of_the_client(t: Talk) -> None:
    t.window = 0
    t.open()
    t.send(get("a", 3000))
    t.serve()
    seen = len(t.arrived)
    t.bed.until(lambda: len(t.arrived) > seen)  # a probe
    t.ack()
    t.window = 65535
    t.ack()
    t.serve()
    t.finish()


def _fill_window(t: Talk, data: bytes) -> int:
    """Send until the server's window is closed; how much that was."""
    at = 0
    while True:
        before = len(t.arrived)
        t.send(data[at : at + 1000], at=at)
        acks = [p for p in t.arrived[before:] if p.flags & ACK]
        at = max(at, (acks[-1].ack - t.isn - 1) & 0xFFFFFFFF) if acks else at + 1000
        if acks and acks[-1].window == 0:
            return at


@case()
def zero_window_probe(t: Talk) -> None:
    t.open()
    assert t.server is not None
    t.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    data, _ = post(bytes(range(256)) * 400)
    at = _fill_window(t, data)
    for _ in range(3):
        t.send(data[at : at + 1], at=at)
    t.serve()
    while at < len(data):
        t.send(data[at : at + 500], at=at)
        at += 500
        t.serve()
    t.finish()


@case()
def fin_with_data(t: Talk) -> None:
    t.open()
    t.send(get(), flags=ACK | PSH | FIN)
    t.serve()
    t.leave()


@case()
def fin_with_the_last_of_the_body(t: Talk) -> None:
    t.open()
    data, body = post(bytes(100))
    t.send(data[:body])
    t.send(data[body:], flags=ACK | FIN)
    t.serve()
    t.leave()


@case()
def fin_retransmitted(t: Talk) -> None:
    t.open()
    t.send(get())
    t.serve()
    t.send(flags=ACK | FIN)
    t.send(flags=ACK | FIN, at=t.next - 1)
    t.serve()
    t.leave()


@case()
def data_behind_the_fin(t: Talk) -> None:
    t.open()
    t.send(get("a"), flags=ACK | FIN)
    t.send(get("b"))
    t.serve()
    t.leave()


@case()
def half_closed(t: Talk) -> None:
    t.open()
    t.mute = True
    t.send(get(), flags=ACK | PSH | FIN)
    t.serve()
    assert t.server is not None
    t.server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    t.bed.pump()
    t.leave()


@case()
def reset_by_the_client(t: Talk) -> None:
    t.open()
    t.send(get())
    t.serve()
    t.send(flags=RST)
    t.serve()
    assert t.reset


@case("unanswered.client_aborted")
def reset_before_the_answer(t: Talk) -> None:
    t.open()
    t.mute = True
    t.send(get())
    t.serve()
    t.send(flags=RST)
    t.serve()
    assert t.reset


@case("unanswered.server_closed")
def reset_by_the_server(t: Talk) -> None:
    t.open()
    t.mute = True
    t.send(get())
    t.serve()
    t.abort()


def _ignored_reset(offset: int) -> Callable[[Talk], None]:
    def play(t: Talk) -> None:
        t.open()
        t.send(get("a"))
        t.serve()
        end = t.next
        t.send(flags=RST, at=end + offset)
        t.serve()
        assert not t.reset
        t.send(get("b"), at=end)
        t.serve()
        t.next = end + len(get("b"))
        t.finish()

    return play


# RFC 5961: only a RST at the very next sequence number counts.
for _name, _offset in {
    "behind": -10, "far-behind": -(1 << 20), "in-the-window": 1000, "ahead-of-it": 1 << 20,
    "far-ahead": 1 << 30,
}.items():  # fmt: skip
    CASES[f"reset-ignored-{_name}"] = Case(_ignored_reset(_offset), EXACT, 50_000_000, 2)


@case(exchanges=2)
def syn_in_mid_connection(t: Talk) -> None:
    t.open()
    t.send(get("a"))
    t.serve()
    t._write(seq=t.isn + 5000, flags=SYN, options=MSS)  # gets a challenge ACK
    t.send(get("b"))
    t.serve()
    t.finish()


@case(exchanges=2)
def syn_retransmitted(t: Talk) -> None:
    t.syn()
    t.syn()
    t.open()
    t.send(get("a"))
    t.serve()
    t.syn()
    t.send(get("b"))
    t.serve()
    t.finish()


@case(exchanges=2)
def port_reuse_after_time_wait(t: Talk) -> None:
    t.open()
    t.send(get("a"))
    t.serve()
    t.leave()  # the server closes first, so TIME_WAIT is its
    t.send(flags=ACK | FIN)
    t.again(isn=t.isn + 100_000)
    t.open()
    t.send(get("b"))
    t.serve()
    t.finish()


@case(exchanges=2)
def port_reuse_after_reset(t: Talk) -> None:
    t.open()
    t.send(get("a"))
    t.serve()
    t.send(flags=RST)
    t.serve()
    t.again(isn=t.isn + 5)
    t.open()
    t.send(get("b"))
    t.serve()
    t.finish()


@case()
def simultaneous_close(t: Talk) -> None:
    t.open()
    t.send(get())
    t.serve()
    assert t.server is not None
    known = t.peer
    t.server.close()
    t.server = None
    t.send(flags=ACK | FIN, ack=known)  # before the server's FIN has come
    t.bed.pump()
    t.ack()


@case(exchanges=2)
def syn_with_data(t: Talk) -> None:
    data = get("a")
    t.syn(data, MSS + TFO_ASKED)
    t.bed.until(lambda: t.arrived != [])
    assert t.arrived[0].ack == t.isn + 1 + len(data)  # taken
    t.next = len(data)
    t.ack()
    t.accept()
    t.serve()
    t.send(get("b"))
    t.serve()
    t.finish()


@case()
def syn_with_data_not_taken(t: Talk) -> None:
    t.bed.place.sysctl("ipv4/tcp_fastopen", 0)
    try:
        data = get("a")
        t.syn(data, MSS + TFO_ASKED)
        t.bed.until(lambda: t.arrived != [])
        assert t.arrived[0].ack == t.isn + 1
        t.send(data)
        t.accept()
        t.serve()
        t.finish()
    finally:
        t.bed.place.sysctl("ipv4/tcp_fastopen", 0x602)


@case()
def syn_with_data_not_taken_then_other_data(t: Talk) -> None:
    t.bed.place.sysctl("ipv4/tcp_fastopen", 0)
    try:
        t.syn(get("a"), MSS + TFO_ASKED)
        t.bed.until(lambda: t.arrived != [])
        t.send(get("b"))
        t.accept()
        t.serve()
        t.finish()
    finally:
        t.bed.place.sysctl("ipv4/tcp_fastopen", 0x602)


@case("request.gap")
def urgent_out_of_band(t: Talk) -> None:
    _urgent(t, 11)


@case("request.gap")
def urgent_inline(t: Talk) -> None:
    t.inline = True
    _urgent(t, 11)


@case("request.gap")
def urgent_pointer_zero(t: Talk) -> None:
    _urgent(t, 0)


@case("request.gap")
def urgent_last_byte(t: Talk) -> None:
    _urgent(t, 40)


def _urgent(t: Talk, pointer: int) -> None:
    """A body of which the urgent byte is, or is not, part: the server knows, a tap cannot."""
    t.open()
    body = bytes(range(40)) + bytes(60 if t.inline else 61)
    ask = Ask("POST", "/length/10/u", body[:100])
    t.send(ask.head())
    t.send(body[:40], flags=ACK | PSH | URG, urgent=pointer)
    t.send(body[40:])
    t.serve()
    t.finish()


@case("request.lost", exchanges=2)
def urgent_in_the_head(t: Talk) -> None:
    t.open()
    data = get("a")
    t.send(data[:10] + b"!" + data[10:], flags=ACK | PSH | URG, urgent=11)
    t.serve()
    t.send(get("b"))
    t.serve()
    t.finish()


@case("request.gap")
def urgent_byte_in_a_later_segment(t: Talk) -> None:
    t.open()
    ask = Ask("POST", "/length/10/u", bytes(100))
    t.send(ask.head(), flags=ACK | PSH | URG, urgent=len(ask.head()) + 11)
    t.send(bytes(50), flags=ACK | PSH)
    t.send(bytes(51))
    t.serve()
    t.finish()


@case(exchanges=2)
def joined_in_mid_connection(t: Talk) -> None:
    t.open()
    t.mute = False
    t.send(get("a"))
    t.serve()
    begin = t.next
    t.requests.clear()
    t.responses.clear()
    for name in "bc":
        t.send(get(name))
        t.serve()
    t.finish()
    first = t.isn + 1
    answered = next(p.seq for p in t.arrived if p.payload)
    t.hide = lambda s: (
        s.seq < first + begin if s.direction == 0 else s.seq <= answered and not s.flags & FIN
    )


@case(isn=(1 << 32) - 20_000, exchanges=1000)
def long_lived(t: Talk) -> None:
    t.open()
    for number in range(1000):
        t.send(get(str(number)))
        t.serve()
    t.finish()


@case()
def without_the_ack_flag(t: Talk) -> None:
    t.open()
    data = get("a")
    t.send(get("x"), at=0, flags=PSH)  # the kernel drops it
    t.next = 0
    t.send(data, at=0)
    t.serve()
    t.finish()


@case()
def beyond_the_window(t: Talk) -> None:
    t.open()
    data, body = post(bytes(100))
    t.send(b"x" * 50, at=body + (1 << 21))
    t.next = 0
    t.send(data, at=0)
    t.serve()
    t.finish()


LIMITS = {
    "urgent-byte-in-a-later-segment": "no stack sends an urgent byte without the URG flag on it",
}


def _cases() -> list[object]:
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=LIMITS[name]) if name in LIMITS else ())
        for name in CASES
    ]


@pytest.mark.parametrize("ipv6", [False, True], ids=["v4", "v6"])
@pytest.mark.parametrize("name", _cases())
def test_tcp(paper: Paper, name: str, ipv6: bool) -> None:
    """Live and from the file: nothing wrong, nothing missing that is not named."""
    played = CASES[name]
    talk = paper.talk(ipv6=ipv6, isn=played.isn)
    played.play(talk)
    assert len(talk.requests) == played.exchanges
    for source, segments in (("live", paper.live()), ("file", paper.dump.segments())):
        if source == "file" and not segments:
            continue
        verdict, made = (
            judge_talk(talk, segments) if source == "live"
            else judge_talk(talk, segments, FILE_LIMITS)
        )  # fmt: skip
        assert verdict.wrong == [], f"{source}\n{show(made)}\nread: {talk.read[:300]!r}"
        if not played.named:
            assert verdict.exact == verdict.understood, f"{source} {verdict}\n{show(made)}"
        elif source == "live":
            assert set(verdict.named) == played.named, show(made)
