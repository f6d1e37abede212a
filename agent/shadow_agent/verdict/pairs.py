"""Pairs as columns: what a verdict reads of a batch of rows, whichever way they came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shadow_agent.telemetry.reasons import Outcome, Uncomparable

Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]


class Names(NamedTuple):
    """A column of names: each row's number, and what the numbers mean."""

    numbers: npt.NDArray[np.int64]
    names: tuple[str, ...]

    def select(self, rows: Bools) -> Names:
        """Some of the rows."""
        return Names(self.numbers[rows], self.names)

    def where(self, wanted: Iterable[str]) -> Bools:
        """The rows with one of these names."""
        chosen = frozenset(wanted)
        return np.array([name in chosen for name in self.names] or [False])[self.numbers]


Pairs = Mapping[str, npt.NDArray[Any] | Names]

ANSWERED: Final = frozenset({str(Outcome.ANSWERED)})
NONE: Final = frozenset({"none"})
COMPARED: Final = frozenset({"compared"})
# Caused by a shadow that is too slow, as all of shed.*: bad in the completion gate.
TOO_SLOW: Final = f"uncomparable.{Uncomparable.BACKLOG}"
# Not mirrored on purpose, or nothing to mirror: outside of coverage.
_OUTSIDE: Final = ("unanswered.", "refused.")


class Read(NamedTuple):
    """A batch, row by row, as the gates see it."""

    ts: npt.NDArray[np.int64]
    health: Bools
    covered: Bools  # compared
    compared: Bools  # and may count in a gate
    slow: Bools  # shed by the shadow's slowness
    lost: Bools  # meant to be compared and was not; `slow` among them
    repeat: Bools
    paired: Bools  # with a baseline's half
    baseline_first: Bools
    candidate_us: Doubles  # infinite without an answer, NaN where the time is unknown
    production_us: Doubles
    baseline_us: Doubles
    candidate_broken: Bools  # no whole answer
    baseline_broken: Bools
    candidate_error: Bools
    production_error: Bools
    baseline_error: Bools
    candidate_differs: Bools
    baseline_differs: Bools


def read(pairs: Pairs) -> Read:
    """What the gates need of these columns. KeyError for a column that is not there."""
    fate = as_names(pairs["fate"])
    kinds = tuple(name.partition(".")[0] for name in fate.names)
    shed = [
        kind == "shed" or name == TOO_SLOW for kind, name in zip(kinds, fate.names, strict=True)
    ]
    out = [name == "compared" or name.startswith(_OUTSIDE) for name in fate.names]
    outcome = as_names(pairs["outcome"])
    baseline = as_names(pairs["baseline_outcome"])
    covered = fate.where(COMPARED)
    compared = covered & truth(pairs["eligible"])
    repeat = truth(pairs["repeat"])
    broken = ~outcome.where(ANSWERED)
    none = baseline.where(NONE)
    baseline_broken = ~baseline.where(ANSWERED) & ~none
    return Read(
        ts=np.asarray(pairs["ts"], np.int64),
        health=truth(pairs["health"]),
        covered=covered,
        compared=compared,
        slow=np.array(shed or [False])[fate.numbers],
        lost=~np.array(out or [True])[fate.numbers],
        repeat=repeat,
        paired=compared & ~none & ~repeat,
        baseline_first=truth(pairs["baseline_first"]),
        candidate_us=np.where(broken, np.inf, double(pairs["shadow_first_us"])),
        production_us=double(pairs["production_first_us"]),
        baseline_us=np.where(baseline_broken, np.inf, double(pairs["baseline_first_us"])),
        candidate_broken=broken,
        baseline_broken=baseline_broken,
        candidate_error=broken | (double(pairs["shadow_status"]) >= 500),
        production_error=double(pairs["production_status"]) >= 500,
        baseline_error=baseline_broken | (double(pairs["baseline_status"]) >= 500),
        candidate_differs=broken | _any(pairs, "status_differs", "headers_differ", "body_differs"),
        baseline_differs=baseline_broken
        | _any(
            pairs,
            "baseline_status_differs",
            "baseline_headers_differ",
            "baseline_body_differs",
        ),
    )


def as_names(column: npt.NDArray[Any] | Names) -> Names:
    """Numbered names; what is an array of texts is numbered here (slow: for tests and tools)."""
    if isinstance(column, Names):
        return column
    names, numbers = np.unique(column.astype(str), return_inverse=True)
    return Names(numbers.astype(np.int64).reshape(-1), tuple(str(name) for name in names))


def truth(column: npt.NDArray[Any] | Names) -> Bools:
    """A column of flags."""
    return np.asarray(column, np.bool_)


def double(column: npt.NDArray[Any] | Names) -> Doubles:
    """A column of numbers; NaN is unknown."""
    return np.asarray(column, np.float64)


def select(pairs: Pairs, rows: Bools) -> Pairs:
    """Some of the rows."""
    return {
        name: column.select(rows) if isinstance(column, Names) else column[rows]
        for name, column in pairs.items()
    }


def _any(pairs: Pairs, *names: str) -> Bools:
    first, *rest = (truth(pairs[name]) for name in names)
    for one in rest:
        first = first | one
    return first
