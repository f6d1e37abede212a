"""Names of several workers."""

from __future__ import annotations

from shadow_agent.segments.join import joined


def test_names_of_two_workers_join() -> None:
    """What one has merged, rare names of the other become; a route that both know stays."""
    one = ["/api/items", "/{any}/reviews", "/shop-a/reviews"]
    another = ["/api/items", "/shop-a/reviews", "/shop-b/reviews", "/{any}/reviews/{number}"]
    together = joined([one, another])
    assert together["/api/items"] == "/api/items"
    assert together["/shop-b/reviews"] == "/{any}/reviews"
    # the worker that says {any} knows it by name too: it is busy there
    assert together["/shop-a/reviews"] == "/shop-a/reviews"
    assert together == joined([another, one])


def test_the_most_general_name_joins() -> None:
    """A chain of mergers ends in one name."""
    together = joined([["/a/b"], ["/a/{any}"], ["/{any}/{any}"]])
    assert set(together.values()) == {"/{any}/{any}"}
