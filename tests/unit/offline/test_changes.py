"""What a rule would change, as lines before and after."""

from __future__ import annotations

import pytest

from shadow_agent.flow.segment import flow_key
from shadow_agent.http.exchange import Exchange
from shadow_agent.http.head import RequestHead, parse_request
from shadow_agent.offline.changes import changed_lines
from shadow_agent.policy.rule import Action, Change, Edit, Part, Place, Rule

TAG = Rule(name="t", action=Action.TAG, tag="X-Dry: 1")
JSON = Rule(
    name="j",
    action=Action.REWRITE,
    methods=frozenset({"POST"}),
    edits=(Edit(Place(Part.JSON, "$.id"), Change.SET, "1"),),
)


def asked(fields: str = "") -> Exchange:
    """A POST."""
    head = parse_request(f"POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
    assert isinstance(head, RequestHead)
    return Exchange(1, flow_key("192.0.2.1", 1, "192.0.2.2", 2), "s", head, 0, 0, 0)


def test_a_tag() -> None:
    """One line more; nothing else."""
    assert changed_lines(TAG, asked(), ()) == ["+ X-Dry: 1"]


@pytest.mark.parametrize(
    ("body", "refused"),
    [(b'{"id":7}', False), (b"{", True), (b'{"id":', True), (b"x" * (1 << 20), True)],
)
def test_a_body(body: bytes, refused: bool) -> None:
    """Changed where it can be; else the request would be refused, and that is said."""
    fields = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    lines = changed_lines(JSON, asked(fields), [body])
    assert (lines == ["! refused: uneditable"]) is refused
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 200
