"""Side effects: what production called against what the shadow tried to call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from shadow_agent.calls.call import LONGEST, template

# Rows of either side; a build that calls more kinds of things than that has its rest in one row.
MAX_ROWS: Final = 500
OTHER: Final = "other"


class Key(NamedTuple):
    """What makes two calls the same kind of call."""

    protocol: str
    method: str
    host: str  # the caller's word, or the address where it gave none
    port: int
    path: str  # template


class Effects:
    """Calls of one side, counted by kind; bounded."""

    __slots__ = ("_rows", "calls")

    def __init__(self) -> None:
        self._rows: dict[Key, _Row] = {}
        self.calls = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """A record as the guard and the observer write it; what is no call is passed over.

        ``event`` is ``call`` or ``refused``; ``address`` and ``port`` say where to, the other
        names are those of Call. Raises nothing, whatever the record holds.
        """
        event = record.get("event")
        if event not in {"call", "refused"}:
            return
        port = record.get("port")
        address = _text(record, "address")
        key = Key(
            _text(record, "protocol"),
            _text(record, "method"),
            _text(record, "host") or address,
            port if isinstance(port, int) else 0,
            template(_text(record, "path")),
        )
        if key not in self._rows and len(self._rows) >= MAX_ROWS:
            key = Key(OTHER, "", OTHER, 0, "")
        row = self._rows.setdefault(key, _Row(refused=event == "refused"))
        row.places.add((address, key.port))
        row.count += 1
        self.calls += 1

    def dump(self) -> list[list[Any]]:
        """As JSON has it, for ``load`` in another process."""
        return [
            [*key, row.count, row.refused, sorted(row.places)] for key, row in self._rows.items()
        ]

    @classmethod
    def load(cls, dumped: list[list[Any]]) -> Effects:
        """What ``dump`` said. Raises ValueError and TypeError for anything else."""
        found = cls()
        for protocol, method, host, port, path, count, refused, places in dumped:
            row = _Row(refused=bool(refused))
            row.count = int(count)
            for address, number in places:
                row.places.add((str(address), int(number)))
            key = Key(str(protocol), str(method), str(host), int(port), str(path))
            found._rows[key] = row
            found.calls += row.count
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Commonest first."""
        ordered = sorted(self._rows.items(), key=lambda item: (-item[1].count, item[0]))
        return [_shown(key, row) for key, row in ordered]

    def places(self, *, refused: bool | None = None) -> set[tuple[str, int]]:
        """Addresses and ports that were called, or tried (``refused``)."""
        return {
            place
            for row in self._rows.values()
            if refused is None or row.refused is refused
            for place in row.places
        }

    def not_in(self, other: Effects) -> list[dict[str, Any]]:
        """Kinds of calls that the other side did not make.

        A refused connection never came to say what it wanted, so it stands for every call to its
        place, on either side.
        """
        refused, places = other.places(refused=True), other.places()
        return [
            _shown(key, row)
            for key, row in sorted(self._rows.items(), key=lambda item: (-item[1].count, item[0]))
            if key not in other._rows
            and not row.places & refused
            and not (row.refused and row.places & places)
        ]


class _Row:
    __slots__ = ("count", "places", "refused")

    def __init__(self, *, refused: bool) -> None:
        self.count = 0
        self.refused = refused
        self.places = _Places()


class _Places(set[tuple[str, int]]):
    """A service has some addresses; of one with very many the first are enough."""

    def add(self, place: tuple[str, int]) -> None:
        if len(self) < 64:
            super().add(place)


def side_effects(
    production: Effects | None, shadow: Effects | None, *, whole: bool = True
) -> dict[str, Any]:
    """The summary's object; a side that was not watched is null, and so is what needs it.

    Of half a record of the shadow (not ``whole``) nothing is concluded from what is not in it.
    """
    only_production = only_shadow = None
    if production is not None and shadow is not None:
        only_production = production.not_in(shadow) if whole else None
        only_shadow = shadow.not_in(production) or ([] if whole else None)
    return {
        "production": None if production is None else production.rows(),
        "shadow": None if shadow is None else shadow.rows(),
        "only_production": only_production,
        "only_shadow": only_shadow,
    }


def _shown(key: Key, row: _Row) -> dict[str, Any]:
    return {**key._asdict(), "count": row.count, "refused": row.refused}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value[:LONGEST] if isinstance(value, str) else ""
