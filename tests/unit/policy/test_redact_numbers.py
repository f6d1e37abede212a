"""Cards, phones and IBANs among digits."""

from __future__ import annotations

import pytest

from shadow_agent.policy.redact_numbers import iban_end, numbers


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("4111111111111111", "card"),
        ("4111 1111 1111 1111", "card"),
        ("378282246310005", "card"),
        ("6011-1111-1111-1117", "card"),
        ("4111\u00a01111\u00a01111\u00a01111", "card"),
        ("4111_1111_1111_1111", "card"),
        ("+49 171 1234567", "phone"),
        ("+1 (555) 234-5678", "phone"),
        ("0049 171 1234567", "phone"),
        ("0171 1234567", "phone"),
        ("01 23 45 67 89", "phone"),
        ("030/1234567", "phone"),
        ("555-234-5678", "phone"),
        ("4111111111111112", None),
        ("1763876518123", None),
        ("2026-11-23 05:41", None),
        ("01.02.2026 12", None),
        ("0.123456789", None),
        ("192.168.100.100", None),
        ("1234567", None),
        ("img_20231123_054130_0123", None),
        ("2023_0171_1234567", None),
        ("1234_5678_9012_3456", None),
    ],
)
def test_numbers(text: str, kind: str | None) -> None:
    """What is one is found whole, but for a sign in front of it."""
    raw = text.encode()
    found = list(numbers(raw))
    if kind is None:
        assert found == []
        return
    digits = sum(c.isdigit() for c in text)
    assert any(
        one == kind and sum(c in b"0123456789" for c in raw[start:end]) == digits
        for start, end, one in found
    )


def test_a_space_of_latin_1() -> None:
    """One byte, where UTF-8 has two."""
    assert [kind for *_, kind in numbers(b"4111\xa01111\xa01111\xa01111")] == ["card"]


def test_a_card_among_other_numbers() -> None:
    """Groups in front and behind do not hide it."""
    raw = b"12 27 4111 1111 1111 1111 123"
    assert any(kind == "card" and start <= 6 and end >= 25 for start, end, kind in numbers(raw)), (
        list(numbers(raw))
    )


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (b"DE89370400440532013000", 22),
        (b"DE89 3704 0044 0532 0130 00 and more", 27),
        (b"DE89370400440532013000X", 0),
        (b"DE893704004405320130", 0),
        (b"ZZ", 0),
    ],
)
def test_iban_end(text: bytes, end: int) -> None:
    """By its country's length and its check digits."""
    assert iban_end(text, 0) == end
