"""What both builds answered to one request, side by side."""

from __future__ import annotations

from datetime import date
from typing import Final, NamedTuple

from shadow_agent.compare.body import Answer
from shadow_agent.compare.difference import Result
from shadow_agent.compare.options import Options
from shadow_agent.compare.pair import EQUAL, AnswerComparer
from shadow_agent.http.exchange import Exchange
from shadow_agent.replay.reply import Reply
from shadow_agent.telemetry.reasons import Outcome

_ANSWERED: Final = Outcome.ANSWERED


class Comparison(NamedTuple):
    """One pair. Latencies: µs by kernel time from the request's last byte; None is unknown."""

    outcome: Outcome
    production_status: int
    shadow_status: int | None  # None when the shadow sent no head
    bodies_equal: bool | None  # None when one of them is not wholly known
    production_first_us: float | None
    shadow_first_us: float | None
    production_last_us: float | None
    shadow_last_us: float | None
    result: Result | None = None  # None: not looked into, or the shadow did not answer


class Comparer:
    """Compares pairs by what they say, too."""

    __slots__ = ("_answers",)

    def __init__(self, options: Options) -> None:
        self._answers = AnswerComparer(options)

    def on(self, day: date) -> None:
        """It is that day: what expired before no longer suppresses."""
        self._answers.on(day)

    def compare(
        self, exchange: Exchange, reply: Reply, times: tuple[int | None, int | None, int | None]
    ) -> Comparison:
        """As the function, with what differs."""
        seen = compare(exchange, reply, times)
        ours, theirs = exchange.response, reply.head
        if ours is None or theirs is None or reply.outcome is not _ANSWERED:
            return seen
        if seen.bodies_equal and ours.raw == theirs.raw:
            return seen._replace(result=EQUAL)  # before their fields are split
        return seen._replace(
            result=self._answers.compare(
                Answer(
                    ours.status,
                    ours.headers,
                    exchange.response_body,
                    exchange.response_body_len,
                    None if exchange.response_body is not None else exchange.response_body_sha256,
                ),
                Answer(
                    theirs.status,
                    theirs.headers,
                    reply.body,
                    reply.body_len,
                    None if reply.body is not None else reply.body_sha256,
                ),
            )
        )


def compare(
    exchange: Exchange, reply: Reply, times: tuple[int | None, int | None, int | None]
) -> Comparison:
    """Compare production's answered exchange with the shadow's reply.

    ``times``: ns at which the request's last byte left for the shadow, and the answer's first
    and last byte came in. Raises ValueError for an exchange that production did not answer.
    """
    status = exchange.status
    outcome = reply.outcome
    if status is None or outcome is None:
        raise ValueError("both sides must be settled")
    asked, first, last = times
    whole = outcome is _ANSWERED
    return Comparison(
        outcome=outcome,
        production_status=status,
        shadow_status=reply.status if whole else None,
        bodies_equal=_bodies_equal(exchange, reply) if whole else None,
        production_first_us=_micros(exchange.request_ended_ts, exchange.response_first_ts),
        shadow_first_us=_micros(asked, first) if whole else None,
        production_last_us=_micros(exchange.request_ended_ts, exchange.response_last_ts),
        shadow_last_us=_micros(asked, last) if whole else None,
    )


def _bodies_equal(exchange: Exchange, reply: Reply) -> bool | None:
    length = exchange.response_body_len
    if length is None:
        return None
    if length != reply.body_len:
        return False
    ours, theirs = exchange.response_body, reply.body
    if ours is not None and theirs is not None:
        return ours == theirs
    return exchange.response_body_sha256 == reply.body_sha256


def _micros(start: int | None, end: int | None) -> float | None:
    if start is None or end is None:
        return None
    # an early answer begins before the request has ended: it took no time after it
    return max(end - start, 0) / 1000
