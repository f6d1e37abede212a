"""Names of paths, given and learned."""

from __future__ import annotations

import random

from shadow_agent.segments.endpoints import Endpoints


def test_ids_are_shapes_from_the_first_path_on() -> None:
    """Two workers that see other paths of one kind say the same."""
    one, another = Endpoints(), Endpoints()
    assert one.name(b"/users/42/orders?page=2") == "/users/{number}/orders"
    assert another.name(b"/users/77/orders") == "/users/{number}/orders"


def test_given_templates_come_first() -> None:
    """What none of them matches is learned."""
    endpoints = Endpoints(["/users/{id}", "/users/me"])
    assert endpoints.name(b"/users/kim") == "/users/{id}"
    assert endpoints.name(b"/users/me") == "/users/me"
    assert endpoints.name(b"/items/3") == "/items/{number}"


def test_too_many_words_become_any() -> None:
    """A position with many values; a busy word beside them stays, and what is below is kept."""
    endpoints = Endpoints(most_words=10)
    for number in range(300):
        endpoints.name(b"/api/status")
        endpoints.name(f"/shop-{_word(number)}/reviews".encode())
    assert endpoints.name(b"/shop-new/reviews") == "/{any}/reviews"
    assert endpoints.name(b"/shop-a/reviews") == "/{any}/reviews"
    assert endpoints.name(b"/api/status") == "/api/status"
    assert endpoints.merges == 1


def test_names_given_before_a_merge_are_renamed() -> None:
    """Rows counted under the old name find the new one."""
    endpoints = Endpoints(most_words=10)
    before = [endpoints.name(f"/p/{_word(number)}/x".encode()) for number in range(10)]
    assert before[3] == f"/p/{_word(3)}/x"
    endpoints.name(b"/p/onemore/x")
    assert {endpoints.renamed(name) for name in before} == {"/p/{any}/x"}
    assert endpoints.renamed("/p/{any}/x") == "/p/{any}/x"
    assert endpoints.renamed("other") == "other"
    assert endpoints.renamed("/never/seen") == "/never/seen"


def test_unknown_paths_teach_nothing() -> None:
    """A scan that production answers with 404 merges no position and takes few names."""
    endpoints = Endpoints(most_names=100, most_words=10)
    endpoints.name(b"/users", 200)
    named = {endpoints.name(f"/{_word(n)}.php".encode(), 404) for n in range(5000)}
    assert len(named) == 21
    assert "other" in named
    assert endpoints.merges == 0
    assert endpoints.overflowed == 4980
    assert endpoints.name(b"/users", 404) == "/users"
    assert endpoints.name(b"/items/7", 404) == "other"
    endpoints.name(b"/items/8", 200)
    assert endpoints.name(b"/items/7", 404) == "/items/{number}"


def test_a_million_hostile_paths_stay_bounded() -> None:
    """All different, all answered: names, nodes and what is remembered have limits."""
    endpoints = Endpoints(most_names=50, most_words=10)
    chance = random.Random(7)
    names = set()
    for number in range(100_000):
        depth = chance.randrange(1, 30)
        path = "/".join(_word(chance.randrange(1 << 30)) for _ in range(depth))
        names.add(endpoints.name(f"/{path}{number}".encode()))
    assert len(names) <= 50 + 10 * 24 + 1  # and those that were renamed since
    assert endpoints._nodes >= -100
    assert len(endpoints._known) <= 4096
    assert endpoints.overflowed


def _word(number: int) -> str:
    letters = "abcdefghij"
    return "".join(letters[int(digit)] for digit in str(number))
