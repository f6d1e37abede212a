"""Texts: what is replaced, what stays, and how escapes are seen through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.linear import compile_bytes
from shadow_agent.policy.redact_text import Pattern, TextRedactor
from shadow_agent.policy.redact_token import Tokens

TOKENS = Tokens(b"k" * 32)
PLAIN = TextRedactor(TOKENS)


def test_only_the_value_is_replaced() -> None:
    """What stands around it stays."""
    token = TOKENS("email", b"a@b.example")
    assert PLAIN.clean(b"to a@b.example, now") == b"to " + token + b", now"


@pytest.mark.parametrize(
    "text",
    [
        b"a&#64;b.example",
        b"a&commat;b&period;example",
        rb"a\u0040b.example",
        rb"a\x40b.example",
        rb"a\u{40}b.example",
        b"a%2540b.example",
        b"&#38;#64; a&amp;#64;b.example",
    ],
)
def test_behind_escapes(text: bytes) -> None:
    """The whole text becomes one token: where the value is in it cannot be said."""
    assert PLAIN.clean(text).startswith(b"~encoded.")


@pytest.mark.parametrize("dash", ["\u2011", "\u2009", "\u2013", "\u202f", "\u2002-"])
def test_behind_typography(dash: str) -> None:
    """Spaces and dashes of Unicode, and the digits and signs of full width."""
    card = f"4111{dash}1111{dash}1111{dash}1111"
    wide = "".join(chr(ord(c) + 0xFEE0) for c in "4111111111111111")
    for text in (card, f"my card: {card}", wide, f"my card: {wide}", "a\uff20b\uff0eexample"):
        assert PLAIN.clean(text.encode()).startswith(b"~encoded.")


@pytest.mark.parametrize(
    "text", ["2020\u20132026, \u201cfine\u201d …", "\uff14\uff12 \uff01", "1\u202f234\u202f567 €"]
)
def test_typography_that_hides_nothing(text: str) -> None:
    """Stays as it is."""
    assert PLAIN.clean(text.encode()) == text.encode()


def test_too_many_layers() -> None:
    """What is escaped over and over is not followed for ever, nor let through."""
    assert PLAIN.clean(b"a%" + b"25" * 9 + b"40b.example") == TOKENS(
        "encoded", b"a%" + b"25" * 9 + b"40b.example"
    )


def test_parameters() -> None:
    """By name, in URLs and log lines; a token stays as it is."""
    done = PLAIN.clean(b"GET /?a=1&api_key=k1 pw: password=x;sid=3")
    assert b"k1" not in done
    assert b"a=1&api_key=~secret." in done
    assert b"=x" not in done
    assert PLAIN.clean(done) == done


def test_patterns() -> None:
    """Their group is replaced, or all that they match."""
    redactor = TextRedactor(
        TOKENS,
        (Pattern("a", compile_bytes("id=([0-9]+)")), Pattern("b", compile_bytes("(x)?yy"))),
        frozenset({"town"}),
    )
    assert redactor.clean(b"id=77") == b"id=" + TOKENS("a", b"77")
    assert redactor.clean(b".yy.") == b"." + TOKENS("b", b"yy") + b"."
    assert redactor.is_secret("Town")
    assert redactor.lines(b"a id=1\nid=2").count(b"~a.") == 2


def test_one_line_costs_no_other() -> None:
    """Lines are judged one by one."""
    assert PLAIN.lines(b"first\na&#64;b.example\nlast") == (
        b"first\n" + TOKENS("encoded", b"a&#64;b.example") + b"\nlast"
    )


@given(st.text(alphabet="ab%\\u&#x;04@.", max_size=60))
def test_hostile_escapes(text: str) -> None:
    """Broken ones raise nothing."""
    assert isinstance(PLAIN.clean(text.encode()), bytes)


@pytest.mark.parametrize("text", [rb"\ud83d\ude00", rb"\u{999999}", b"&#9999999;", b"100%"])
def test_escapes_of_nothing(text: bytes) -> None:
    """Surrogates and numbers beyond Unicode hide nothing and stay."""
    assert PLAIN.clean(text) == text
