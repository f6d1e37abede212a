"""Regular expressions over bytes whose time is linear in the text, whoever wrote either."""

from __future__ import annotations

from typing import Any, Final

import re2

# Memory of one expression (bytes). Over it, it is refused when it is compiled.
_MAX_MEMORY: Final = 1 << 20
# Bytes of an expression: what somebody writes by hand.
_MAX_PATTERN: Final = 1000
# Matches taken from one text. RE2 is linear for one search, and n searches of a text may each read
# all of it; over it the caller gives the text up.
MAX_MATCHES: Final = 1000


class TooManyMatchesError(Exception):
    """A text has more matches than MAX_MATCHES."""


def compile_bytes(pattern: str | bytes) -> Any:
    """An expression of RE2. ValueError with one line when it is none."""
    raw = pattern.encode() if isinstance(pattern, str) else pattern
    if len(raw) > _MAX_PATTERN:
        raise ValueError(f"an expression of {len(raw)} bytes; at most {_MAX_PATTERN} are read")
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes, whatever they mean
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(raw, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "refused"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(" ".join(text.split())) from error


def find_all(pattern: Any, text: bytes) -> list[Any]:
    """Its matches that are not empty. TooManyMatchesError over the limit."""
    found = []
    for count, match in enumerate(pattern.finditer(text)):
        if count >= MAX_MATCHES:
            raise TooManyMatchesError
        if match.end() > match.start():
            found.append(match)
    return found
