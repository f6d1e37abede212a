"""A latency histogram that is cheap to add to, exact to merge and small on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from math import log, sqrt
from typing import Final

from shadow_agent.telemetry.check import count, exact_keys, flat_counts, number

__all__ = ["MAX_INDEX", "LogHistogram"]

# Each bucket is 2 % wide and stands for its geometric middle, so a value read back is at most
# sqrt(1.02) - 1 = 0.995 % off.  One decade takes 116 buckets, and only those hit are stored.
_BASE: Final = 1.02
_PER_LOG: Final = 1.0 / log(_BASE)
_MIDDLE: Final = sqrt(_BASE)
_MAX_US: Final = 86_400e6  # a day: beyond any deadline the agent has
MAX_INDEX: Final = int(log(_MAX_US) * _PER_LOG)
_MAX_SUM_US: Final = 1e18  # 30,000 years of summed latency: more is no honest worker


class LogHistogram:
    """Counts of durations in microseconds, in buckets of equal relative width.

    Durations below 1 µs count as 1 µs and those beyond a day as a day, so there are at most
    ``MAX_INDEX + 1`` (1,271) buckets whatever is added.
    """

    __slots__ = ("_buckets", "_sum")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self._sum = 0.0

    def add(self, us: float) -> None:
        """Count one duration in microseconds; must not be NaN."""
        # 0.2 µs: one log and one dict update. The total is summed when asked for, not kept.
        if us < 1.0:
            us = 1.0
        elif us > _MAX_US:
            us = _MAX_US
        index = int(log(us) * _PER_LOG)
        buckets = self._buckets
        buckets[index] = buckets.get(index, 0) + 1
        self._sum += us

    @property
    def count(self) -> int:
        """How many durations were added."""
        return sum(self._buckets.values())

    @property
    def sum(self) -> float:
        """All durations added up, in microseconds (exact, not read from the buckets)."""
        return self._sum

    def merge(self, other: LogHistogram) -> None:
        """Add everything ``other`` counted; ``other`` is left alone."""
        mine = self._buckets
        if mine:
            for index, n in other._buckets.items():
                mine[index] = mine.get(index, 0) + n
        else:
            self._buckets = other._buckets.copy()
        self._sum += other._sum

    def since(self, before: LogHistogram) -> LogHistogram:
        """What was added after ``before``, an earlier state of this one; both are left alone."""
        lately = LogHistogram()
        for index, n in self._buckets.items():
            more = n - before._buckets.get(index, 0)
            if more > 0:
                lately._buckets[index] = more
        lately._sum = max(self._sum - before._sum, 0.0)
        return lately

    def percentile(self, percent: float) -> float | None:
        """The duration in microseconds that ``percent`` (0 to 100) of all do not exceed, or None.

        Nearest rank, read as the middle of its bucket: within 1 % of the exact order statistic.
        """
        return self.percentiles((percent,))[0]

    def percentiles(self, percents: Iterable[float]) -> list[float | None]:
        """Several percentiles in one pass over the buckets; None for each when empty."""
        wanted = list(percents)
        total = self.count
        if not total:
            return [None] * len(wanted)
        ranks = [max(1.0, percent * total / 100.0) for percent in wanted]
        result: list[float | None] = [None] * len(wanted)
        pending = sorted(range(len(wanted)), key=ranks.__getitem__, reverse=True)
        seen = 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            # The epsilon keeps 99.9 % of 1,000 at rank 999 although it is 999.0000000000001.
            while pending and ranks[pending[-1]] <= seen + 1e-6:
                result[pending.pop()] = _value(index)
        for position in pending:
            result[position] = _value(max(self._buckets))
        return result

    def cumulative(self, bounds_us: Iterable[float]) -> list[int]:
        """For each of the ascending bounds in microseconds, how many durations are at most that.

        A bucket across a bound goes whole to the side of its middle, so the answer never falls
        between two readings, which a Prometheus histogram needs.
        """
        ordered = iter(self)
        held = next(ordered, None)
        result: list[int] = []
        total = 0
        for bound in bounds_us:
            while held is not None and held[0] <= bound:
                total += held[1]
                held = next(ordered, None)
            result.append(total)
        return result

    def __iter__(self) -> Iterator[tuple[float, int]]:
        """``(microseconds, count)`` of every bucket in ascending order."""
        for index in sorted(self._buckets):
            yield _value(index), self._buckets[index]

    def __eq__(self, other: object) -> bool:
        """Equal when the same buckets hold the same counts (sums may differ by rounding)."""
        return isinstance(other, LogHistogram) and self._buckets == other._buckets

    __hash__ = None  # type: ignore[assignment]  # mutable

    def copy(self) -> LogHistogram:
        """An independent histogram with the same content."""
        twin = LogHistogram()
        twin.merge(self)
        return twin

    def as_dict(self) -> dict[str, object]:
        """``{"sum": µs, "buckets": [index, count, index, count, …]}``, ready for orjson."""
        return {"sum": self._sum, "buckets": list(chain.from_iterable(self._buckets.items()))}

    @classmethod
    def from_dict(cls, data: object, where: str = "histogram") -> LogHistogram:
        """The histogram that ``as_dict`` described; ValueError when it could not have."""
        fields = exact_keys(data, ("sum", "buckets"), where)
        flat = flat_counts(fields["buckets"], 2 * (MAX_INDEX + 1), f"{where}.buckets")
        if len(flat) % 2:
            raise ValueError(f"{where}.buckets: an index without a count")
        indexes = flat[::2]
        if indexes:
            count(max(indexes), f"{where}.buckets index", most=MAX_INDEX)
        histogram = cls()
        histogram._buckets = dict(zip(indexes, flat[1::2], strict=True))
        if len(histogram._buckets) != len(indexes):
            raise ValueError(f"{where}.buckets: an index occurs twice")
        histogram._sum = number(fields["sum"], f"{where}.sum", most=_MAX_SUM_US)
        return histogram


def _value(index: int) -> float:
    return float(_BASE**index * _MIDDLE)
