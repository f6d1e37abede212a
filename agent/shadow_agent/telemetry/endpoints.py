"""Which endpoints differ, and how fast each is on both sides, in a table of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shadow_agent.telemetry.check import count, exact_keys, text
from shadow_agent.telemetry.histogram import LogHistogram

__all__ = ["DEFAULT_LIMIT", "LONGEST", "OTHER_METHOD", "OTHER_PATH", "Endpoint", "EndpointTable"]

DEFAULT_LIMIT: Final = 500  # rows; both histograms of a busy row take some 20 KB
LONGEST: Final = 256  # characters kept of a method or path
OTHER_METHOD: Final = "*"
OTHER_PATH: Final = "other"  # no request's path can be spelt so: it begins with "/" or is "*"

_OTHER: Final = (OTHER_METHOD, OTHER_PATH.encode())
_FIELDS: Final = (
    "method",
    "path",
    "pairs",
    "status_mismatches",
    "body_mismatches",
    "production",
    "shadow",
)


class Endpoint:
    """One row: its counts, and first-byte latency of both sides in microseconds.

    ``method`` and ``path`` are what the client sent: escape them before showing them.
    """

    __slots__ = (
        "body_mismatches",
        "method",
        "pairs",
        "path",
        "production",
        "shadow",
        "status_mismatches",
    )

    def __init__(self, method: str, path: str) -> None:
        self.method = method
        self.path = path
        self.pairs = 0
        self.status_mismatches = 0
        self.body_mismatches = 0
        self.production = LogHistogram()
        self.shadow = LogHistogram()

    def merge(self, other: Endpoint) -> None:
        """Add the counts of ``other``, whatever its name."""
        self.pairs += other.pairs
        self.status_mismatches += other.status_mismatches
        self.body_mismatches += other.body_mismatches
        self.production.merge(other.production)
        self.shadow.merge(other.shadow)

    def as_dict(self) -> dict[str, object]:
        """The row, ready for orjson."""
        return {
            "method": self.method,
            "path": self.path,
            "pairs": self.pairs,
            "status_mismatches": self.status_mismatches,
            "body_mismatches": self.body_mismatches,
            "production": self.production.as_dict(),
            "shadow": self.shadow.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: object, where: str) -> Endpoint:
        """The row that ``as_dict`` described; ValueError names the first thing wrong."""
        fields = exact_keys(data, _FIELDS, where)
        row = cls(
            text(fields["method"], f"{where}.method", longest=LONGEST),
            text(fields["path"], f"{where}.path", longest=LONGEST),
        )
        row.pairs = count(fields["pairs"], f"{where}.pairs")
        row.status_mismatches = count(fields["status_mismatches"], f"{where}.status_mismatches")
        row.body_mismatches = count(fields["body_mismatches"], f"{where}.body_mismatches")
        row.production = LogHistogram.from_dict(fields["production"], f"{where}.production")
        row.shadow = LogHistogram.from_dict(fields["shadow"], f"{where}.shadow")
        return row


class EndpointTable:
    """Rows by method and path without its query, at most ``limit`` of them and one more.

    First come, first kept: once ``limit`` rows exist, what would need a new one is counted in the
    single row with path ``"other"`` (and method ``"*"``, since methods are the client's choice
    too), so the rows always add up to all pairs.  Names are kept as sent, decoded as latin-1
    and cut to 256 characters; longer names that agree so far share a row.
    """

    __slots__ = ("_limit", "_rows")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._rows: dict[tuple[str, bytes], Endpoint] = {}

    def add(
        self,
        method: str,
        target: bytes,
        *,
        status_differs: bool,
        body_differs: bool,
        production_us: float | None,
        shadow_us: float | None,
    ) -> None:
        """Count one compared pair; ``target`` is the request's, query and all.

        Latencies are to the first byte in microseconds, None where unknown.
        """
        # The key holds the raw bytes: decoding is for a row's first pair only, 0.1 µs saved each.
        key = (method, target.partition(b"?")[0][:LONGEST])
        row = self._rows.get(key)
        if row is None:
            row = self._make(key)
        row.pairs += 1
        if status_differs:
            row.status_mismatches += 1
        if body_differs:
            row.body_mismatches += 1
        if production_us is not None:
            row.production.add(production_us)
        if shadow_us is not None:
            row.shadow.add(shadow_us)

    def merge(self, other: EndpointTable) -> None:
        """Add every row of ``other``; rows beyond this table's limit go to "other"."""
        for key, row in other._rows.items():
            (self._rows.get(key) or self._make(key)).merge(row)

    def __iter__(self) -> Iterator[Endpoint]:
        """Rows in order of first appearance."""
        return iter(self._rows.values())

    def __len__(self) -> int:
        """How many rows there are, "other" included."""
        return len(self._rows)

    def as_list(self) -> list[dict[str, object]]:
        """Every row, ready for orjson."""
        return [row.as_dict() for row in self]

    @classmethod
    def from_list(
        cls, data: object, where: str = "endpoints", limit: int = DEFAULT_LIMIT
    ) -> EndpointTable:
        """The table that ``as_list`` described; ValueError names the first thing wrong."""
        if type(data) is not list:
            raise ValueError(f"{where}: expected a list, not {type(data).__name__}")
        if len(data) > limit + 1:
            raise ValueError(f"{where}: {len(data)} rows, at most {limit + 1} are allowed")
        table = cls(limit)
        for position, item in enumerate(data):
            row = Endpoint.from_dict(item, f"{where}[{position}]")
            key = (row.method, row.path.encode("latin-1"))
            if key in table._rows:
                raise ValueError(f"{where}[{position}]: a method and path that occurred before")
            table._rows[key] = row
        return table

    def _make(self, key: tuple[str, bytes]) -> Endpoint:
        method, path = key
        # "other" is one row more than the limit, so that it never pushes out the last endpoint.
        full = len(self._rows) - (_OTHER in self._rows) >= self._limit
        if (full or len(method) > LONGEST) and key != _OTHER:
            return self._rows.get(_OTHER) or self._make(_OTHER)
        row = self._rows[key] = Endpoint(method, path.decode("latin-1"))
        return row
