"""Segments: parts of the traffic that are judged each by itself, numbered as they come."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shadow_agent.verdict.pairs import Names, Pairs, as_names

Ints = npt.NDArray[np.int64]

ALL: Final = "all"
HEALTH: Final = "health"
DIMENSIONS: Final = ("endpoint", "cohort", "region")
# Of names in each dimension; what comes later is "other" of its dimension, and counted there.
MOST: Final = 200
OTHER: Final = "other"


class Entries(NamedTuple):
    """Rows, once for each segment that they are in."""

    row: Ints
    segment: Ints


class Segments:
    """Names and numbers. Newcomers of one block share what is left for newcomers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        # Which part of α is theirs: the i-th block with newcomers shares 1 / (i (i + 1)).
        self.shares: list[float] = []
        self._numbers: dict[str, int] = {}
        self._rounds = 0
        self._newcomers: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def entries(self, pairs: Pairs, health: npt.NDArray[np.bool_], counts: Ints) -> Entries:
        """Where each row counts. ``counts``: the rows that may count at all, by index."""
        judged = counts[~health[counts]]
        rows, where = [judged], [np.full(len(judged), self._number(ALL))]
        probes = counts[health[counts]]
        if len(probes):
            rows.append(probes)
            where.append(np.full(len(probes), self._number(HEALTH)))
        for dimension in DIMENSIONS:
            column = as_names(pairs[dimension])
            numbers = column.numbers[judged]
            known = self._known(dimension, column, numbers)
            if (known < 0).all():
                continue
            segment = known[numbers]
            inside = segment >= 0
            whole = bool(inside.all())
            rows.append(judged if whole else judged[inside])
            where.append(segment if whole else segment[inside])
        self._share_out()
        return Entries(np.concatenate(rows), np.concatenate(where))

    def _known(self, dimension: str, column: Names, numbers: Ints) -> Ints:
        """For each of the column's names its segment; -1 where it has none."""
        known = np.full(max(1, len(column.names)), -1, np.int64)
        here = np.flatnonzero(np.bincount(numbers))
        # By name: which number a name has in a batch must not matter.
        for number in sorted(here, key=lambda one: column.names[one]):
            name = column.names[number]
            if name:
                known[number] = self._number(f"{dimension} {name}", dimension)
        return known

    def _number(self, name: str, dimension: str = "") -> int:
        found = self._numbers.get(name)
        if found is None:
            other = f"{dimension} {OTHER}"
            of_kind = sum(1 for one in self.names if one.startswith(f"{dimension} "))
            if dimension and name != other and of_kind >= MOST:
                return self._number(other, dimension)
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
            self._newcomers.append(name)
        return found

    def _share_out(self) -> None:
        if self._newcomers:
            self._rounds += 1
            part = 1.0 / (self._rounds * (self._rounds + 1) * len(self._newcomers))
            self.shares += [part] * len(self._newcomers)
            self._newcomers.clear()

    def state(self) -> dict[str, Any]:
        """All of it."""
        return {"names": self.names, "shares": self.shares, "rounds": self._rounds}

    @classmethod
    def resume(cls, state: dict[str, Any]) -> Segments:
        """As it was. ValueError or KeyError when that is no state."""
        made = cls()
        made.names = [str(name) for name in state["names"]]
        made.shares = [float(share) for share in state["shares"]]
        made._rounds = int(state["rounds"])
        made._numbers = {name: number for number, name in enumerate(made.names)}
        if len(made._numbers) != len(made.shares):
            raise ValueError("the segments kept are damaged")
        return made
