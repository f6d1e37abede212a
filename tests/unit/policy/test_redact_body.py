"""Bodies by type; see test_redact for what is withheld."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.redact_body import BodyRedactor, quote, unquote
from shadow_agent.policy.redact_json import JsonRedactor
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.policy.redact_token import Tokens
from shadow_agent.telemetry.reasons import Withheld

TEXT = TextRedactor(Tokens(b"k" * 32))
BODIES = BodyRedactor(TEXT, JsonRedactor(TEXT), max_body=1000)


@pytest.mark.parametrize(
    ("kind", "data", "done"),
    [
        (b"text/plain", b"hello", b"hello"),
        (b"", b'{"a": 1}', b'{"a":1}'),
        (b"application/problem+json; charset=UTF-8", b"\xef\xbb\xbf[1, 2]", b"[1,2]"),
        (b"application/x-ndjson", b'{"a": 1}\n\n{"b": 2}\n', b'{"a":1}\n\n{"b":2}\n'),
        (b"application/x-www-form-urlencoded", b"a=%20b+c&d&e=", b"a=%20b+c&d&e="),
        (b"text/html; charset='latin1'", b"f\xfcr", b"f\xfcr"),
    ],
)
def test_what_hides_nothing_stays(kind: bytes, data: bytes, done: bytes) -> None:
    """But for JSON's white space."""
    assert BODIES.redact([(b"Content-Type", kind)] if kind else [], data) == (done, None, False)


def test_deflate_in_both_ways() -> None:
    """With zlib's wrapping and without."""
    raw = zlib.compressobj(wbits=-15)
    for packed in (zlib.compress(b"hello"), raw.compress(b"hello") + raw.flush()):
        assert BODIES.redact([(b"content-encoding", b"deflate")], packed) == (b"hello", None, True)


def test_a_bomb() -> None:
    """What unpacks to more than is looked at is withheld before it does."""
    bomb = zlib.compress(b"a" * 100_000)
    assert len(bomb) < 1000
    done = BODIES.redact([(b"Content-Encoding", b"deflate")], bomb)
    assert done.withheld is Withheld.TOO_LARGE


def test_a_form_says_it_nowhere() -> None:
    """A form that calls itself text is read as one."""
    done = BODIES.redact([(b"Content-Type", b"text/plain")], b"password=hunter2&x=b%40c.example")
    assert b"hunter2" not in done.data
    assert b"c.example" not in done.data


@given(st.binary())
def test_quoting(data: bytes) -> None:
    """Undone, it is what it was."""
    assert unquote(quote(data)) == data


def test_unquoting_what_is_broken() -> None:
    """A stray percent sign stays."""
    assert unquote(b"a+b%4%zz%41%") == b"a b%4%zzA%"


def test_a_plus_that_was_not_encoded() -> None:
    """In a query it stands for a space; who wrote a phone number meant it."""
    for value in (b"+14155552671", b"+49+30+1234567"):
        assert b"~phone." in BODIES.form(b"tel=" + value)
    assert BODIES.form(b"q=a+b+1") == b"q=a+b+1"


def test_multipart_by_another_name() -> None:
    """Its fields stand apart from their names: nothing of it is kept."""
    data = b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--x--'
    assert BODIES.redact([(b"Content-Type", b"text/plain")], data).withheld is Withheld.BINARY
