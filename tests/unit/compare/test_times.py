"""Points in time in the forms that answers use."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.compare.times import epoch, seconds, written

AT = 784_111_777.0


@pytest.mark.parametrize(
    "text",
    [
        "1994-11-06T08:49:37Z",
        "1994-11-06 08:49:37",
        "1994-11-06T09:49:37.000+01:00",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
    ],
)
def test_a_written_time(text: str) -> None:
    """ISO 8601 with and without a zone, RFC 9110, and as cookies have it."""
    assert written(text) == AT


@pytest.mark.parametrize(
    "text", ["", "20261231", "1994-13-06T08:49:37Z", "Sun, 06 Foo 1994 08:49:37 GMT"]
)
def test_other_text_is_no_time(text: str) -> None:
    """Numbers in particular."""
    assert written(text) is None


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_an_epoch_in_any_unit(scale: int) -> None:
    """From 2001 to 2096, as a number or digits."""
    assert epoch(1_700_000_000 * scale) == 1_700_000_000
    assert epoch(str(1_700_000_000 * scale)) == 1_700_000_000


@pytest.mark.parametrize("value", [True, 5, 10**30, "12", None, [], "x"])
def test_other_values_are_no_epoch(value: object) -> None:
    """Whatever they are."""
    assert epoch(value) is None
    assert seconds(value) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_what_datetime_writes_is_read(moment: datetime) -> None:
    """To the microsecond, give or take the double."""
    found = seconds(moment.isoformat())
    assert found == pytest.approx(moment.replace(tzinfo=UTC).timestamp())


@given(st.text(max_size=50))
def test_any_text_is_read_or_not(text: str) -> None:
    """Without an exception."""
    seconds(text)
