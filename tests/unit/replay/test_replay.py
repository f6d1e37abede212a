"""One request on its way to the shadow."""

from __future__ import annotations

import pytest

from shadow_agent.replay.replay import Phase, Replay, ReplayCounts
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import Refused
from tests.unit.replay.bed import exchange, post, request


def sent(raw: bytes) -> Replay:
    """A request that was sent whole and waits for its answer."""
    replay = Replay(exchange(raw), None, 0.0)  # type: ignore[arg-type]
    replay.request_end = len(raw)
    replay.reply = Reply(head_only=False)
    return replay


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_may_be_sent_again(method: str) -> None:
    """Safe, whole, without a body, and not a byte of an answer; but once."""
    replay = sent(request(method))
    assert replay.may_retry
    replay.retried = True
    assert not replay.may_retry


def test_what_may_not_be_sent_again() -> None:
    """It could change something, or the answer has begun, or it was not all sent."""
    assert not sent(request("POST")).may_retry
    assert not sent(request(fields="Content-Length: 2\r\n")).may_retry
    begun = sent(request())
    assert begun.reply is not None
    begun.reply.first_offset = 0
    assert not begun.may_retry
    half = sent(request())
    half.request_end = None
    assert not half.may_retry
    waits = sent(request())
    waits.reply = None
    assert not waits.may_retry


def test_bytes_that_waited() -> None:
    """The head and the body behind it, once; nothing stays behind."""
    replay = Replay(exchange(post(4)), None, 0.0)  # type: ignore[arg-type]
    assert replay.phase is Phase.QUEUED
    assert replay.take_bytes(replay.exchange.raw_head) is replay.exchange.raw_head
    replay.pending += [b"bo", b"dy"]
    replay.backlog = 4
    assert replay.take_bytes(post(4)) == post(4) + b"body"
    assert (replay.pending, replay.backlog) == ([], 0)


def test_refusals_are_counted_by_reason() -> None:
    """From the first on."""
    counts = ReplayCounts()
    for reason in (Refused.METHOD, Refused.METHOD, Refused.LOOP):
        counts.refuse(reason)
    assert counts.refused == {Refused.METHOD: 2, Refused.LOOP: 1}
