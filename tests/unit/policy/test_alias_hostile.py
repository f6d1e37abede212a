"""Aliases under attack: values, places and numbers that nobody meant to hand out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.alias import MAX_VALUE, Aliases, AliasLimits, Pair
from shadow_agent.policy.alias_learn import AliasRule
from shadow_agent.policy.outgoing import Outgoing, Settings
from shadow_agent.policy.rule import Part, Place
from shadow_agent.telemetry.reasons import Refused

KEY = flow_key("192.0.2.1", 4000, "198.51.100.7", 80)
TOKEN = AliasRule(source=Place(Part.JSON, "$.token"))


class Pairs:
    """An agent that learns from pairs of answers and sends requests."""

    def __init__(self, *rules: AliasRule) -> None:
        self.outgoing = Outgoing(Settings(aliases=rules), "run")
        self.aliases = self.outgoing.aliases

    def answer(self, ours: Any, theirs: Any, session: str = "s") -> None:
        """Both sides' answers, as documents or as fields."""
        teacher = self.outgoing.teacher
        handed = [teacher.handed(*_answer(one)) for one in (ours, theirs)]
        for pair in teacher.pairs(handed[0], handed[1]):
            self.aliases.learn(session, pair, 0)

    def send(
        self, target: bytes = b"/", fields: bytes = b"", body: bytes = b"", session: str = "s"
    ) -> bytes | Refused:
        """What goes out, without the marks."""
        kind = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        raw = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + (kind if body else b"")
        head = parse_request(raw + b"\r\n")
        assert isinstance(head, RequestHead)
        exchange = Exchange(1, KEY, session, head, 0, 0, 0)
        return self.outgoing.dress(exchange, [body] if body else [])


def _answer(what: Any) -> tuple[ResponseHead, bytes | None]:
    text = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n"
    fields, body = (what, None) if isinstance(what, bytes) else (b"", json.dumps(what).encode())
    head = parse_response(text + fields + b"\r\n")
    assert isinstance(head, ResponseHead)
    return head, body


def test_a_session_that_hands_out_no_end() -> None:
    """Its oldest alias goes for each new one, and is counted; so does the session used last."""
    aliases = Aliases(AliasLimits(max_sessions=50, max_per_session=8, max_bytes=64 << 10))
    for number in range(20_000):
        aliases.learn("s", Pair(None, b"ours%d" % number, b"theirs"), number)
    assert len(aliases.sessions["s"]) == 8
    assert aliases.counts.evicted == 20_000 - 8
    for number in range(20_000):
        aliases.learn(f"s{number}", Pair(None, b"o" * 100, b"t" * 4000), number)
    assert len(aliases) <= 50
    assert aliases.size <= 64 << 10
    assert aliases.counts.forgotten == 20_001 - len(aliases)
    assert aliases.size == sum(one.size for one in aliases.sessions.values())


@pytest.mark.parametrize(
    "theirs",
    ["a\r\nX-Evil: 1", "a\nb", "a\0b", "x" * (MAX_VALUE + 1), "", "tab\there"],
)
def test_what_the_shadow_must_not_say(theirs: str) -> None:
    """The request that would carry it is refused, whatever its place; others go out."""
    pairs = Pairs(TOKEN)
    pairs.answer({"token": "t0ken-1"}, {"token": theirs})
    if theirs:
        assert pairs.aliases.counts.unfit == 1
        for sent in (
            pairs.send(fields=b"X-CSRF: t0ken-1\r\n"),
            pairs.send(b"/a/t0ken-1"),
            pairs.send(b"/?q=t0ken%2D1"),
            pairs.send(body=b'{"a": "t0ken-1"}'),
        ):
            assert sent is Refused.MALFORMED
    assert isinstance(pairs.send(b"/a/t0ken-12"), bytes)


@pytest.mark.parametrize("theirs", ["b; d=1", "b,c", "b c"])
def test_what_a_cookie_cannot_hold(theirs: str) -> None:
    """Refused there, sent elsewhere, coded as the place wants it."""
    pairs = Pairs(TOKEN)
    pairs.answer({"token": "t0ken-1"}, {"token": theirs})
    assert pairs.send(fields=b"Cookie: c=t0ken-1\r\n") is Refused.MALFORMED
    sent = pairs.send(b"/a/t0ken-1?q=t0ken-1")
    assert isinstance(sent, bytes)
    target = sent.split(b" ")[1]
    assert target.count(b"/") == 2
    assert not set(target) & set(b"; ")


