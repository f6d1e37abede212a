"""What an exchange belongs to."""

from __future__ import annotations

import pytest

from shadow_agent.segments.cohort import Source
from shadow_agent.segments.labels import Labels, Segmenter, Terms, status_class
from tests.unit.segments.asked import asked


def test_without_terms_endpoints_are_learned() -> None:
    """Cohort and region are one each."""
    found = Segmenter(Terms()).of(asked("/items/7?a=b", status=200))
    assert found == Labels("/items/{number}", "all", "all", health=False)


def test_all_of_them() -> None:
    """Each by its own term."""
    terms = Terms(
        templates=("/items/{item}",),
        cohort=Source.parse("header:X-Plan"),
        region=Source.parse("header:X-Region"),
        health_paths=("/items/0",),
    )
    segmenter = Segmenter(terms)
    found = segmenter.of(asked("/items/0", "X-Plan: gold", "X-Region: eu", status=200))
    assert found == Labels("/items/{item}", "gold", "eu", health=True)
    assert segmenter.overflowed == {}


def test_region_by_network() -> None:
    """By the client's address."""
    segmenter = Segmenter(Terms(networks=(("192.0.2.0/24", "lab"),)))
    assert segmenter.of(asked(client="192.0.2.9")).region == "lab"
    assert segmenter.of(asked(client="198.51.100.1")).region == "none"
    both = Terms(networks=(("192.0.2.0/24", "lab"),), region=Source.parse("header:X-Region"))
    assert Segmenter(both).of(asked("/", "X-Region: eu")).region == "eu"
    assert Segmenter(both).of(asked("/")).region == "lab"


def test_what_production_does_not_know_teaches_nothing() -> None:
    """Its status decides what a path is worth."""
    segmenter = Segmenter(Terms(most_endpoints=5))
    names = {segmenter.of(asked(f"/x{'y' * n}", status=404)).endpoint for n in range(9)}
    assert names == {"/x", "other"}
    assert segmenter.overflowed == {"endpoint": 8}


@pytest.mark.parametrize(
    ("status", "name"), [(None, "none"), (200, "2xx"), (504, "5xx"), (999, "5xx"), (101, "1xx")]
)
def test_status_classes(status: int | None, name: str) -> None:
    """Beyond 5xx there is none."""
    assert status_class(status) == name
