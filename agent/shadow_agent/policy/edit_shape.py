"""Shape: a path template that says which segment of a target as sent is which variable."""

from __future__ import annotations

from typing import NamedTuple

from shadow_agent.policy.edit_target import Parts, decoded_segment


class Shape(NamedTuple):
    """A path template, for its variables: literal segments, None for any."""

    segments: tuple[bytes | None, ...]
    names: dict[str, int]
    rest: bool  # more segments may follow

    def fits(self, parts: Parts) -> bool:
        """Whether the path has this shape."""
        given, mine = parts.segments, self.segments
        if len(given) != len(mine) and not (self.rest and len(given) > len(mine)):
            return False
        return all(
            (decoded_segment(one) == wanted) if wanted is not None else one != b""
            for one, wanted in zip(given, mine, strict=False)
        )


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
