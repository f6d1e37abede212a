"""The closed sets are what the contract says, and each reason explains itself."""

from __future__ import annotations

import pytest

from shadow_agent.telemetry import reasons
from shadow_agent.telemetry.reasons import NotHttp, Reason, Shed

ENUMS = [getattr(reasons, name) for name in reasons.__all__ if name != "Reason"]


@pytest.mark.parametrize("enum", ENUMS)
def test_every_reason_has_a_meaning_and_a_plain_name(enum: type[Reason]) -> None:
    """Values are lower-case words that JSON, labels and PromQL take unquoted; none is silent."""
    for reason in enum:
        assert reason.value == reason.name.lower()
        assert reason.value.replace("_", "").isalnum()
        assert reason.meaning


def test_not_http_is_the_contract() -> None:
    """The design names these four and no other."""
    assert list(NotHttp) == ["tls", "h2", "upgraded", "other"]


def test_a_reason_is_its_string() -> None:
    """Counting under a member or under its value is the same key."""
    assert {Shed.AGE: 1}["age"] == 1  # type: ignore[index]
    assert Shed("age") is Shed.AGE  # type: ignore[call-arg]
