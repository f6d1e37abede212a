"""Values that differ from answer to answer whatever the build: recognised by their shape.

What is recognised is told apart from what counts, and keeps both values: the shape is the
evidence. With a baseline it is not needed, since the old build differs in the same places.
"""

from __future__ import annotations

import re
from typing import Any, Final

from shadow_agent.compare import times

# A replayed request follows the captured one at once: times further apart are not "now".
_NOW_S: Final = 900.0
_MOST: Final = 512
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fullmatch
_HEX: Final = re.compile(r"(?:[0-9a-f]{2}){8,64}|(?:[0-9A-F]{2}){8,64}").fullmatch
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}").fullmatch
# W3C's traceparent, and Amazon's trace id
_TRACE: Final = re.compile(
    r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}|Root=1-[0-9a-f]{8}-[0-9a-f]{24}"
).fullmatch
_POD: Final = re.compile(r"([a-z0-9][a-z0-9.-]{0,200})-([a-z0-9]{8,10})-([a-z0-9]{5})").fullmatch
_ADDRESS: Final = re.compile(r"ip-[0-9]{1,3}(?:-[0-9]{1,3}){3}[a-z0-9.-]{0,100}").fullmatch
_URL: Final = re.compile(r"https?://([^/?#\s]{1,255})([/?#]\S*)?").fullmatch
_TIME_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:at|date|exp|expires|iat|nbf|now|time|timestamp|ts)(?:_?(?:s|ms|us|ns))?$"
    r"|(?:At|Date|Time|Timestamp|Ms)$|^timestamp|^time$"
).search
_COUNTER_NAME: Final = re.compile(
    r"(?i)(?:^|[_.-])(?:counter|hits|nonce|pid|requests?_(?:count|number)|seq|sequence|serial"
    r"|uptime(?:_?(?:s|ms|seconds))?|views|visits)$|Counter$|Uptime$|Sequence$"
).search
_ID_NAME: Final = re.compile(
    r"(?i)(?:request|req|trace|span|correlation|transaction|session|csrf|xsrf|nonce|event)"
    r"[_-]?(?:id|token|middleware_?token)?$"
).search
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{12,128}={0,2}").fullmatch
# Within a longer text. Each begins and ends where a word does.
_INLINE: Final = re.compile(
    r"(?<![\w-])(?:"
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
    r"|[A-Z][a-z]{2}, [0-9]{2}[ -][A-Z][a-z]{2}[ -][0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
    r"|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|[0-9a-f]{16,128}"
    r")(?![\w-])"
)
_DIGIT: Final = re.compile("[0-9]").search


def shape(name: str, production: Any, shadow: Any) -> str:
    """What both are, if that explains that they differ; "" if not. ``name``: of the member."""
    if isinstance(production, str) and isinstance(shadow, str):
        if len(production) <= _MOST and len(shadow) <= _MOST:
            found = _of_texts(name, production, shadow)
            if found:
                return found
        return _within(production, shadow)
    if isinstance(production, bool) or isinstance(shadow, bool):
        return ""
    if isinstance(production, int | float) and isinstance(shadow, int | float):
        return _of_numbers(name, production, shadow)
    return ""


def is_made_up(name: str) -> bool:
    """Whether a member's name is data rather than part of a schema: an id, a date, an address."""
    return (
        len(name) > 48
        or "@" in name
        or name.isdigit()
        or (len(name) >= 16 and bool(_UUID(name) or _HEX(name) or _ULID(name)))
        or (len(name) >= 10 and name[:4].isdigit() and name[4] == "-")
    )


def _of_numbers(name: str, production: float, shadow: float) -> str:
    if _TIME_NAME(name) and _near(times.epoch(production), times.epoch(shadow)):
        return "time"
    if _COUNTER_NAME(name) and production >= 0 and shadow >= 0:
        return "counter"
    return ""


def _of_texts(name: str, production: str, shadow: str) -> str:
    if _near(times.written(production), times.written(shadow)):
        return "time"
    if len(production) == len(shadow):
        for found, match in (("uuid", _UUID), ("ulid", _ULID), ("trace", _TRACE), ("hex", _HEX)):
            if match(production) and match(shadow):
                return found
    if _ID_NAME(name) and all(_TOKEN(one) and _DIGIT(one) for one in (production, shadow)):
        return "request id"
    if _same_service(production, shadow):
        return "hostname"
    if production.isdigit() and shadow.isdigit() and len(production) < 20 and len(shadow) < 20:
        return _of_numbers(name, int(production), int(shadow))
    return ""


def _within(production: str, shadow: str) -> str:
    """Texts that are the same but for what is volatile in them."""
    ours, theirs = _INLINE.findall(production), _INLINE.findall(shadow)
    if not ours or len(ours) != len(theirs) or ours == [production]:
        return ""
    found = ""
    for one, other in zip(ours, theirs, strict=True):
        if one != other:
            found = _of_texts("", one, other)
            if not found:
                return ""
    return found if _INLINE.sub("\0", production) == _INLINE.sub("\0", shadow) else ""


def _same_service(production: str, shadow: str) -> bool:
    one, other = _POD(production), _POD(shadow)
    if one and other:
        return one[1] == other[1]
    if _ADDRESS(production) and _ADDRESS(shadow):
        return True
    one, other = _URL(production), _URL(shadow)
    return bool(one and other and one[2] == other[2])


def _near(production: float | None, shadow: float | None) -> bool:
    return production is not None and shadow is not None and abs(production - shadow) <= _NOW_S
