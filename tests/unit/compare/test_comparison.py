"""Production's answer beside the shadow's."""

from __future__ import annotations

import hashlib

import pytest

from shadow_agent.compare.comparison import Comparer, compare
from shadow_agent.compare.options import Options
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.replay.reply import Reply, ReplyReader
from shadow_agent.telemetry.reasons import Outcome

TIMES = (5_000, 8_000, 9_500)


def produced(body: bytes | None, status: int = 200, *, kept: bool = True) -> Exchange:
    """An exchange that production answered 2 µs after its end, for 3 µs."""
    request = parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    response = parse_response(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
    assert isinstance(request, RequestHead)
    assert isinstance(response, ResponseHead)
    exchange = Exchange(1, bytes(36), "s", request, 500, 0, 0, unsure=False)
    exchange.response = response
    exchange.answered = True
    exchange.request_ended_ts = 1_000
    exchange.response_first_ts = 3_000
    exchange.response_last_ts = 6_000
    if body is not None:
        digest = None if kept else hashlib.sha256(body).digest()
        exchange.set_response_body(len(body), body if kept else None, digest)
    return exchange


def replied(body: bytes, status: int = 200, *, pieces: int = 1) -> Reply:
    """The shadow's whole answer."""
    reader = ReplyReader(1 << 16, 1 << 20)
    reply = reader.expect(head_only=False)
    reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
    step = max(len(body) // pieces, 1)
    for at in range(0, len(body), step):
        reader.feed(body[at : at + step])
    assert reply.outcome is Outcome.ANSWERED
    return reply


def test_equal() -> None:
    """Status and body, and latencies from each request's last byte."""
    seen = compare(produced(b"same"), replied(b"same"), TIMES)
    assert seen.outcome is Outcome.ANSWERED
    assert seen.production_status == seen.shadow_status == 200
    assert seen.bodies_equal is True
    assert (seen.production_first_us, seen.production_last_us) == (2.0, 5.0)
    assert (seen.shadow_first_us, seen.shadow_last_us) == (3.0, 4.5)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(b"abcdef", b"abcdef"), (b"abcdef", b"abcdeX"), (b"abc", b"abcdef")]
)
def test_bodies(kept: bool, pieces: int, ours: bytes, theirs: bytes) -> None:
    """By bytes where both are at hand, else by hash; the result is the same."""
    seen = compare(produced(ours, kept=kept), replied(theirs, pieces=pieces), TIMES)
    assert seen.bodies_equal is (ours == theirs)


def test_empty_bodies_are_equal() -> None:
    """However they are framed."""
    assert compare(produced(b""), replied(b""), TIMES).bodies_equal is True


def test_an_unknown_body_is_no_claim() -> None:
    """Some of production's was lost in capture."""
    assert compare(produced(None), replied(b"x"), TIMES).bodies_equal is None


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.ANSWERED])
def test_no_whole_answer(outcome: Outcome) -> None:
    """Then neither status, body nor latency of the shadow is believed."""
    reply = replied(b"same")
    reply.outcome = outcome
    seen = compare(produced(b"same"), reply, TIMES)
    assert seen.outcome is outcome
    assert seen.shadow_status is None
    assert seen.bodies_equal is None
    assert seen.shadow_first_us is None
    assert seen.shadow_last_us is None
    assert seen.production_first_us == 2.0


def test_unknown_and_early_times() -> None:
    """Unknown stays unknown; an answer before the request's end took no time after it."""
    seen = compare(produced(b""), replied(b""), (None, 8_000, None))
    assert seen.shadow_first_us is None
    assert compare(produced(b""), replied(b""), (9_000, 8_000, 9_500)).shadow_first_us == 0.0


def test_both_sides_must_be_settled() -> None:
    """A pair that is not is a defect of the caller."""
    unanswered = produced(b"")
    unanswered.response = None
    with pytest.raises(ValueError, match="settled"):
        compare(unanswered, replied(b""), TIMES)
    with pytest.raises(ValueError, match="settled"):
        compare(produced(b""), Reply(head_only=False), TIMES)


def test_a_comparer_says_what_differs() -> None:
    """By name; nothing for what is the same, and nothing where the shadow did not answer."""
    comparer = Comparer(Options())
    same = comparer.compare(produced(b"[1]"), replied(b"[1]"), TIMES)
    assert same.result is not None
    assert same.result.equal
    other = comparer.compare(produced(b"[1]"), replied(b"[2]", 404), TIMES)
    assert other.result is not None
    assert other.result.names == ["status", "body $[*] value"]
    assert other._replace(result=None) == compare(produced(b"[1]"), replied(b"[2]", 404), TIMES)
    cut = replied(b"[2]")
    cut.outcome = Outcome.CLOSED
    assert comparer.compare(produced(b"[1]"), cut, TIMES).result is None


def test_bodies_that_were_not_kept_are_known_by_their_hash() -> None:
    """With a note."""
    seen = Comparer(Options()).compare(produced(b"[1]", kept=False), replied(b"[2]"), TIMES)
    assert seen.result is not None
    assert seen.result.names == ["body bytes"]
    assert seen.result.notes == ("body: too large to be kept",)
