"""Where values are in a text, and where none is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.redact_values import Span, find, merge


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mail a.b+c@d.example now", [("a.b+c@d.example", "email")]),
        ('"a b"@d.example', [('"a b"@d.example', "email")]),
        ("jörg@exämple.de", [("jörg@exämple.de", "email")]),
        ("a@[192.0.2.1]", [("a@[192.0.2.1]", "email")]),
        ("a%40d.example", [("a%40d.example", "email")]),
        ("https://u:p@host/x", [("u:p", "userinfo")]),
        ("https://u:p@h.example/x", [("u:p@h.example", "email")]),
        ("x eyJhbGciOiJub25lIn0.eyJhIjoxfQ. y", [("eyJhbGciOiJub25lIn0.eyJhIjoxfQ.", "jwt")]),
        ("iban DE89 3704 0044 0532 0130 00 ok", [("DE89 3704 0044 0532 0130 00", "iban")]),
        ("gb29nwbk60161331926819", [("gb29nwbk60161331926819", "iban")]),
        ("user@host, 5 @ 3, @name", []),
        ("DE88370400440532013000", []),
    ],
)
def test_find(text: str, found: list[tuple[str, str]]) -> None:
    """Each kind, with what belongs to it and no more."""
    raw = text.encode()
    assert [(raw[s.start : s.end].decode(), s.kind) for s in find(raw)] == found


def test_overlaps_are_joined() -> None:
    """One span covers both, named for the longer one."""
    spans = [Span(0, 4, "a"), Span(2, 9, "b"), Span(9, 10, "c")]
    assert merge(spans) == [Span(0, 9, "b"), Span(9, 10, "c")]


@given(st.binary(max_size=300))
def test_spans_are_in_order(text: bytes) -> None:
    """Not empty, within the text, one behind the other."""
    at = 0
    for span in find(text):
        assert at <= span.start < span.end <= len(text)
        at = span.end
