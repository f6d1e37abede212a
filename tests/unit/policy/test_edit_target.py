"""Targets and cookies, read and written piece by piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.policy.draft import Unfit
from shadow_agent.policy.edit_target import (
    change_pairs,
    check_cookie,
    decoded_segment,
    decoded_value,
    encoded_segment,
    encoded_value,
    split,
)


@pytest.mark.parametrize(
    ("target", "segments", "query"),
    [
        (b"/", (b"",), None),
        (b"/a/b", (b"a", b"b"), None),
        (b"/a//b/?", (b"a", b"", b"b", b""), b""),
        (b"/a?x=/b?c", (b"a",), b"x=/b?c"),
        (b"http://h:1/a?q", (b"a",), b"q"),
        (b"/a#f?x", (b"a",), None),
    ],
)
def test_split(target: bytes, segments: tuple[bytes, ...], query: bytes | None) -> None:
    """Path and query of whatever has them, and together again."""
    parts = split(target)
    assert parts is not None
    assert (parts.segments, parts.query) == (segments, query)
    assert parts.join() == target


@pytest.mark.parametrize("target", [b"*", b"host:443", b"http://h", b""])
def test_no_path(target: bytes) -> None:
    """Nothing to edit there."""
    assert split(target) is None


@given(st.binary(min_size=1, max_size=30))
def test_coded_and_back(value: bytes) -> None:
    """Any value stands in one segment and in one query value, and is read as itself."""
    if value not in {b".", b".."}:
        segment = encoded_segment(value)
        assert decoded_segment(segment) == value
        assert not set(segment) & set(b"/?#; \r\n")
    coded = encoded_value(value)
    assert decoded_value(coded) == value
    assert not set(coded) & set(b"&=+#; \r\n")


@pytest.mark.parametrize("value", [b"", b".", b".."])
def test_another_path(value: bytes) -> None:
    """A segment that would lead elsewhere is refused."""
    with pytest.raises(Unfit):
        encoded_segment(value)


@pytest.mark.parametrize("value", [b"a;b=c", b"a b", b"a\r\nX: 1", b"a,b"])
def test_more_than_a_cookie(value: bytes) -> None:
    """Refused."""
    with pytest.raises(Unfit):
        check_cookie(value)


def test_pairs() -> None:
    """Only what is changed changes; what has no value is left alone."""
    text = b" a=1;b = 2; c ;a=3"
    assert change_pairs(text, b";", lambda _, value: value) is text
    assert change_pairs(text, b";", lambda n, v: b"X" if n == b"a" else v) == b" a=1;b = 2; c ;a=X"
    assert change_pairs(text, b";", lambda n, v: None if n.strip() == b"b" else v) == (
        b" a=1; c ;a=3"
    )
