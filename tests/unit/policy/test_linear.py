"""Expressions: refused in one line, and linear whoever wrote them."""

from __future__ import annotations

import pytest

from shadow_agent.policy.linear import (
    MAX_MATCHES,
    TooManyMatchesError,
    compile_bytes,
    find_all,
)


@pytest.mark.parametrize("pattern", ["(", r"(a)\1", "(?=a)", "a{2000}", "a" * 2000])
def test_what_is_no_expression(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Syntax errors, what only backtracking can do, and what is too large: one line, ours."""
    with pytest.raises(ValueError, match=r".") as raised:
        compile_bytes(pattern)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def test_what_hangs_other_engines() -> None:
    """The usual evil expressions on a long text come back: this test would not end otherwise."""
    for pattern in ("(a*)*b", "(a|a)*b", "(a|aa)+$", "(.*a){12}b"):
        assert find_all(compile_bytes(pattern), b"a" * 60_000 + b"c") == []


def test_matches_are_bounded() -> None:
    """One too many gives the text up; empty ones are none."""
    letter = compile_bytes("a")
    assert len(find_all(letter, b"a" * MAX_MATCHES)) == MAX_MATCHES
    with pytest.raises(TooManyMatchesError):
        find_all(letter, b"a" * (MAX_MATCHES + 1))
    assert find_all(compile_bytes("x*"), b"abc") == []


def test_any_bytes() -> None:
    """Text need not be UTF-8."""
    (match,) = find_all(compile_bytes(rb"\xff+"), b"a\xff\xffb")
    assert match.span() == (1, 3)
