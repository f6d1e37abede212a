"""Points in time as answers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt _][0-9:.,+Zz-]{4,40}").fullmatch
_HTTP: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2})[ -]([A-Z][a-z]{2})[ -]([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
).fullmatch
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_DIGITS: Final = re.compile(r"[0-9]{10}(?:[0-9]{3}){0,3}(?:\.[0-9]{1,9})?").fullmatch
_MOST: Final = 40
# 2001 to 2096, in seconds; also as milli-, micro- and nanoseconds.
_FIRST: Final = 1_000_000_000
_LAST: Final = 4_000_000_000


def written(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 or an RFC 9110 time; without a zone it is UTC."""
    if not 10 <= len(text) <= _MOST:
        return None
    try:
        if _ISO(text):
            found = datetime.fromisoformat(text.replace("_", "T"))
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        match = _HTTP(text)
        if match:
            day, month, year, hour, minute, second = match.groups()
            return datetime(
                int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute),
                min(int(second), 59), tzinfo=UTC,
            ).timestamp()  # fmt: skip
    except (ValueError, OverflowError):
        return None
    return None


def epoch(value: Any) -> float | None:
    """Seconds since 1970 of a number, or a text of digits, that may be one."""
    if isinstance(value, str):
        if not _DIGITS(value):
            return None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    for scale in (1, 1_000, 1_000_000, 1_000_000_000):
        if _FIRST * scale <= value <= _LAST * scale:
            return float(value) / scale
    return None


def seconds(value: Any) -> float | None:
    """Of anything that is a time in one of those forms."""
    found = written(value) if isinstance(value, str) else None
    return epoch(value) if found is None else found
