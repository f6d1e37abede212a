"""What the rules would do with a capture's requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadow_agent.capture.counts import PacketCounts
from shadow_agent.config import Config, ShadowUrl
from shadow_agent.offline.trial import Trial, changes_of
from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule
from tests.property.wire import Wire, response

EDITS = (
    Edit(Place(Part.HEADER, "x-user"), Change.PREFIX, "s-"),
    Edit(Place(Part.JSON, "$.id"), Change.SET, "1"),
    Edit(Place(Part.QUERY, "q"), Change.REMOVE),
)
RULES = (
    Rule(name="admin", action=Action.DROP, path="/admin/**"),
    Rule(
        name="orders",
        action=Action.REWRITE,
        methods=frozenset({"POST"}),
        path="/orders",
        edits=EDITS,
    ),
    Rule(name="idle", action=Action.TAG, tag="X-Dry: 1", host="other"),
)
REQUESTS = [
    b"GET /admin/a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /x/../%61dmin HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /orders?q=1 HTTP/1.1\r\nHost: h\r\nX-User: ann\r\nContent-Type: application/json\r\n%b"
    % b'Content-Length: 8\r\n\r\n{"id":7}',
    b"PUT /\x1b]0;evil HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"PUT /\xc3\xa9 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
]


def tried(*, examples: int = 1, **changed: Any) -> tuple[dict[str, Any], str]:
    """The report on these requests, and its text."""
    given: dict[str, Any] = {"rules": RULES, **changed}
    config = Config(interfaces=(), ports=(), shadow=ShadowUrl("s", 1), target="t", **given)
    trial = Trial(config, examples)
    wire = Wire()
    segments = wire.open()
    for request in REQUESTS:
        segments += [wire.client(request), wire.server(response(b"ok"))]
    trial.read(segments)
    assert trial.defects == []
    counts = PacketCounts()
    report = trial.json(counts)
    assert report.isascii()
    assert b"\n" not in report
    text = b"\n".join(trial.lines(counts))
    assert all(code == 10 or 32 <= code < 127 for code in text)
    loaded: dict[str, Any] = json.loads(report)
    return loaded, text.decode()


def test_by_rule() -> None:
    """Each rule with what it decided, then what no rule matched."""
    report, text = tried()
    admin, orders, idle = report["rules"]
    assert (admin["matched"], admin["replayed"], admin["refused"]) == (2, 0, {"rule": 2})
    assert (orders["matched"], orders["replayed"], orders["writes"]) == (1, 1, 1)
    assert orders["changes"] == [
        "prefixes header x-user with s-",
        "sets json $.id to 1",
        "removes query q",
    ]
    (example,) = orders["examples"]["passed"]
    assert set(example["changes"]) >= {
        "- POST /orders?q=1 HTTP/1.1",
        "+ POST /orders HTTP/1.1",
        "- X-User: ann",
        "+ X-User: s-ann",
        '- {"id":7}',
    }
    assert '+ {"id":1}' in example["changes"]
    assert "      + X-User: s-ann" in text
    assert (idle["matched"], idle["changes"]) == (0, ["adds X-Dry: 1"])
    default = report["default"]
    assert default["methods"] == ["GET", "HEAD", "OPTIONS"]
    assert default["replayed"] == 2
    assert set(default["refused"]) == {"method"}
    assert report["requests"] == sum(row["matched"] for row in [*report["rules"], default])
    assert "admin [drop]: 2 matched" in text
    assert "1 of them need a guard, or --unguarded" in text
    assert "nothing was sent" in text


@pytest.mark.parametrize("examples", [0, 1, 5])
def test_examples_are_bounded(examples: int) -> None:
    """So many of each kind."""
    report, text = tried(examples=examples)
    assert len(report["rules"][0]["examples"].get("rule", [])) == min(examples, 2)
    assert text.count("GET /admin/a h") == min(examples, 1)


def test_the_operator_s_word() -> None:
    """With --unguarded nothing is missing; another default lets out more."""
    report, text = tried(unguarded=True, methods=None)
    assert "need a guard" not in text
    assert report["default"]["refused"] == {}
    assert report["default"]["methods"] == ["all"]
    assert report["default"]["writes"] > 0


def test_changes_of_a_plain_rule() -> None:
    """None."""
    assert changes_of(Rule(name="r", action=Action.REPLAY)) == []
