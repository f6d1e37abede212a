"""Texts compared line by line."""

from __future__ import annotations

from shadow_agent.compare import volatile
from shadow_agent.compare.difference import Collector, Kind, Part
from shadow_agent.compare.sequence import pairs


def plain(body: bytes) -> str:
    """As UTF-8, else byte by byte: the same text on both sides means the same bytes."""
    return body.decode() if _is_utf8(body) else body.decode("latin-1")


def compare_text(into: Collector, production: bytes, shadow: bytes, *, shapes: bool = True) -> None:
    """Collect the lines that differ. ``shapes``: volatile values are told apart."""
    ours, theirs = _lines(production), _lines(shadow)
    differing = pairs(ours, theirs, lambda _one, _other: True)
    for number, one, other in differing:
        if into.full:
            into.stop()
            return
        kind, shape = Kind.VALUE, ""
        if one is None or other is None:
            kind = Kind.ADDED if one is None else Kind.MISSING
        elif shapes:
            shape = volatile.shape("", one, other)
        into.add(
            Part.BODY,
            "line",
            kind,
            (one or "", other or ""),
            at=f"line {number + 1}",
            suppressed=f"volatile {shape}" if shape else "",
        )
    if not differing:  # other bytes, and the same text in another charset
        into.add(Part.BODY, "charset", Kind.VALUE, _charsets(production, shadow))


def _lines(body: bytes) -> list[str]:
    return plain(body).split("\n")


def _charsets(production: bytes, shadow: bytes) -> tuple[str, str]:
    ours, theirs = ("UTF-8" if _is_utf8(one) else "other" for one in (production, shadow))
    return ours, theirs


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
