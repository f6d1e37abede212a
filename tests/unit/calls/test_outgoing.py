"""Calls read from segments on paper: order, loss, connections joined in the middle."""

from __future__ import annotations

import pytest

from shadow_agent.calls import outgoing
from shadow_agent.calls.call import Call
from shadow_agent.calls.outgoing import Outgoing
from shadow_agent.flow.segment import ACK, FIN, RST, SYN, Segment, flow_key

SECOND = 1_000_000_000
POST = b"POST /v1/charges/7 HTTP/1.1\r\nHost: pay.example\r\nContent-Length: 8\r\n\r\namount=1"
ISN = 0xFFFF_FFF0  # numbers turn over in the first request


class Paper:
    """A host that sends."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.outgoing = Outgoing(b"k" * 32, self._tell)
        self.now = SECOND

    def _tell(self, call: Call, address: bytes, port: int) -> None:
        assert address[12:] == bytes((10, 0, 0, 9))
        assert port == 8443
        self.calls.append(call)

    def send(
        self,
        at: int,
        data: bytes = b"",
        flags: int = ACK,
        *,
        source: int = 4000,
        direction: int = 0,
    ) -> None:
        """A segment ``at`` bytes after the SYN's number."""
        key = flow_key("10.0.0.1", source, "10.0.0.9", 8443)
        self.outgoing.push(
            Segment(self.now, key, direction, (ISN + at) % 2**32, 1, flags, data, len(data), True)
        )

    def paths(self) -> list[tuple[str, bool]]:
        """Of the calls, and whether each is whole."""
        return [(one.path, one.complete) for one in self.calls]


@pytest.fixture
def paper() -> Paper:
    """One that has opened a connection."""
    found = Paper()
    found.send(0, flags=SYN)
    return found


WHOLE = ("/v1/charges/7", True)


def test_in_order(paper: Paper) -> None:
    """Two on a connection."""
    paper.send(1, POST)
    paper.send(1 + len(POST), POST)
    paper.send(1 + 2 * len(POST), flags=FIN | ACK)
    assert paper.paths() == [WHOLE, WHOLE]
    assert len(paper.outgoing) == 0
    assert paper.outgoing.losses.as_dict() == {"gaps": 0, "unaligned": 0, "evicted": 0}


def test_out_of_order_and_twice(paper: Paper) -> None:
    """As the receiver puts it together; a retransmitted SYN changes nothing."""
    paper.send(11, POST[10:])
    paper.send(0, flags=SYN)
    paper.send(1, POST[:10])
    paper.send(1, POST)
    assert paper.paths() == [WHOLE]


def test_what_answers_say_is_not_read(paper: Paper) -> None:
    """Nor what a server opens."""
    paper.send(1, POST, direction=1)
    paper.send(0, flags=SYN | ACK, source=5000)
    assert len(paper.outgoing) == 1
    assert paper.calls == []


def test_a_hole_is_counted_and_the_next_request_read(paper: Paper) -> None:
    """The call it falls into is told as cut."""
    paper.send(1, POST[:50])
    paper.send(1 + len(POST), POST)
    assert paper.paths() == []
    paper.now += 3 * SECOND
    paper.outgoing.expire(paper.now)
    assert paper.paths() == [("/v1/charges/7", False), WHOLE]
    assert paper.outgoing.losses.gaps == 1


def test_a_connection_from_before(paper: Paper) -> None:
    """From its next request on; the rest of another is counted."""
    paper.send(1, b"rest of a body", source=4001)
    paper.send(100, POST, source=4001)
    assert paper.paths() == [WHOLE]
    assert paper.outgoing.losses.unaligned == 1


def test_a_reset_and_the_end_tell_what_is_open(paper: Paper) -> None:
    """As far as it came."""
    paper.send(1, POST[:50])
    paper.send(51, flags=RST)
    paper.send(0, flags=SYN, source=4001)
    paper.send(1, POST[:50], source=4001)
    paper.outgoing.end()
    assert paper.paths() == [("/v1/charges/7", False)] * 2


def test_ports_are_used_again(paper: Paper) -> None:
    """A new SYN with another number ends what was there."""
    paper.send(1, POST[:50])
    paper.send(5000, flags=SYN)
    paper.send(5001, POST)
    assert paper.paths() == [("/v1/charges/7", False), WHOLE]


def test_connections_are_bounded(paper: Paper, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one silent longest gives way, counted; so do those silent for minutes."""
    monkeypatch.setattr(outgoing, "MAX_CONNECTIONS", 8)
    for source in range(100):
        paper.send(0, flags=SYN, source=source + 1)
    assert len(paper.outgoing) == 8
    assert paper.outgoing.losses.evicted == 93
    paper.outgoing.expire(1000 * SECOND)
    assert len(paper.outgoing) == 0
    assert paper.outgoing.losses.evicted == 101


def test_bytes_that_wait_are_bounded(paper: Paper) -> None:
    """Over a MiB behind a hole, the hole is given up."""
    for number in range(40):
        paper.send(100 + number * 60_000, b"x" * 60_000)
    assert paper.outgoing.losses.gaps >= 1
