"""A differing pair as it is stored."""

from __future__ import annotations

import json

from shadow_agent.compare.comparison import Comparison, compare
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, ResponseHead, parse_request, parse_response
from shadow_agent.policy.redact import Redactor
from shadow_agent.records.evidence import differs, evidence
from shadow_agent.replay.reply import Reply, ReplyReader
from shadow_agent.telemetry.reasons import Outcome


def pair(ours: bytes, theirs: bytes) -> tuple[Exchange, Reply]:
    """An answered request and the shadow's answer, JSON."""
    request = parse_request(b"GET /?key=hunter2 HTTP/1.1\r\nHost: a\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    response = parse_response(head % len(ours))
    assert isinstance(request, RequestHead)
    assert isinstance(response, ResponseHead)
    exchange = Exchange(1, b"client-address16" + bytes(20), "s", request, 500, 0, 0)
    exchange.response = response
    exchange.answered = True
    exchange.set_request_body(0, b"", None)
    exchange.set_response_body(len(ours), ours, None)
    reader = ReplyReader(1 << 16, 1 << 20)
    reply = reader.expect(head_only=False)
    reader.feed(head % len(theirs) + theirs)
    return exchange, reply


def stored(exchange: Exchange, reply: Reply) -> dict[str, object]:
    """The record of a pair."""
    seen = compare(exchange, reply, (None, None, None))
    made: dict[str, object] = json.loads(
        evidence(Redactor(b"k" * 32), exchange, reply, seen, "now")
    )
    return made


def test_a_record() -> None:
    """Both sides redacted, equal values with equal tokens, and no address."""
    exchange, reply = pair(b'{"m":"a@b.example","n":1}', b'{"m":"a@b.example","n":2}')
    made = stored(exchange, reply)
    text = json.dumps(made)
    assert "a@b" not in text
    assert "hunter2" not in text
    assert "client-address" not in text
    assert made["production"]["body"].replace(":1", ":2") == made["shadow"]["body"]  # type: ignore[index]
    assert made["bodies_equal"] is False
    assert made["production"]["body_len"] == 25  # type: ignore[index]


def test_bytes_that_are_no_text() -> None:
    """Are stored escaped, wherever they are."""
    exchange, reply = pair(b"{}", b"{}")
    request = parse_request(b"GET /\xff HTTP/1.1\r\nHost: a\xfe\r\n\r\n")
    assert isinstance(request, RequestHead)
    exchange.request = request
    text = json.dumps(stored(exchange, reply)["request"])
    assert "xff" in text
    assert "xfe" in text


def test_a_shadow_that_failed() -> None:
    """What there is of its answer; without a head nothing."""
    exchange, _ = pair(b"{}", b"{}")
    reply = Reply(head_only=False)
    reply.outcome = Outcome.REFUSED
    made = stored(exchange, reply)
    assert (made["outcome"], made["shadow"]) == ("refused", None)
    reader = ReplyReader(1 << 16, 1 << 20)
    cut = reader.expect(head_only=False)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhunter")
    cut.closed()
    shadow = stored(exchange, cut)["shadow"]
    assert isinstance(shadow, dict)
    assert shadow["withheld"] == "incomplete"
    assert "hunter" not in shadow["body"]


def test_what_differs() -> None:
    """A bad outcome, another status, another body; what is not known is no difference."""
    same = Comparison(Outcome.ANSWERED, 200, 200, True, None, None, None, None)
    assert not differs(same)
    assert not differs(same._replace(bodies_equal=None))
    assert differs(same._replace(bodies_equal=False))
    assert differs(same._replace(shadow_status=500))
    assert differs(same._replace(outcome=Outcome.RESET, shadow_status=None))
