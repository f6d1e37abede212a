"""``read``, from segments to lines; the command as a whole is in tests/unit/cli/test_read.py."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.flow.segment import Segment
from shadow_agent.http.assembler import Assembler
from shadow_agent.http.exchange import Event
from shadow_agent.offline.output import Output
from shadow_agent.offline.read import FLOW_LIMITS, Reader
from tests.property.wire import GET, Wire, response
from tests.unit.offline.captures import conversation

SECOND = 1_000_000_000
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"


def read(segments: Iterable[Segment]) -> tuple[list[dict[str, Any]], str]:
    """The lines, and what is said of the whole."""
    ours, theirs = os.pipe()
    counts = PacketCounts()

    def counted() -> Iterator[Segment]:
        for segment in segments:
            counts.seen += segment.final
            counts.copied += segment.final
            yield segment

    reader = Reader(Output(theirs))
    reader.read(counted())
    os.close(theirs)
    with os.fdopen(ours, "rb") as found:
        lines = [json.loads(line) for line in found]
    return lines, reader.account(counts)


def test_a_conversation() -> None:
    """An exchange each, in order, and nothing left over."""
    lines, said = read(conversation(3))
    assert [(one["target"], one["status"], one["notes"]) for one in lines] == [
        (f"/{n}", 200, []) for n in range(3)
    ]
    assert said == "3 exchanges of 1 flow"


def test_nothing() -> None:
    """No segment, no line."""
    assert read([]) == ([], "0 exchanges of 0 flows")


def test_an_answer_before_the_request_has_ended() -> None:
    """Is printed once, when the request is whole, and before the next."""
    wire = Wire()
    segments = [*wire.open(), wire.client(POST % 1), wire.server(response(b"no"))]
    segments += [wire.client(b"body"), wire.client(GET % 2), wire.server(response())]
    lines, _ = read(segments)
    assert [(one["target"], one["request_body_len"]) for one in lines] == [("/1", 4), ("/2", 0)]
    lines, _ = read(segments[:4])
    assert [(one["status"], one["request_body_len"]) for one in lines] == [(200, None)]


def test_an_answer_and_the_rest_of_its_request_at_once() -> None:
    """Both ends come with one segment, after a hole was filled: one line."""
    wire = Wire()
    segments = [*wire.open(), wire.client(POST % 1), wire.client(b"bo"), wire.client(b"dy")]
    segments.append(wire.server(response(b"ok")))
    segments[3], segments[5] = segments[5], segments[3]
    lines, _ = read(segments)
    assert [(one["target"], one["status"], one["request_body_len"]) for one in lines] == [
        ("/1", 200, 4)
    ]


def test_the_end_of_the_file_ends_everything() -> None:
    """What is unanswered then, and what waited behind a hole, is printed with the reason."""
    wire = Wire()
    segments = [*wire.open(), wire.client(GET % 1), wire.server(response()), wire.client(GET % 2)]
    lines, said = read(segments)
    assert [(one["status"], len(one["notes"])) for one in lines] == [(200, 0), (None, 1)]
    assert said == "2 exchanges of 1 flow; left out: exchanges.unanswered.drained 1"
    del segments[2]
    lines, said = read(segments)
    assert lines
    assert "lost" in said


def test_holes_expire_by_the_time_of_the_capture() -> None:
    """Hours pass in a moment; a flow that is lost does not hold up what comes after."""
    first, second = Wire(port=1), Wire(port=2)
    held = [*first.open(), first.client(GET % 1), first.server(response(b"x"))]
    del held[2]
    later = [*second.open(), second.client(GET % 2), second.server(response())]
    hour = FLOW_LIMITS.idle_ns + 10 * SECOND
    lines, said = read([*held, *(one._replace(ts=one.ts + hour) for one in later)])
    assert lines[-1]["target"] == "/2"
    assert lines[-1]["status"] == 200
    assert "requests.lost 1" in said


def test_a_defect_costs_one_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept to be told, a few of them, and what comes after is read."""
    push = Assembler.push

    def broken(self: Assembler, segment: Segment) -> list[Event]:
        if b"GET /0" in segment.payload:
            raise ZeroDivisionError("x" * 1000)
        return push(self, segment)

    monkeypatch.setattr(Assembler, "push", broken)
    reader = Reader(Output(os.open(os.devnull, os.O_WRONLY)))
    reader.read([one for port in range(20) for one in conversation(2, port=port)])
    assert reader.account(PacketCounts()).startswith("20 exchanges of 20 flows")
    assert len(reader.defects) == 10
    assert reader.defects[0].startswith("ZeroDivisionError: xxx")
    assert len(reader.defects[0]) == 200


def test_what_is_not_http_is_named() -> None:
    """In the ledger's words."""
    wire = Wire()
    _, said = read([*wire.open(), wire.client(b"\x16\x03\x01\x00\x05hello")])
    assert said.startswith("0 exchanges of ")
    assert "segments.not_http.tls 1" in said


@given(st.data())
def test_each_flow_in_order_of_request(data: st.DataObject) -> None:
    """However flows interleave and clients pipeline, and wherever the capture ends."""
    wires = [Wire(port=port) for port in (1, 2)]
    segments = [segment for wire in wires for segment in wire.open()]
    asked, answered = [0, 0], [0, 0]
    for which in data.draw(st.lists(st.integers(0, 3), max_size=40)):
        flow, ask = which % 2, which < 2
        if ask:
            segments.append(wires[flow].client(GET % asked[flow]))
            asked[flow] += 1
        elif answered[flow] < asked[flow]:
            segments.append(wires[flow].server(response(b"%d" % answered[flow])))
            answered[flow] += 1
    lines, _ = read(segments)
    for flow, port in enumerate((1, 2)):
        mine = [one for one in lines if one["flow"].startswith(f"192.0.2.1:{port} ")]
        assert [one["target"] for one in mine] == [f"/{n}" for n in range(asked[flow])]
        assert [one["status"] for one in mine] == (
            [200] * answered[flow] + [None] * (asked[flow] - answered[flow])
        )


def test_memory_where_stamps_stand_still() -> None:
    """Nothing expires there; who holds nothing any more is forgotten all the same."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    reader = Reader(Output(nowhere))
    listed: list[int] = []

    def segments() -> Iterator[Segment]:
        for port in range(1, 9001):
            yield from (one._replace(ts=0) for one in conversation(1, port=port))
        listed.append(len(reader.assembler.budget._queue))

    reader.read(segments())
    os.close(nowhere)
    assert listed[0] < 4096 + 1024