@pytest.mark.parametrize("theirs", ["../../admin", "a/b", "a?b=c", "a#b", "%2e%2e", "a&b=c", "é"])
def test_what_would_be_another_target(theirs: str) -> None:
    """It stays one segment and one parameter."""
    pairs = Pairs(TOKEN)
    pairs.answer({"token": "t0ken-1"}, {"token": theirs})
    sent = pairs.send(b"/a/t0ken-1/b?q=t0ken-1&r=1")
    assert isinstance(sent, bytes)
    target = sent.split(b" ")[1]
    path, _, query = target.partition(b"?")
    assert path.count(b"/") == 3
    assert query.count(b"&") == 1
    assert query.count(b"=") == 2


@pytest.mark.parametrize(
    "carried",
    [b'a/b"c\\u00e9', b"a\\/b\\u0022c\\u00e9", b"\\u0061/b\\u0022c\xc3\xa9"],
)
def test_the_ways_to_write_a_string(carried: bytes) -> None:
    """JSON's escapes make no difference, percent signs neither, where they are undone."""
    carried = carried.replace(b'"', b'\\"')
    pairs = Pairs(TOKEN)
    pairs.answer({"token": 'a/b"cé'}, {"token": 'x"y'})
    sent = pairs.send(body=b'{"a": "' + carried + b'"}')
    assert isinstance(sent, bytes)
    assert sent.endswith(b'{"a": "x\\"y"}')
    sent = pairs.send(b"/%61%2fb%22c%C3%A9?q=a/b%22c%c3%a9")
    assert isinstance(sent, bytes)
    assert sent.startswith(b"GET /x%22y?q=x%22y ")


def test_parts_of_others() -> None:
    """A value within another is not touched, also where both are known; nor is it changed twice."""
    pairs = Pairs(AliasRule(source=Place(Part.JSON, "$.*")))
    pairs.answer({"a": "abcd", "b": "abcdef", "c": "swap"}, {"a": "swap", "b": "long", "c": "abcd"})
    sent = pairs.send(b"/abcd/abcdef/abcde/swap")
    assert isinstance(sent, bytes)
    assert sent.startswith(b"GET /swap/long/abcde/abcd ")


@pytest.mark.parametrize("ours", ["", "1", "abc", 7])
def test_short_values(ours: str | int) -> None:
    """Nothing, or a character, stands for too much: without a place it is never put in."""
    pairs = Pairs(TOKEN, AliasRule(source=Place(Part.COOKIE, "c")))
    pairs.answer({"token": ours}, {"token": "another"})
    pairs.answer(b"Set-Cookie: c=%s\r\n" % str(ours).encode(), b"Set-Cookie: c=another\r\n")
    said = str(ours).encode()
    sent = pairs.send(b"/a/%s?q=%s" % (said, said), b"X-Y: %s\r\n" % said)
    assert isinstance(sent, bytes)
    assert b"another" not in sent


def test_one_value_in_two_sessions() -> None:
    """Each has what the shadow handed out in it; a third has nothing."""
    pairs = Pairs(TOKEN)
    pairs.answer({"token": "t0ken-1"}, {"token": "mine"}, "s")
    pairs.answer({"token": "t0ken-1"}, {"token": "yours"}, "t")
    for session, value in (("s", b"mine"), ("t", b"yours"), ("u", b"t0ken-1")):
        sent = pairs.send(b"/t0ken-1", session=session)
        assert isinstance(sent, bytes)
        assert sent.startswith(b"GET /" + value + b" ")


def test_a_value_too_long_to_remember() -> None:
    """Is counted, for what it means: requests go out with production's."""
    pairs = Pairs(TOKEN)
    pairs.answer({"token": "t" * (MAX_VALUE + 1)}, {"token": "mine"})
    assert pairs.aliases.counts.unfit == 1
