"""Path templates: how they are written, and which cover which."""

from __future__ import annotations

import pytest

from shadow_agent.policy.template import Template


@pytest.mark.parametrize(
    ("text", "segments", "rest", "names"),
    [
        ("/", (b"",), False, {}),
        ("/orders/{id}", (b"orders", None), False, {"id": 1}),
        ("/a/*/{x-y}/**", (b"a", None, None), True, {"x-y": 2}),
        ("/**", (), True, {}),
        ("/a/", (b"a", b""), False, {}),
        ("/caf\u00e9 bar/a:b", ("caf\u00e9 bar".encode(), b"a:b"), False, {}),
    ],
)
def test_what_a_template_means(
    text: str, segments: tuple[bytes | None, ...], rest: bool, names: dict[str, int]
) -> None:
    """Literal segments, any one, and any rest at the end; names tell their place."""
    made = Template(text)
    assert (made.text, made.segments, made.rest, made.names) == (text, segments, rest, names)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("orders", "'orders' can never match: a path begins with /"),
        ("", "'' can never match: a path begins with /"),
        ("/a%20b", "'%' in it; write it decoded"),
        ("/a?b=1", "'?' in it; a query is no part of a path"),
        ("/a#b", "'#' in it"),
        ("/a;b", "';' in it"),
        ("/a\\b", "write /"),
        ("/a//b", "// in it; write one /"),
        ("/a/../b", ".. in it"),
        ("/a/.", ". in it"),
        ("/**/a", "stand for a whole segment"),
        ("/a*", "stand for a whole segment"),
        ("/{a}b", "stand for a whole segment"),
        ("/{}", "stand for a whole segment"),
        ("/{a}/{a}", "{a} twice"),
        ("/" * 65 + "a", "at most 1024 and 64 segments"),
        ("/" + "a" * 1024, "at most 1024 and 64 segments"),
    ],
)
def test_what_can_never_match_is_refused(text: str, reason: str) -> None:
    """With the fix."""
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        Template(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "covered"),
    [
        ("/a/**", "/a", True),
        ("/a/**", "/a/b/{c}", True),
        ("/a/**", "/a/**", True),
        ("/a/**", "/b", False),
        ("/a/b/**", "/a/**", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/", False),
        ("/a/b", "/a/*", False),
        ("/a/{x}", "/a/{y}", True),
        ("/a", "/a/b", False),
        ("/a/b", "/a", False),
        ("/a/*", "/a/**", False),
        ("/**", "/", True),
    ],
)
def test_covers(one: str, other: str, covered: bool) -> None:
    """Whether all that the other matches is matched."""
    assert Template(one).covers(Template(other)) is covered
