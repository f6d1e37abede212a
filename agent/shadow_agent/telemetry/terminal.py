"""Numbers and names as people read them; nothing from the wire reaches a terminal unescaped."""

from __future__ import annotations

from typing import Final

from rich.text import Text

__all__ = ["clock", "count", "duration", "escape", "micros", "percent", "plain", "ratio", "shorten"]

NONE: Final = "—"


def escape(value: str) -> str:
    r"""The string with everything unprintable as ``\xNN``, ``\uNNNN`` or ``\UNNNNNNNN``.

    That covers escape sequences, line breaks, C1 controls, bidirectional marks and zero width.
    """
    return "".join(char if char.isprintable() else _code(ord(char)) for char in value)


def plain(value: str, style: str = "") -> Text:
    """The string escaped, as text whose square brackets rich does not read as markup."""
    return Text(escape(value), style)


def shorten(value: str, longest: int) -> str:
    """The string escaped and, when longer than that, cut in the middle: both ends tell."""
    shown = escape(value)
    if len(shown) <= longest:
        return shown
    tail = (longest - 1) // 3
    return f"{shown[: longest - 1 - tail]}…{shown[len(shown) - tail :]}"


def count(n: int) -> str:
    """``1,234,567``."""
    return f"{n:,}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as ``99.98 %``, never rounded up to 100 nor down to 0."""
    if share is None:
        return NONE
    if share > 1.0 or share in {0.0, 1.0}:
        return f"{share * 100:.0f} %"
    shown = int(share * 10_000) / 100 if share > 0.5 else round(share * 100, 2)
    return f"{shown:.2f} %" if shown else "< 0.01 %"


def micros(us: float | None) -> str:
    """Microseconds with three digits that count: ``412 µs``, ``4.12 ms``, ``1.20 s``."""
    if us is None:
        return NONE
    for limit, unit, size in ((999.5, "µs", 1.0), (999.5e3, "ms", 1e3)):
        if us < limit:
            return f"{_three(us / size)} {unit}"
    return f"{_three(us / 1e6)} s"


def ratio(shadow: float | None, production: float | None) -> str:
    """How many times as long the shadow takes: ``1.24×``."""
    if not shadow or not production:
        return NONE
    return f"{_three(shadow / production)}×"


def duration(seconds: float) -> str:
    """``8.2 s``, ``4 min 7 s``, ``2 h 3 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"


def clock(seconds: float) -> str:
    """``01:02:03``."""
    minutes, left = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{left:02d}"


def _three(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def _code(point: int) -> str:
    if point <= 0xFF:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point <= 0xFFFF else f"\\U{point:08x}"
