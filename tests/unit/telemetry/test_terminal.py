"""What people read: escaped, never rounded to an all-clear, three digits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_agent.telemetry import terminal


@given(st.text())
def test_nothing_unprintable_is_left(value: str) -> None:
    """Whatever comes in, one printable line comes out."""
    shown = terminal.escape(value)
    assert shown.isprintable()
    assert value == shown or not value.isprintable()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/plain?", "/plain?"),
        ("\x1b[31m\r\n\x00", r"\x1b[31m\x0d\x0a\x00"),
        ("\x9b2J\x85", r"\x9b2J\x85"),
        ("a\u202eb\u200b", r"a\u202eb\u200b"),
        ("\U000e0041", r"\U000e0041"),
        ("[bold]é[/bold]", "[bold]é[/bold]"),
    ],
)
def test_controls_are_shown_by_code(value: str, shown: str) -> None:
    """Escape sequences, C1 controls, bidirectional marks and tags are spelt out."""
    assert terminal.escape(value) == shown
    assert terminal.plain(value).plain == shown


def test_long_names_keep_both_ends() -> None:
    """The cut is in the middle, after escaping, and the length is kept."""
    shown = terminal.shorten("/start/" + "x" * 100 + "/end", 20)
    assert len(shown) == 20
    assert shown.startswith("/start/")
    assert shown.endswith("/end")
    assert len(terminal.shorten("\x1b" * 100, 20)) == 20
    assert terminal.shorten("/short", 20) == "/short"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.99999999, "99.99 %"),
        (0.99989, "99.98 %"),
        (0.1234, "12.34 %"),
        (0.0000001, "< 0.01 %"),
        (1.5, "150 %"),
    ],
)
def test_percent_is_never_rounded_to_the_ends(share: float | None, shown: str) -> None:
    """100 % means all and 0 % means none."""
    assert terminal.percent(share) == shown


@pytest.mark.parametrize(
    ("us", "shown"),
    [
        (None, "—"),
        (0.0, "0.00 µs"),
        (9.994, "9.99 µs"),
        (41.23, "41.2 µs"),
        (412.3, "412 µs"),
        (999.6, "1.00 ms"),
        (4_123.0, "4.12 ms"),
        (999_600.0, "1.00 s"),
        (86_400e6, "86,400 s"),
    ],
)
def test_latency_has_three_digits(us: float | None, shown: str) -> None:
    """The unit fits the size."""
    assert terminal.micros(us) == shown


def test_ratio() -> None:
    """How many times as long; unknown when either side is."""
    assert terminal.ratio(124.0, 100.0) == "1.24×"
    assert terminal.ratio(None, 100.0) == terminal.ratio(1.0, 0.0) == "—"


def test_times() -> None:
    """Durations in words, the clock in figures."""
    assert [terminal.duration(s) for s in (8.24, 247.0, 7380.0)] == [
        "8.2 s",
        "4 min 7 s",
        "2 h 3 min",
    ]
    assert terminal.clock(3723.9) == "01:02:03"
    assert terminal.count(1234567) == "1,234,567"
