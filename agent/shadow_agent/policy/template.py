"""Template: a rule's path such as ``/orders/{id}/**``, written as a person reads it."""

from __future__ import annotations

import re
from typing import Final

# Of a whole template and of its segments: what somebody writes by hand.
MAX_TEXT: Final = 1024
MAX_SEGMENTS: Final = 64
_NAME: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_-]*\}")
# What no segment of a path has once it is decoded and normalised, so that it would never match.
_NEVER: Final = {
    "%": "write it decoded",
    "\\": "write /",
    ";": "leave out what follows it, parameters are not matched",
    "?": "a query is no part of a path",
    "#": "a fragment is never sent",
}


class Template:
    """A parsed template. A segment is literal bytes, or None for any one that is not empty."""

    __slots__ = ("names", "rest", "segments", "text")

    def __init__(self, text: str) -> None:
        """Parse. Raises ValueError with what is wrong and the fix."""
        self.text = text
        if not text.startswith("/"):
            raise ValueError(f"{text!r} can never match: a path begins with /")
        if len(text) > MAX_TEXT or text.count("/") > MAX_SEGMENTS:
            raise ValueError(
                f"a path of {len(text)} characters; at most {MAX_TEXT} and {MAX_SEGMENTS} segments"
            )
        for character, fix in _NEVER.items():
            if character in text:
                raise ValueError(f"{text!r} can never match: {character!r} in it; {fix}")
        written = text[1:].split("/")
        self.rest = written[-1] == "**"  # whatever follows, also nothing
        if self.rest:
            written.pop()
        self.names: dict[str, int] = {}  # of {NAME}: which segment, from 0
        self.segments: tuple[bytes | None, ...] = tuple(
            self._segment(one, number, last=number == len(written) - 1 and not self.rest)
            for number, one in enumerate(written)
        )

    def covers(self, other: Template) -> bool:
        """Whether every path that the other matches is matched here too."""
        mine, theirs = self.segments, other.segments
        if (other.rest and not self.rest) or len(theirs) < len(mine):
            return False
        if not self.rest and len(theirs) > len(mine):
            return False
        return all(
            one == another or (one is None and another != b"")
            for one, another in zip(mine, theirs, strict=False)
        )

    def _segment(self, written: str, number: int, *, last: bool) -> bytes | None:
        if written == "*":
            return None
        if _NAME.fullmatch(written):
            name = written[1:-1]
            if name in self.names:
                raise ValueError(f"{self.text!r}: {written} twice; give each a name of its own")
            self.names[name] = number
            return None
        if not written and not last:
            raise ValueError(f"{self.text!r} can never match: // in it; write one /")
        if written in {".", ".."}:
            raise ValueError(f"{self.text!r} can never match: {written} in it; write where it ends")
        for character in "*{}":
            if character in written:
                raise ValueError(
                    f"{self.text!r}: {character} in {written!r}; {{name}} and * stand for a whole "
                    "segment, ** for any rest at the end"
                )
        return written.encode()
