"""What header fields may mean."""

from __future__ import annotations

import re

import pytest

from shadow_agent.policy.fields import MAX_ELEMENTS, Held, by_name, fold_name, match_all

FREE = re.compile("free")


def held(*lines: tuple[bytes, bytes], pattern: re.Pattern[str] = FREE) -> Held:
    """Of X-Plan."""
    return match_all(by_name(lines), [(b"x-plan", pattern)])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"free", Held.ALL),
        (b"free,beta", Held.SOME),
        (b"beta ,\tfree", Held.SOME),
        (b"free;q=1", Held.SOME),
        (b"beta, free ; q=1", Held.SOME),
        (b'"free"', Held.SOME),
        (rb'beta, "f\ree"', Held.SOME),
        (b"free beta", Held.NO),
        (b"freedom,beta", Held.NO),
        (b"", Held.NO),
    ],
)
def test_values(value: bytes, expected: Held) -> None:
    """As written it is sure; as an element of a list, without parameters or quotes, it may be."""
    assert held((b"X-Plan", value)) is expected


def test_names() -> None:
    """What is no letter or digit is one to servers that make variables of fields."""
    assert fold_name(b"X_Plan.A") == fold_name(b"x-plan-a") == b"x-plan-a"
    assert held((b"X_PLAN", b"free")) is Held.SOME
    assert held((b"X-PLAN", b"free")) is Held.ALL
    assert held((b"X-Plan", b"free"), (b"X_Plan", b"beta")) is Held.SOME
    assert held((b"X-Plan", b"beta"), (b"X-Plan", b"free")) is Held.SOME
    assert held((b"Y-Plan", b"free")) is Held.NO
    assert match_all({}, []) is Held.ALL


def test_parameters_of_a_type() -> None:
    """An element is tried with its parameters too."""
    kind = re.compile("text/html;level=1")
    assert held((b"X-Plan", b"a/b, text/html;level=1"), pattern=kind) is Held.SOME


def test_a_list_that_is_too_long_may_be_anything() -> None:
    """A hostile client makes it no slower, and evades no drop by it."""
    assert held((b"X-Plan", b"," * MAX_ELEMENTS)) is Held.SOME
