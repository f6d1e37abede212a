"""The tree of templates."""

from __future__ import annotations

import pytest

from shadow_agent.policy.paths import PathIndex
from shadow_agent.policy.template import Template

TEXTS = ["/admin/**", "/orders/{id}", "/orders/new", "/orders/**", "/", "/*/b", "/A"]


def index(*, closes: bool) -> PathIndex:
    """All templates, of rules that drop or of rules that let out."""
    return PathIndex((number, Template(text), closes) for number, text in enumerate(TEXTS))


def names(bits: int) -> set[str]:
    """The templates of a set."""
    return {text for number, text in enumerate(TEXTS) if bits >> number & 1}


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (b"/admin", {"/admin/**"}),
        (b"/admin/a/b", {"/admin/**"}),
        (b"/orders/new", {"/orders/{id}", "/orders/new", "/orders/**"}),
        (b"/orders/7", {"/orders/{id}", "/orders/**"}),
        (b"/orders/7/8", {"/orders/**"}),
        (b"/", {"/"}),
        (b"/orders/", {"/orders/**"}),
        (b"/a/b", {"/*/b"}),
        (b"/ADMIN", set()),
        (b"/A", {"/A"}),
        (b"/a", set()),
        (b"*", set()),
    ],
)
def test_what_opens_matches_strictly(target: bytes, found: set[str]) -> None:
    """As written, in its case."""
    seen = index(closes=False).find(target)
    assert (names(seen.every), seen.some, seen.any) == (found, 0, 0)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (b"/Admin/", {"/admin/**"}),
        (b"/x/../%61dmin", {"/admin/**"}),
        (b"/a/", {"/A"}),
        (b"//b", {"/*/b", "/"}),
        (b"/", {"/"}),
        (b"/b", set()),
        (b"/orders/", {"/orders/**"}),
        (b"/admin;x", {"/admin/**"}),
    ],
)
def test_what_closes_matches_generously(target: bytes, found: set[str]) -> None:
    """Any reading will do; so does another case, or a slash at the end."""
    seen = index(closes=True).find(target)
    assert (seen.every, seen.some) == (0, 0)
    assert found == names(seen.any)


def test_some_readings_only() -> None:
    """They are told apart, and remembered."""
    made = index(closes=False)
    for _ in range(2):
        seen = made.find(b"/x/../orders/7")
        assert names(seen.some) == {"/orders/{id}", "/orders/**"}
        assert seen.every == 0
    assert names(made.find(b"/orders/7;v=1").every) == {"/orders/{id}", "/orders/**"}


def test_what_was_not_read_may_match_anything() -> None:
    """Whatever opens is in doubt, whatever closes closes."""
    nasty = b"/a;/..%2f%5c%252e/./b//c"
    assert names(index(closes=False).find(nasty).some) == set(TEXTS)
    assert names(index(closes=True).find(nasty).any) == set(TEXTS)


def test_the_memory_is_bounded() -> None:
    """However many odd targets come, and however long."""
    made = index(closes=False)
    for number in range(2000):
        made.find(b"/x/../%d" % number)
    made.find(b"/x/../" + b"a" * 1500)
    assert len(made._known) <= 512
