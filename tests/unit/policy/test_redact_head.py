"""Targets and fields; see test_redact for what never survives."""

from __future__ import annotations

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
        (b"Server", b"", b""),
    ],
)
def test_fields(name: bytes, value: bytes, start: bytes) -> None:
    """By name; what says how a credential is made stays."""
    ((kept, done),) = HEADS.fields([(name, value)])
    assert kept == name
    assert done.startswith(start)
    assert b"dTpw" not in done
