"""Rules that can never decide anything: an earlier one takes all that they match."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from shadow_agent.policy.rule import SAFE_METHODS, Action, Rule
from shadow_agent.policy.template import Template

_parsed: Final = lru_cache(1024)(Template)


def shadowed(rules: Sequence[Rule]) -> tuple[int, int] | None:
    """The first rule that an earlier one covers wholly, and which that is; numbers from 0."""
    for later, rule in enumerate(rules):
        for earlier in range(later):
            if covers(rules[earlier], rule):
                return later, earlier
    return None


def covers(one: Rule, other: Rule) -> bool:
    """Whether it is certain that every request which ``other`` matches is matched by ``one``."""
    return (
        _methods_cover(one, other)
        and _path_covers(one.path, other.path)
        and _host_covers(one.host, other.host)
        and all(_has_field(other, name, pattern) for name, pattern in one.headers)
        and _sources_cover(one, other)
    )


def _methods_cover(one: Rule, other: Rule) -> bool:
    if one.methods is not None:
        return other.methods is not None and other.methods <= one.methods
    if one.action is Action.DROP:
        return True
    # It takes what --methods says, which is at least something else than the other may name.
    if other.methods is None:
        return other.action is not Action.DROP
    return other.methods <= SAFE_METHODS


def _path_covers(one: str | None, other: str | None) -> bool:
    if one is None:
        return True
    return other is not None and _parsed(one).covers(_parsed(other))


def _host_covers(one: str | None, other: str | None) -> bool:
    if one is None or one == "*":
        return True
    if other is None:
        return False
    return one == other or (one.startswith("*") and _ends(other, one[1:]))


def _ends(pattern: str, end: str) -> bool:
    # `*.a.example` covers `x.a.example` and `*.b.a.example`
    return not {"*", "?"} & set(end) and pattern.endswith(end)


def _has_field(rule: Rule, name: str, pattern: str) -> bool:
    return any(field == name and pattern in {given, "*"} for field, given in rule.headers)


def _sources_cover(one: Rule, other: Rule) -> bool:
    if not one.sources:
        return True
    return bool(other.sources) and all(
        any(
            inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]
            for outer in one.sources
        )
        for inner in other.sources
    )
