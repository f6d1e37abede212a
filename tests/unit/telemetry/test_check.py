"""Values from another process are read strictly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shadow_agent.telemetry import check
from shadow_agent.telemetry.reasons import Shed


@pytest.mark.parametrize(
    "read",
    [
        lambda: check.exact_keys([], ("a",), "x"),
        lambda: check.exact_keys({}, ("a",), "x"),
        lambda: check.exact_keys({"a": 1, "b": 2}, ("a",), "x"),
        lambda: check.count(True, "x"),
        lambda: check.count(1.0, "x"),
        lambda: check.count(-1, "x"),
        lambda: check.count(check.MAX_COUNT + 1, "x"),
        lambda: check.count("1", "x"),
        lambda: check.number(float("nan"), "x", most=1.0),
        lambda: check.number(float("inf"), "x", most=1.0),
        lambda: check.number(-0.1, "x", most=1.0),
        lambda: check.number(None, "x", most=1.0),
        lambda: check.counts([], Shed, "x"),
        lambda: check.counts({"nonsense": 1}, Shed, "x"),
        lambda: check.counts({"age": -1}, Shed, "x"),
        lambda: check.flat_counts({}, 2, "x"),
        lambda: check.flat_counts([1, 2, 3], 2, "x"),
        lambda: check.flat_counts([1, -1], 2, "x"),
        lambda: check.flat_counts([1, True], 2, "x"),
        lambda: check.flat_counts([1, "2"], 2, "x"),
        lambda: check.flat_counts([1, 2**51], 2, "x"),
        lambda: check.text(b"x", "x", longest=2),
        lambda: check.text("xyz", "x", longest=2),
        lambda: check.text("→", "x", longest=2),
    ],
)
def test_refusals_are_one_line_that_names_the_place(read: Callable[[], object]) -> None:
    """Everything out of form is a ValueError of one short line."""
    with pytest.raises(ValueError, match=r"^x[^\n]*$") as refused:
        read()
    assert len(str(refused.value)) < 150


def test_what_is_in_form_comes_back() -> None:
    """Good values are returned as they are."""
    assert check.exact_keys({"a": 1}, ("a",), "x") == {"a": 1}
    assert check.count(check.MAX_COUNT, "x") == check.MAX_COUNT
    assert check.number(1, "x", most=2.0) == 1.0
    assert check.counts({"age": 3}, Shed, "x") == {"age": 3}
    assert check.flat_counts([], 2, "x") == []
    assert check.text("é\x00", "x", longest=2) == "é\x00"


def test_zeros_are_left_out_and_keys_are_plain() -> None:
    """Enum keys become strings that orjson takes."""
    plain = check.without_zeros({Shed.AGE: 1, Shed.QUEUE_FULL: 0})
    assert plain == {"age": 1}
    assert [type(key) for key in plain] == [str]
