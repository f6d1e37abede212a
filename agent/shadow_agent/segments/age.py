"""Age: how long ago the entity that a request is about was last written, as far as we saw.

A shadow whose data has drifted from production's answers differently; were that the reason, what
was written lately differs most. So mismatches are related to age.
"""

from __future__ import annotations

from typing import Any, Final

from shadow_agent.segments.shape import shape_of
from shadow_agent.segments.spelling import segments_of
from shadow_agent.telemetry.check import flat_counts

UNKNOWN_AGE: Final = 0xFFFFFFFF  # no write seen; as in a row
_MS: Final = 1_000_000
_MAX_ENTITIES: Final = 8192
# Upper ends of ages in ms, and names for what lies below each; the last: no write seen.
_EDGES: Final = (100, 1_000, 10_000, 60_000, 600_000, 3_600_000, UNKNOWN_AGE)
NAMES: Final = ("100ms", "1s", "10s", "1min", "10min", "1h", "older", "unknown")


class EntityAges:
    """When entities were last written; of a limited number, those written last."""

    __slots__ = ("_most", "_written")

    def __init__(self, most: int = _MAX_ENTITIES) -> None:
        self._most = most
        self._written: dict[bytes, int] = {}

    def write(self, target: bytes, now: int) -> None:
        """Production was asked to change it. ``now``: ns, of the request's first byte."""
        entity = entity_of(target)
        if entity is not None:
            written = self._written
            written.pop(entity, None)
            if len(written) >= self._most:
                del written[next(iter(written))]
            written[entity] = now

    def age_ms(self, target: bytes, now: int) -> int:
        """Of what the request is about, at ``now``; UNKNOWN_AGE when no write was seen."""
        written = self._written
        if not written:
            return UNKNOWN_AGE
        entity = entity_of(target)
        at = None if entity is None else written.get(entity)
        if at is None:
            return UNKNOWN_AGE
        return min(max(now - at, 0) // _MS, UNKNOWN_AGE - 1)


class Drift:
    """Pairs and how many of them differ, by age."""

    __slots__ = ("_different", "_pairs")

    def __init__(self) -> None:
        self._pairs = [0] * len(NAMES)
        self._different = [0] * len(NAMES)

    def add(self, age_ms: int, *, differs: bool) -> None:
        """Count one pair."""
        at = len(NAMES) - 1
        if age_ms != UNKNOWN_AGE:
            at = next(i for i, edge in enumerate(_EDGES) if age_ms < edge)
        self._pairs[at] += 1
        self._different[at] += differs

    def merge(self, other: Drift) -> None:
        """Add another's."""
        for at in range(len(NAMES)):
            self._pairs[at] += other._pairs[at]
            self._different[at] += other._different[at]

    def as_dict(self) -> list[int]:
        """All of it, ready for orjson."""
        return self._pairs + self._different

    @classmethod
    def from_dict(cls, data: object, where: str = "drift") -> Drift:
        """What ``as_dict`` described; ValueError names the first thing wrong."""
        size = len(NAMES)
        flat = flat_counts(data, 2 * size, where)
        if len(flat) != 2 * size:
            raise ValueError(f"{where}: {len(flat)} numbers, {2 * size} are expected")
        made = cls()
        made._pairs, made._different = flat[:size], flat[size:]
        return made

    def summary(self) -> dict[str, Any]:
        """By the name of each age that occurred."""
        return {
            name: {"pairs": pairs, "different": different}
            for name, pairs, different in zip(NAMES, self._pairs, self._different, strict=True)
            if pairs
        }


def entity_of(target: bytes) -> bytes | None:
    """The path of an entity: up to the last segment that looks like an id; else the whole path.

    ``/users/42/orders`` is about user 42: a write to it makes everything below young.
    """
    segments = segments_of(target.partition(b"?")[0])
    if segments is None:
        return None
    for last in range(len(segments), 0, -1):
        if shape_of(segments[last - 1]) is not None:
            return b"/".join(segments[:last])
    return b"/".join(segments)
