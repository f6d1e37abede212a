"""Which segment of a target as sent is which variable of a template."""

from __future__ import annotations

import pytest

from shadow_agent.policy.edit_shape import shape_of
from shadow_agent.policy.edit_target import decoded_segment, split


@pytest.mark.parametrize(
    ("template", "target", "fits"),
    [
        ("/orders/{id}", b"/orders/7", True),
        ("/orders/{id}", b"/%6frders/7?x", True),
        ("/orders/{id}", b"/orders/", False),
        ("/orders/{id}", b"/orders/7/lines", False),
        ("/orders/{id}/**", b"/orders/7/lines", True),
        ("/orders/{id}/**", b"/orders/7", True),
        ("/*/{id}", b"/a/b", True),
        ("/*/{id}", b"/a", False),
    ],
)
def test_fits(template: str, target: bytes, fits: bool) -> None:
    """Segment by segment, each decoded by itself."""
    parts = split(target)
    assert parts is not None
    assert shape_of(template).fits([*map(decoded_segment, parts.segments)]) is fits


@pytest.mark.parametrize(
    ("template", "path", "fits"),
    [
        ("/orders/{id}", "/Orders/7", True),
        ("/orders/{id}", "/orders/7/", True),
        ("/orders/{id}/", "/orders/7", True),
        ("/orders/{id}", "/orders/", False),
        ("/orders/{id}", "/orders/7/lines", False),
        ("/orders/{id}/**", "/ORDERS/7/lines/", True),
    ],
)
def test_lax(template: str, path: str, fits: bool) -> None:
    """As servers see it that ignore case and a slash at the end."""
    segments = path[1:].encode().split(b"/")
    assert shape_of(template).fits(segments, lax=True) is fits


def test_names() -> None:
    """Where each variable stands."""
    assert shape_of("/a/{b}/*/{c}").names == {"b": 1, "c": 3}
    with pytest.raises(ValueError, match="is no path"):
        shape_of("orders")
