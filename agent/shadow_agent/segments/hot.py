"""Hot keys: what a large share of the traffic asks for, in a table that stays small.

Space-Saving (Metwally and others, 2005): a key that is not in a full table takes the place of the
one with the smallest count, and its count as error. Every key that has more than 1/capacity of all
is in the table, and its true count is in [count - error, count].
"""

from __future__ import annotations

from hashlib import blake2b
from heapq import heapify, heappush, heapreplace
from typing import Any, Final, NamedTuple

from shadow_agent.segments.shape import SECRET, literal, shape_of
from shadow_agent.segments.spelling import segments_of
from shadow_agent.telemetry.check import count, exact_keys, text

CAPACITY: Final = 100
# Bytes of a key that are kept; a longer one counts by what it begins with.
_LONGEST: Final = 128
# Parameters of one query that are counted; the rest is not looked at.
_MAX_PARAMETERS: Final = 8
_MAX_NAME: Final = 32
_SHOWN: Final = 20
_FIELDS: Final = ("key", "least", "most")


class Heavy(NamedTuple):
    """A key, and between which counts its true one is."""

    key: str
    least: int
    most: int


class HotKeys:
    """Keys are bytes while they are counted, and texts once they have travelled."""

    __slots__ = ("_capacity", "_counts", "_errors", "_heap", "total")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._counts: dict[bytes, int] = {}
        self._errors: dict[bytes, int] = {}
        # each key once, with a count that it had: those that grew since are put right when they
        # come up
        self._heap: list[tuple[int, bytes]] = []
        self.total = 0

    def add(self, key: bytes) -> None:
        """Count one."""
        self.total += 1
        counts = self._counts
        if key in counts:
            counts[key] += 1
        elif len(counts) < self._capacity:
            counts[key] = 1
            heappush(self._heap, (1, key))
        else:
            least = self._settle()
            smallest = self._heap[0][1]
            del counts[smallest]
            self._errors.pop(smallest, None)
            counts[key] = least + 1
            self._errors[key] = least
            heapreplace(self._heap, (least + 1, key))

    def merge(self, other: HotKeys) -> None:
        """Add another's: what one has not may have been in it as often as its smallest."""
        ours, theirs = self._least(), other._least()
        keys = {**self._counts, **other._counts}
        made = []
        for key in keys:
            mine, its = self._counts.get(key, ours), other._counts.get(key, theirs)
            error = self._errors.get(key, 0 if key in self._counts else ours)
            error += other._errors.get(key, 0 if key in other._counts else theirs)
            made.append((mine + its, key, error))
        made.sort(key=lambda one: (-one[0], one[1]))
        del made[self._capacity :]
        self._counts = {key: n for n, key, _ in made}
        self._errors = {key: error for _, key, error in made if error}
        self._heap = [(n, key) for n, key, _ in made]
        heapify(self._heap)
        self.total += other.total

    def top(self, most: int = _SHOWN) -> list[Heavy]:
        """The hottest, by what is sure of them."""
        each = [
            Heavy(key.decode("latin-1"), n - self._errors.get(key, 0), n)
            for key, n in self._counts.items()
        ]
        each.sort(key=lambda one: (-one.least, -one.most, one.key))
        return each[:most]

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for orjson."""
        rows = [one._asdict() for one in self.top(self._capacity)]
        return {"total": self.total, "keys": rows}

    @classmethod
    def from_dict(cls, data: object, where: str, capacity: int = CAPACITY) -> HotKeys:
        """What ``as_dict`` described; ValueError names the first thing wrong."""
        given = exact_keys(data, ("total", "keys"), where)
        rows = given["keys"]
        if type(rows) is not list or len(rows) > capacity:
            raise ValueError(f"{where}.keys: expected a list of at most {capacity}")
        made = cls(capacity)
        made.total = count(given["total"], f"{where}.total")
        for position, row in enumerate(rows):
            place = f"{where}.keys[{position}]"
            fields = exact_keys(row, _FIELDS, place)
            key = text(fields["key"], f"{place}.key", longest=_LONGEST * 3).encode("latin-1")
            if key in made._counts:
                raise ValueError(f"{place}.key: occurred before")
            made._counts[key] = most = count(fields["most"], f"{place}.most")
            made._errors[key] = most - count(fields["least"], f"{place}.least", most=most)
        made._heap = [(n, key) for key, n in made._counts.items()]
        heapify(made._heap)
        return made

    def renamed(self, salt: bytes) -> HotKeys:
        """The same under names that may be shown: see `shown`. Keys with one name are one."""
        made = HotKeys(self._capacity)
        made.total = self.total
        for key, n in self._counts.items():
            name = shown(key, salt).encode("latin-1")
            made._counts[name] = made._counts.get(name, 0) + n
            error = self._errors.get(key, 0)
            if error:
                made._errors[name] = made._errors.get(name, 0) + error
        made._heap = [(n, key) for key, n in made._counts.items()]
        heapify(made._heap)
        return made

    def _least(self) -> int:
        """How often a key that is not here may have come."""
        return self._settle() if len(self._counts) >= self._capacity else 0

    def _settle(self) -> int:
        """Put the smallest on top of the heap; its count."""
        heap, counts = self._heap, self._counts
        while True:
            n, key = heap[0]
            now = counts[key]
            if now == n:
                return n
            heapreplace(heap, (now, key))


class Hot:
    """One worker's hot paths, parameters and cohorts."""

    __slots__ = ("cohorts", "parameters", "paths")

    def __init__(self) -> None:
        self.paths = HotKeys()
        self.parameters = HotKeys()
        self.cohorts = HotKeys()

    def add(self, target: bytes, cohort: str) -> None:
        """Count one request."""
        path, _, query = target.partition(b"?")
        self.paths.add(path[:_LONGEST])
        self.cohorts.add(cohort.encode("latin-1", "replace"))
        if query:
            for part in query.split(b"&", _MAX_PARAMETERS)[:_MAX_PARAMETERS]:
                if part:
                    self.parameters.add(b"?" + part[: _LONGEST - 1])

    def merge(self, other: Hot) -> None:
        """Add another's."""
        for name in self.__slots__:
            getattr(self, name).merge(getattr(other, name))

    def as_dict(self, salt: bytes) -> dict[str, Any]:
        """Under names that may be shown; ``salt``: of the run, the same for all workers."""
        return {
            "paths": self.paths.renamed(salt).as_dict(),
            "parameters": self.parameters.renamed(salt).as_dict(),
            "cohorts": self.cohorts.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: object, where: str = "hot") -> Hot:
        """What ``as_dict`` described; ValueError names the first thing wrong."""
        given = exact_keys(data, cls.__slots__, where)
        made = cls()
        for name in cls.__slots__:
            setattr(made, name, HotKeys.from_dict(given[name], f"{where}.{name}"))
        return made

    def summary(self) -> dict[str, Any]:
        """The hottest of each with their share of the requests, or of the parameters."""
        return {
            name: [
                {
                    **one._asdict(),
                    "share": round(one.least / max(getattr(self, name).total, 1), 4),
                }
                for one in getattr(self, name).top()
            ]
            for name in self.__slots__
        }


def shown(key: bytes, salt: bytes) -> str:
    """A name for a path or ``?parameter=value`` that tells values apart and gives none away.

    Words and numbers of a path are shown; what may be a token or a person's is its shape and a
    number made of its value, and so is every parameter's value.
    """
    if key[:1] == b"?":
        name, equals, value = key[1:].partition(b"=")
        text_ = "?" + literal(name[:_MAX_NAME])
        return f"{text_}=#{_number(value, salt)}" if equals else text_
    segments = segments_of(key)
    if segments is None:
        return key.decode("ascii") if key == b"*" else f"{{long}}#{_number(key, salt)}"
    made = []
    for segment in segments:
        shape = shape_of(segment)
        if shape is not None and any(one in shape for one in SECRET):
            made.append(f"{shape}#{_number(segment, salt)}")
        else:
            made.append(literal(segment))
    name_ = "/" + "/".join(made)
    return name_ if len(name_) <= _LONGEST * 2 else f"{{long}}#{_number(key, salt)}"


def _number(value: bytes, salt: bytes) -> str:
    return blake2b(value, digest_size=4, key=salt[:64]).hexdigest()
