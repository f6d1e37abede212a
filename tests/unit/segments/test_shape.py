"""What segments of paths look like."""

from __future__ import annotations

import pytest

from shadow_agent.segments.shape import literal, shape_of


@pytest.mark.parametrize(
    ("segment", "shape"),
    [
        (b"42", "{number}"),
        (b"0" * 64, "{number}"),
        (b"1" * 65, "{long}"),
        (b"-7", "{number}"),
        (b"550e8400-e29b-41d4-a716-446655440000", "{uuid}"),
        (b"550E8400-E29B-41D4-A716-446655440000", "{uuid}"),
        (b"1a2b3c4d", "{hex}"),
        (b"d41d8cd98f00b204e9800998ecf8427e", "{hex}"),
        (b"2024-02-29", "{date}"),
        (b"2024-02", "{date}"),
        (b"2024-02-29T12:00:00Z", "{date}"),
        (b"kim@example.com", "{email}"),
        (b"order-10443", "{id}"),
        (b"cus_Nf9cXoQ1", "{id}"),
        (b"01ARZ3NDEKTSV4RRFFQ69G5FAV", "{token}"),
        (b"dQw4w9WgXcQ_9-abcDEF", "{token}"),
        (b"x" * 65, "{long}"),
        (b"17.json", "{number}.json"),
        (b"main.8f3a9c1b.js", "main.{hex}.js"),
        (b"550e8400-e29b-41d4-a716-446655440000.jpg", "{uuid}.jpg"),
    ],
)
def test_ids(segment: bytes, shape: str) -> None:
    """Ids are known by their looks."""
    assert shape_of(segment) == shape


@pytest.mark.parametrize(
    "segment",
    [
        *(b"", b"users", b"v1", b"v2.1", b"deadbeef", b"feedback", b"iphone-15", b"a", b"search"),
        *(b"how-to-win-friends-in-2024", b"jquery.min.js", b"app.css", b"oauth2", b"index.html"),
        *(b"client_credentials", b"getUserProfile", b".well-known", b"s3", b"..", b"..."),
        "größe".encode(),
    ],
)
def test_words(segment: bytes) -> None:
    """Words stay words: routes, versions, names of files."""
    assert shape_of(segment) is None


def test_no_value_spells_a_shape() -> None:
    """A client that sends braces gets them encoded."""
    assert literal(b"{number}") == "%7Bnumber%7D"
    assert literal(b"a b\x1b[0m") == "a%20b%1B%5B0m"
    assert literal(b"a/b") == "a%2Fb"


def test_hostile_segments_take_linear_time() -> None:
    """Whatever is repeated in 64 bytes is judged at once; this would hang otherwise."""
    for part in (b"a", b"1", b"-", b"aA1", b"@", b".", b"a.", b"2024-01-01T", b"_1"):
        for length in (8, 63, 64):
            shape_of((part * 64)[:length] + b"\xff"[: 64 - length])
