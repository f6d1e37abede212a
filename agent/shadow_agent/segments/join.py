"""What the endpoints that several workers learned are called together."""

from __future__ import annotations

from collections.abc import Iterable

from shadow_agent.segments.shape import ANY


def joined(workers: Iterable[Iterable[str]]) -> dict[str, str]:
    """For each name of any worker, what it is called in all of them together.

    A name becomes one that has ``{any}`` in place of some of its words when a worker says that
    and has not the name itself: there it was too rare to be told apart. Of several the one with
    fewest words. The order of workers changes nothing, and what is joined stays so.
    """
    each = [frozenset(names) for names in workers]
    every = frozenset().union(*each)
    general = sorted(
        (name for name in every if ANY in name.split("/")),
        key=lambda name: (-name.split("/").count(ANY), name),
    )
    found = {}
    for name in every:
        found[name] = next(
            (
                one
                for one in general
                if one != name
                and _covers(one, name)
                and any(one in names and name not in names for names in each)
            ),
            name,
        )
    # what a name became may have become another itself
    return {name: _end(found, name) for name in found}


def _end(found: dict[str, str], name: str) -> str:
    while found[name] != name:
        name = found[name]
    return name


def _covers(general: str, name: str) -> bool:
    ours, theirs = general.split("/"), name.split("/")
    return len(ours) == len(theirs) and all(
        one == another or (one == ANY and not another.startswith("{"))
        for one, another in zip(ours, theirs, strict=True)
    )
