"""Shapes that explain a difference, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from shadow_agent.compare.volatile import is_made_up, shape


@pytest.mark.parametrize(
    ("name", "production", "shadow", "found"),
    [
        ("x", "2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z", "time"),
        ("x", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", ""),
        ("created_at", 1_700_000_000, 1_700_000_003, "time"),
        ("createdAt", 1_700_000_000_123, 1_700_000_003_456, "time"),
        ("price", 1_700_000_000, 1_700_000_003, ""),
        (
            "x",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3302",
            "uuid",
        ),
        ("x", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAW", "ulid"),
        ("x", "0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319d", "hex"),
        ("x", "0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd", ""),
        ("request_id", "req_8aK2hd93jsl1", "req_7bJ3ke82kal2", "request id"),
        ("name", "req_8aK2hd93jsl1", "req_7bJ3ke82kal2", ""),
        ("x", "shop-7d9f8b6c5d-x2x4z", "shop-5c8d7e6f4a-abcde", "hostname"),
        ("x", "shop-7d9f8b6c5d-x2x4z", "cart-5c8d7e6f4a-abcde", ""),
        ("x", "http://prod/a?b", "http://shadow:80/a?b", "hostname"),
        ("x", "http://prod/a?b", "http://shadow:80/a?c", ""),
        ("seq", 5, 7, "counter"),
        ("seq", "5", "7", "counter"),
        ("id", 5, 7, ""),
        ("seq", True, False, ""),
        ("seq", 1.5, None, ""),
    ],
)
def test_a_shape_explains_or_not(name: str, production: Any, shadow: Any, found: str) -> None:
    """From both sides alike."""
    assert shape(name, production, shadow) == found
    assert shape(name, shadow, production) == found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("price", False),
        ("created_at", False),
        ("2026-01-01", True),
        ("42", True),
        ("a@b.example", True),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", True),
        ("x" * 60, True),
    ],
)
def test_names_that_are_data(name: str, expected: bool) -> None:
    """They would make as many differences as there are users."""
    assert is_made_up(name) is expected
