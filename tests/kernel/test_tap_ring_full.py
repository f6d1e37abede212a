"""No room on a ring: what is lost is counted, requests apart."""

from __future__ import annotations

import struct

import pytest

from shadow_agent.kernel import bpf
from shadow_agent.kernel.layout import ControlField, Counter, Role
from tests.kernel import frames
from tests.kernel.conftest import (
    PAGE,
    MakeTap,
)
from tests.kernel.frames import GET, WAYS, Way, frame, ip, tcp


def a_request(way: Way, family: int = 4, payload: bytes = GET) -> bytes:
    """A frame with payload that goes this way."""
    ends = frames.ends_of(way, family)
    return frame(ip(ends) / tcp(ends, payload), l3=way.l3)


@pytest.mark.parametrize("entry", ["tap_ingress", "shadow_egress"])
def test_missing_ring_is_a_full_ring(make_tap: MakeTap, entry: str) -> None:
    """A shard without a ring loses its records under a name."""
    tap = make_tap(entry, shards=1)
    way = next(w for w in WAYS if w.entry == entry)
    tap.configure(shadow=frames.shadow_of(4))
    struct.pack_into("=I", tap.control._page, ControlField.SHARDS, 2)
    sent = [
        frame(ip(e) / tcp(e, GET))
        for port in range(40000, 40020)
        for e in [frames.request_ends(4, shadow=way.shadow, port=port)]
    ]
    for one in sent:
        bpf.test_run(tap.programs[entry], one)
    counts = tap.counts(Role.SHADOW if way.shadow else Role.PRODUCTION)
    assert counts[Counter.RING_FULL] + counts[Counter.COPIED] == 20
    assert 0 < counts[Counter.RING_FULL] < 20


def test_smallest_ring_full(make_tap: MakeTap) -> None:
    """What does not fit is counted, requests apart; what fitted is whole; room is used again."""
    tap = make_tap("tap_loopback", ring_size=PAGE)
    ends = frames.request_ends(4)
    asked = frame(ip(ends) / tcp(ends, GET))
    answered = frame(ip(ends.reversed()) / tcp(ends.reversed(), GET))
    rest = frame(ip(ends) / tcp(ends, b"not the start of a request"))
    sent = [asked] * 15 + [answered] * 3 + [rest] * 2
    for one in sent:
        assert bpf.test_run(tap.programs["tap_loopback"], one) == (-1, one)
    # a record of the smallest class takes 8 + 80 + 256 bytes: 11 in a page
    assert [r.payload for r in tap.records()] == [GET] * 11
    counts = tap.counts()
    assert (counts[Counter.COPIED], counts[Counter.RING_FULL]) == (11, 9)
    assert counts[Counter.RING_FULL_REQUESTS] == 4
    assert tap.run("tap_loopback", asked).counted == {Counter.COPIED: 1}


@pytest.mark.parametrize(
    ("payload", "is_request"),
    [
        (GET, True),
        (b"POST /x HTTP/1.1\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\n", True),
        (b"PROPFIND / HTTP/1.1\r\n", True),
        (b"MKCALENDAR / HTTP/1.1\r\n", True),
        (b"get / http/1.1\r\n\r\n....", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
        (b"GE / HTTP/1.1\r\n\r\n", False),
        (b"\x16\x03\x01 a TLS hello....", False),
        (b"GET / HTTP/1.1", False),  # shorter than any request
    ],
)
def test_requests_lost_to_a_full_ring(make_tap: MakeTap, payload: bytes, is_request: bool) -> None:
    """Only segments that begin with a method token count as requests, and only requests do."""
    tap = make_tap("tap_loopback", ring_size=PAGE)
    filler = a_request(WAYS[0], payload=b"x" * 3000)
    assert tap.run("tap_loopback", filler).counted == {Counter.RING_FULL: 1}
    for _ in range(11):
        bpf.test_run(tap.programs["tap_loopback"], a_request(WAYS[0], payload=b"x" * 200))
    before = tap.counts()
    way = Way("tap_loopback", True)
    bpf.test_run(tap.programs["tap_loopback"], a_request(way, payload=payload))
    bpf.test_run(
        tap.programs["tap_loopback"], a_request(way._replace(request=False), payload=payload)
    )
    after = tap.counts()
    assert after[Counter.RING_FULL] - before[Counter.RING_FULL] == 2
    assert after[Counter.RING_FULL_REQUESTS] == int(is_request)
