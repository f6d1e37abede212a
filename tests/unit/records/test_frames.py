"""Frames that a second reader puts together again."""

from __future__ import annotations

import dpkt
import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.records.frames import MSS, Frames

V4 = flow_key("192.0.2.1", 40000, "192.0.2.2", 80)
V6 = flow_key("2001:db8::1", 40000, "2001:db8::2", 80)


@pytest.mark.parametrize("key", [V4, V6])
def test_a_conversation(key: bytes) -> None:
    """Handshake, request, a long answer, end: numbers follow, checksums are right."""
    frames = Frames()
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 * MSS)
    made = frames.message(key, 10, 20, b"GET / HTTP/1.1\r\n\r\n", answer=False)
    made += frames.message(key, 15, 40, answer, answer=True)
    made += frames.end(key)
    assert [at for at, _ in made] == [10, 10, 10, 10, 15, 15, 40, 40, 40, 40]
    assert [dpkt.ethernet.Ethernet(raw).data.data.sport for _, raw in made[-3:]] == [
        40000,
        80,
        40000,
    ]
    streams: dict[int, bytes] = {40000: b"", 80: b""}
    expected: dict[int, int] = {}
    for _, raw in made:
        ethernet = dpkt.ethernet.Ethernet(raw)
        packet, segment = ethernet.data, ethernet.data.data
        given = segment.sum
        segment.sum = 0
        if key is V4:
            assert packet.len == len(bytes(packet))
            packet.sum = 0
        again = dpkt.ethernet.Ethernet(bytes(ethernet)).data.data
        assert again.sum == given
        assert segment.seq == expected.get(segment.sport, 0)
        control = segment.flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_FIN)
        expected[segment.sport] = segment.seq + len(segment.data) + bool(control)
        if segment.flags & dpkt.tcp.TH_ACK:
            assert segment.ack == expected[segment.dport]
        streams[segment.sport] += segment.data
    assert streams == {40000: b"GET / HTTP/1.1\r\n\r\n", 80: answer}


def test_time_does_not_go_back() -> None:
    """Pipelined requests are older than the answer before them."""
    frames = Frames()
    frames.message(V4, 10, 90, b"x" * 2 * MSS, answer=True)
    assert {at for at, _ in frames.message(V4, 20, 30, b"y", answer=False)} == {90}


def test_flows_are_bounded() -> None:
    """The one used longest ago is forgotten; its end says nothing, and it begins anew."""
    frames = Frames(max_flows=1)
    frames.message(V4, 1, 1, b"a", answer=False)
    frames.message(V6, 1, 1, b"a", answer=False)
    assert frames.end(V4) == []
    assert len(frames.message(V4, 1, 1, b"a", answer=False)) == 4


def test_what_begins_anew_is_no_retransmission() -> None:
    """Ports used again, or a worker that took over: other sequence numbers, in either direction."""
    starts = set()
    for frames, began in ((Frames(), 10**9), (Frames(), 10**9 + 1000)):
        for key in (V4, V6):
            made = frames.message(key, began, began, b"a", answer=False)
            client, service, *_ = (dpkt.ethernet.Ethernet(raw).data.data for _, raw in made)
            starts |= {(key, 0, client.seq), (key, 1, service.seq)}
    assert len(starts) == 8
