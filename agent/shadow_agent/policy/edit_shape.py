"""Shape: a path template that says which segment of a target as sent is which variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from shadow_agent.policy.readings import fold

_Segment = TypeVar("_Segment", bytes, bytes | None)


class Shape(NamedTuple):
    """A path template, for its variables: literal segments, None for any."""

    segments: tuple[bytes | None, ...]
    names: dict[str, int]
    rest: bool  # more segments may follow

    def fits(self, given: Sequence[bytes], *, lax: bool = False) -> bool:
        """Whether a path of these decoded segments has this shape.

        ``lax``: case and a slash at the end aside, as some servers see it.
        """
        mine: Sequence[bytes | None] = self.segments
        if lax:
            given, mine = _without_end(given), _without_end(mine)
        if len(given) != len(mine) and not (self.rest and len(given) > len(mine)):
            return False
        return all(
            one != b"" if wanted is None else one == wanted or (lax and fold(one) == fold(wanted))
            for one, wanted in zip(given, mine, strict=False)
        )


def _without_end(segments: Sequence[_Segment]) -> Sequence[_Segment]:
    last = len(segments)
    while last > 1 and segments[last - 1] == b"":
        last -= 1
    return segments[:last]


def shape_of(template: str) -> Shape:
    """``/orders/{id}``, ``*`` for any one segment, ``**`` at the end for any rest."""
    if not template.startswith("/"):
        raise ValueError(f"{template!r} is no path; write /orders/{{id}}")
    written = template[1:].split("/")
    rest = written[-1] == "**"
    if rest:
        written.pop()
    names = {
        one[1:-1]: number
        for number, one in enumerate(written)
        if one.startswith("{") and one.endswith("}")
    }
    wild = {"*", *(f"{{{name}}}" for name in names)}
    return Shape(tuple(None if one in wild else one.encode() for one in written), names, rest)
