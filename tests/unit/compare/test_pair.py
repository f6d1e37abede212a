"""Two answers: status, headers, body."""

from __future__ import annotations

from datetime import date

from shadow_agent.compare.body import Answer
from shadow_agent.compare.options import Options
from shadow_agent.compare.pair import EQUAL, AnswerComparer
from shadow_agent.compare.selectors import Action, Tolerance
from shadow_agent.policy.jsonpath import Path

JSON = [(b"Content-Type", b"application/json"), (b"Date", b"now")]


def test_the_same_answers_are_equal() -> None:
    """Also when fields that nobody declared differ, or only hashes are known."""
    comparer = AnswerComparer(Options())
    one = Answer(200, JSON, b"{}")
    assert comparer.compare(one, Answer(200, [*JSON[:1], (b"Date", b"later")], b"{}")) is EQUAL
    hashed = Answer(200, JSON, None, 2, bytes(32))
    assert comparer.compare(hashed, hashed) is EQUAL


def test_everything_that_differs_is_named() -> None:
    """In one result."""
    comparer = AnswerComparer(Options())
    other = Answer(404, [*JSON, (b"Allow", b"GET")], b'{"a":1}')
    found = comparer.compare(Answer(200, JSON, b"{}"), other)
    assert [one.name for one in found.differences] == ["status", "header allow", "body $.a added"]
    assert not found.equal


def test_a_body_without_bytes_and_hash_differs() -> None:
    """What is not known is not taken for equal."""
    unknown = Answer(200, JSON, None)
    assert not AnswerComparer(Options()).compare(unknown, unknown).equal


def test_a_suppression_ends_with_its_last_day_and_stays_measured() -> None:
    """Until then the difference is there, marked."""
    rule = Tolerance(Action.IGNORE, json=Path("$.a"), until=date(2026, 12, 31))
    comparer = AnswerComparer(Options(rules=(rule,)))
    one, other = Answer(200, JSON, b'{"a":1}'), Answer(200, JSON, b'{"a":2}')
    comparer.on(date(2026, 12, 31))
    found = comparer.compare(one, other)
    assert found.equal
    assert found.differences[0].suppressed == "ignore $.a"
    comparer.on(date(2027, 1, 1))
    assert not comparer.compare(one, other).equal
