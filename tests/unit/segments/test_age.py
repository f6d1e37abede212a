"""How old what a request is about is."""

from __future__ import annotations

import pytest

from shadow_agent.segments.age import UNKNOWN_AGE, Drift, EntityAges, entity_of

MS = 1_000_000


@pytest.mark.parametrize(
    ("target", "entity"),
    [
        (b"/users/42", b"users/42"),
        (b"/users/42/orders?page=1", b"users/42"),
        (b"/users/42/orders/7/lines", b"users/42/orders/7"),
        (b"/users", b"users"),
        (b"/", b""),
        (b"*", None),
        (b"/a" * 40, None),
    ],
)
def test_entities(target: bytes, entity: bytes | None) -> None:
    """Up to the last id."""
    assert entity_of(target) == entity


def test_age_of_what_was_written() -> None:
    """Since the last write; what is below an entity has its age."""
    ages = EntityAges()
    assert ages.age_ms(b"/users/42", 5 * MS) == UNKNOWN_AGE
    ages.write(b"/users/42", 10 * MS)
    assert ages.age_ms(b"/users/42/orders", 35 * MS) == 25
    assert ages.age_ms(b"/users/43", 35 * MS) == UNKNOWN_AGE
    assert ages.age_ms(b"/users/42", 5 * MS) == 0
    ages.write(b"/users/42/name", 30 * MS)
    assert ages.age_ms(b"/users/42", 35 * MS) == 5


def test_the_table_is_bounded() -> None:
    """Those written last stay."""
    ages = EntityAges(most=3)
    for number in (1, 2, 3, 1, 4):
        ages.write(b"/u/%d" % number, number * MS)
    known = [n for n in (1, 2, 3, 4) if ages.age_ms(b"/u/%d" % n, 9 * MS) != UNKNOWN_AGE]
    assert known == [1, 3, 4]


def test_mismatches_by_age() -> None:
    """They add up over workers, and travel."""
    one, another = Drift(), Drift()
    one.add(5, differs=True)
    one.add(99, differs=False)
    another.add(100, differs=True)
    another.add(UNKNOWN_AGE - 1, differs=False)
    another.add(UNKNOWN_AGE, differs=True)
    one.merge(Drift.from_dict(another.as_dict()))
    assert one.summary() == {
        "100ms": {"pairs": 2, "different": 1},
        "1s": {"pairs": 1, "different": 1},
        "older": {"pairs": 1, "different": 0},
        "unknown": {"pairs": 1, "different": 1},
    }


@pytest.mark.parametrize("data", [None, [], [1] * 15, [1] * 17, [-1] * 16, [0.5] * 16])
def test_a_worker_that_lies(data: object) -> None:
    """In form only, or not at all."""
    with pytest.raises(ValueError, match=r"^drift"):
        Drift.from_dict(data)
