"""Templates that somebody gave."""

from __future__ import annotations

import pytest

from shadow_agent.segments.given import MAX_GIVEN, Given

TEMPLATES = (
    "/users",
    "/users/{id}",
    "/users/me",
    "/users/{id}/orders",
    "/files/{name}.json",
    "/files/{name}",
    "/files/{a}-{b}.json",
    "/static/**",
    "/static/app.js",
)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/users", "/users"),
        ("/users/7", "/users/{id}"),
        ("/users/me", "/users/me"),
        ("/users/me/orders", "/users/{id}/orders"),
        ("/users/", None),
        ("/files/a.json", "/files/{name}.json"),
        ("/files/a-b.json", "/files/{a}-{b}.json"),
        ("/files/.json", "/files/{name}"),
        ("/files/a.xml", "/files/{name}"),
        ("/static/app.js", "/static/app.js"),
        ("/static/a/b/c", "/static/**"),
        ("/static", "/static/**"),
        ("/nowhere", None),
    ],
)
def test_the_most_literal_wins(path: str, template: str | None) -> None:
    """Words before names with something beside them, names before any rest."""
    for order in (TEMPLATES, tuple(reversed(TEMPLATES))):
        assert Given(order).find(path.encode()[1:].split(b"/")) == template


@pytest.mark.parametrize("text", ["users", "/a{b", "/a}b", "/" + "a" * 2000, "/a/**/b", "/{x}/*a"])
def test_what_is_no_template(text: str) -> None:
    """It says what is wrong."""
    with pytest.raises(ValueError, match=r"[;:]"):
        Given([text])


def test_too_many() -> None:
    """A limit, with the fix."""
    with pytest.raises(ValueError, match="give those that matter"):
        Given(f"/{number}" for number in range(MAX_GIVEN + 1))


def test_many_alike_take_one_step_for_each_node() -> None:
    """Words and names at every place: no path makes the search go the same way twice."""
    deep = [
        "/" + "/".join("a" if mask >> place & 1 else f"{{x{place}}}" for place in range(8)) + "/z"
        for mask in range(256)
    ]
    given = Given(deep)
    assert given.find([b"a"] * 8 + [b"z"]) == deep[255]
    assert given.find([b"a"] * 8 + [b"y"]) is None
