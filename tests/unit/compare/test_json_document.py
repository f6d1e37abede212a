"""JSON that is read as what it says, or not at all."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shadow_agent.compare.json_document import NotLookedInto, both


def _value(text: bytes) -> object:
    return both(text, text)[0].value


def test_spelling_is_not_content() -> None:
    """Spaces, escapes, the order of members and a byte order mark make no other document."""
    one, other = both(b'{"a":1,"b":"\\u0041"}', b'\xef\xbb\xbf{ "b" : "A", "a": 1 }')
    assert one.canonical is not None
    assert one.canonical == other.canonical


def test_digits_that_a_double_loses_are_kept() -> None:
    """Large whole numbers, long fractions and large exponents."""
    assert _value(b"[123456789012345678901]") == [123456789012345678901]
    assert _value(b"[1.10000000000000000001]") == [Decimal("1.10000000000000000001")]
    assert _value(b"[1e300, 1]") == [Decimal("1e300"), 1]
    assert _value(b"[1.5]") == [1.5]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b'{"a":1,"a" :2}', "twice"),
        (b'{"a":"\\u0022:","a":2}', "twice"),
        (b'{"a":12345678901234567890,"a":1}', "twice"),
        (b"[NaN]", "not JSON"),
        (b"[Infinity, 12345678901234567890]", "not JSON"),
        (b'["\\ud800"]', "not JSON"),
        (b'["\xff"]', "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (b"[" * 300 + b"]" * 300, "too deep"),
        (b"[" + b"1" * 5000 + b"]", "not JSON"),
        (b"[1e400]", "not JSON"),
    ],
)
def test_what_parsers_read_differently_is_not_looked_into(text: bytes, reason: str) -> None:
    """With the side that is at fault."""
    with pytest.raises(NotLookedInto, match=f"^production: .*{reason}"):
        both(text, b"[]")
    with pytest.raises(NotLookedInto, match=f"^shadow: .*{reason}"):
        both(b"[]", text)


def test_what_looks_like_a_member_within_a_text_is_none() -> None:
    """It is read with the slower parser, and passes."""
    assert _value(b'{"a":"x\\u0022:","b":" :"}') == {"a": 'x":', "b": " :"}
