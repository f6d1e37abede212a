"""Tokens: keyed, bounded, at home anywhere."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.redact_token import TOKEN_MAX, Tokens


@given(st.binary(), st.binary())
def test_equal_tokens_for_equal_values(first: bytes, second: bytes) -> None:
    """And other ones for other values, kinds and keys."""
    tokens = Tokens(b"k" * 32)
    assert (tokens("email", first) == tokens("email", second)) == (first == second)
    assert tokens("email", first)[7:] != tokens("phone", first)[7:]
    assert tokens("email", first) != Tokens(b"K" * 32)("email", first)


@given(st.binary(max_size=10), st.sampled_from(["email", "a-kind-much-longer-than-that"]))
def test_their_shape(value: bytes, kind: str) -> None:
    """Unreserved characters without a digit, and never longer than said."""
    token = Tokens(b"k" * 32)(kind, value)
    assert re.fullmatch(rb"~[a-z-]+\.[b-t]{16}~", token)
    assert len(token) <= TOKEN_MAX


def test_a_short_key() -> None:
    """Is none."""
    with pytest.raises(ValueError, match="32 are needed"):
        Tokens(b"k" * 31)
