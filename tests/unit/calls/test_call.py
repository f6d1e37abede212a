"""Calls without what was in them."""

from __future__ import annotations

import pytest

from shadow_agent.calls.call import LONGEST, Body, Call, Protocol, clean, template


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/charges", "/v1/charges"),
        ("/v1/charges/42", "/v1/charges/{id}"),
        ("/u/3fa85f64-5717-4562-b3fc-2c963f66afa6/x", "/u/{id}/x"),
        ("/v1/charges/ch_1a2b3c4d5e6f/refunds", "/v1/charges/{id}/refunds"),
        ("/hooks/deadbeef", "/hooks/deadbeef"),
        ("/hooks/dead0beef", "/hooks/{id}"),
        ("", ""),
        ("/", "/"),
    ],
)
def test_templates(path: str, expected: str) -> None:
    """What names one of many is replaced; words stay."""
    assert template(path) == expected


def test_hashes_compare_under_one_key_only() -> None:
    """Size and hash, however the bytes were cut; nothing of nothing."""
    whole, pieces, other = Body(b"k" * 32), Body(b"k" * 32), Body(b"o" * 32)
    whole.add(b"amount=1")
    for one in (b"amo", b"unt=1"):
        pieces.add(one)
    other.add(b"amount=1")
    assert (whole.digest(), whole.size) == (pieces.digest(), 8)
    assert whole.digest() != other.digest()
    pieces.add(b"0")
    assert pieces.digest() != whole.digest()
    assert Body(b"k").digest() is None


def test_text_from_the_wire_is_harmless() -> None:
    """No control characters, bounded."""
    assert clean(b"/a\x1b[2J\xff") == "/a\\x1b[2J\\xff"
    assert len(clean(b"\0" * 10_000)) == LONGEST


def test_as_dict_has_every_field() -> None:
    """For the record."""
    shown = Call(Protocol.HTTP, method="GET", host="h", path="/p").as_dict()
    assert shown["protocol"] == "http"
    assert set(shown) == {
        *("protocol", "method", "host", "path", "query", "size", "body_hash", "recipients"),
        "complete",
    }  # fmt: skip
