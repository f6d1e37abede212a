"""Targets and fields; see test_redact for what never survives."""

from __future__ import annotations

import re

import pytest

from shadow_agent.policy.redact_body import BodyRedactor
from shadow_agent.policy.redact_head import HeadRedactor
from shadow_agent.policy.redact_json import JsonRedactor
from shadow_agent.policy.redact_text import TextRedactor
from shadow_agent.policy.redact_token import Tokens

TEXT = TextRedactor(Tokens(b"k" * 32))
HEADS = HeadRedactor(TEXT, BodyRedactor(TEXT, JsonRedactor(TEXT)), frozenset({b"x-who"}))


@pytest.mark.parametrize(
    "target",
    [
        *(b"/", b"*", b"/a/b%20c+d?x=1&y", b"/a;v=1/b;w", b"/a?", b"http://h.example:80/a?b=c"),
        *(b"h.example:443", b"/a?x=%zz&=1", b"//x"),
    ],
)
def test_targets_that_say_nothing(target: bytes) -> None:
    """Stay as they were, byte for byte."""
    assert HEADS.target(target) == target


@pytest.mark.parametrize(
    ("target", "left"),
    [
        (b"/r/x8Fq2LmZp0Kd7TyWb3Vn/a", b"/r/~token./a"),
        (b"/x8Fq2LmZp0Kd7TyWb3Vn;v=1?a", b"/~token.;v=1?a"),
        (b"http://h/reset-token/" + b"0a1b" * 8, b"http://h/reset-token/~token."),
        (b"/a?next=/r/x8Fq2LmZp0Kd7TyWb3Vn", b"/a?next=%2Fr%2F~token."),
        (b"/items/550e8400-e29b-41d4-a716-446655440000", None),
        (b"/git/5f1d7a84db00d2fce00b31a7fc73224f", None),
        (b"/blog/How-To-Install-Debian-12-On-Your-Laptop", None),
    ],
)
def test_tokens_in_a_path(target: bytes, left: bytes | None) -> None:
    """By their look or by the segment before; names, sums and UUIDs stay."""
    done = re.sub(rb"\.[b-t]{16}~", b".", HEADS.target(target))
    assert done == (target if left is None else left)


def test_userinfo() -> None:
    """In absolute form."""
    assert HEADS.target(b"http://u:p@h.example/").startswith(b"http://~userinfo.")


@pytest.mark.parametrize(
    ("name", "value", "start"),
    [
        (b"Authorization", b"Basic dTpw", b"Basic ~authorization."),
        (b"Authorization", b"dTpw", b"~authorization."),
        (b"Authorization", b"dTpw dTpw", b"~authorization."),
        (b"X-Who", b"Ann", b"~header."),
        (b"Cookie", b"dTpw", b"~cookie."),
        (b"Cookie", b"bad name=dTpw; x=", b"~cookie."),
        (b"Set-Cookie", b"a=dTpw; Path=/; Odd=dTpw", b"a=~cookie."),
        (b"X-Session-Token", b"dTpw", b"~secret."),
        (b"smtpPass", b"dTpw", b"~secret."),
        (b"X-Forwarded-By", b"Bearer dTpw", b"Bearer ~authorization."),
        (b"X-Forwarded-By", b"basic dTpw", b"basic ~authorization."),
        (b"X-Forwarded-By", b'Digest username="dTpw", uri="/"', b"Digest ~authorization."),
        (b"WWW-Authenticate", b'Bearer realm="a", nonce="dTpw"', b'Bearer realm="a"'),
        (b"Server", b"", b""),
    ],
)
def test_fields(name: bytes, value: bytes, start: bytes) -> None:
    """By name; what says how a credential is made stays."""
    ((kept, done),) = HEADS.fields([(name, value)])
    assert kept == name
    assert done.startswith(start)
    assert b"dTpw" not in done
