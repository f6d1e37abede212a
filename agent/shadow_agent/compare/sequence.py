"""Two sequences that share most of their items: where they differ, in linear time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T", bound=Hashable)


class Apart(NamedTuple):
    """What is between the common begin and the common end."""

    start: int
    ours: int  # behind the last of production's
    theirs: int


def between(ours: Sequence[T], theirs: Sequence[T]) -> Apart:
    """Where they begin and cease to differ."""
    shorter = min(len(ours), len(theirs))
    start = 0
    while start < shorter and ours[start] == theirs[start]:
        start += 1
    end = 0
    while end < shorter - start and ours[-1 - end] == theirs[-1 - end]:
        end += 1
    return Apart(start, len(ours) - end, len(theirs) - end)


def pairs(
    ours: Sequence[T], theirs: Sequence[T], like: Callable[[T, T], bool]
) -> list[tuple[int, T | None, T | None]]:
    """The items that differ: side by side where ``like`` holds for all, else those of one side.

    With each the index on its side.
    """
    start, our_end, their_end = between(ours, theirs)
    mine, others = ours[start:our_end], theirs[start:their_end]
    if len(mine) == len(others) and all(map(like, mine, others)):
        return [
            (start + number, one, other)
            for number, (one, other) in enumerate(zip(mine, others, strict=True))
            if one != other
        ]
    # something was put in or taken out: what has no equal on the other side
    found: list[tuple[int, T | None, T | None]] = []
    left = Counter(others)
    for number, one in enumerate(mine):
        if left[one] > 0:
            left[one] -= 1
        else:
            found.append((start + number, one, None))
    left = Counter(mine)
    for number, other in enumerate(others):
        if left[other] > 0:
            left[other] -= 1
        else:
            found.append((start + number, None, other))
    return found
