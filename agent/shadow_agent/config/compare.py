"""``[compare]`` and ``[[tolerate]]``: what of two answers is compared, and what may differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from shadow_agent.config import parse
from shadow_agent.config.key import Key, RowError, Rows, Section

if TYPE_CHECKING:
    from shadow_agent.compare.options import Options
    from shadow_agent.compare.selectors import Tolerance

_MAX_ROWS: Final = 200
_MAX_HEADERS: Final = 100
_MAX_BODY: Final = 4 << 20
_DIGITS: Final = 15
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PLACES: Final = ("json", "header", "field")
_ACTIONS: Final = ("ignore", "round", "absolute", "relative", "seconds", "sort", "set")
_ALIGNING: Final = ("sort", "set")


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """What is compared of two answers."""

    # Empty: those that `compare.options.DECLARED` names.
    headers: tuple[str, ...] = ()
    # Recognise times, ids, host names and counters by their shape. Off, they count.
    volatile: bool = True
    # Bytes of a body, packed or unpacked, that are looked into, and kept where they come in
    # pieces; over it: compared by length and hash.
    max_body_bytes: int = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """One place and what is tolerated there: one of each group is given."""

    json: str | None = None
    header: str | None = None
    field: str | None = None
    ignore: bool | None = None
    round: int | None = None
    absolute: float | None = None
    relative: float | None = None
    seconds: float | None = None
    sort: str | None = None
    set: bool | None = None
    until: date | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Which of the places, and what it says."""
        return _given(self, _PLACES)

    @property
    def action(self) -> tuple[str, Any]:
        """Which of the actions, and its amount."""
        return _given(self, _ACTIONS)

    def rule(self) -> Tolerance:
        """For a comparison."""
        # here, as below: the library costs commands that compare nothing 60 ms
        from shadow_agent.compare.difference import Part  # noqa: PLC0415
        from shadow_agent.compare.selectors import Action, Tolerance  # noqa: PLC0415
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415

        kind, name = self.place
        action, amount = self.action
        return Tolerance(
            Action(action),
            amount=0.0 if isinstance(amount, bool | str) else float(amount),
            key=amount if isinstance(amount, str) else "",
            json=Path(name) if kind == "json" else None,
            part=Part.HEADER if kind == "header" else Part.BODY,
            name="" if kind == "json" else name.lower(),
            until=self.until,
        )


def options_of(compare: Compare, tolerated: Sequence[Tolerate]) -> Options:
    """What a comparison is told."""
    from shadow_agent.compare.options import DECLARED, Options  # noqa: PLC0415

    return Options(
        headers=tuple(name.lower() for name in compare.headers) or tuple(DECLARED),
        volatile=compare.volatile,
        max_body=compare.max_body_bytes,
        rules=tuple(one.rule() for one in tolerated),
    )


def make(**given: Any) -> Tolerate:
    """One row. Raises ValueError."""
    row = Tolerate(**given)
    _one_of(row, _PLACES, 'write json = "$.items[*].price", or header or field and its name')
    _one_of(row, _ACTIONS, "write ignore = true, or another of these")
    kind, name = row.place
    action, amount = row.action
    if kind != "json" and action in _ALIGNING:
        raise ValueError(f"{action} is for arrays in JSON; give json and a selector")
    if action in {"ignore", "set"} and amount is not True:
        raise ValueError(f"{action} = false says nothing; take it out")
    if kind == "json":
        from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415

        if Path(name).empty:
            raise ValueError(f"{name} can never match: its slice takes nothing of any array")
    return row


def together(rows: tuple[Tolerate, ...]) -> tuple[Tolerate, ...]:
    """Find what can never match. Raises RowError."""
    if len(rows) > _MAX_ROWS:
        raise RowError(_MAX_ROWS, f"more than {_MAX_ROWS}; selectors may say several at once")
    for number, row in enumerate(rows):
        for earlier, other in enumerate(rows[:number]):
            if _covers(other, row):
                raise RowError(
                    number,
                    f"{row.place[1]} can never match: row {earlier + 1} ignores it already; "
                    "take one of them out",
                )
    return rows


def _covers(earlier: Tolerate, later: Tolerate) -> bool:
    """Whether all that the later one could take is ignored by the earlier."""
    lasts = earlier.until is None or (later.until is not None and later.until <= earlier.until)
    if not lasts or earlier.place[0] != later.place[0]:
        return False
    if (earlier.place, earlier.action) == (later.place, later.action):
        return True
    if earlier.action[0] != "ignore":
        return False
    if earlier.place[0] != "json":
        return earlier.place[1].lower() == later.place[1].lower()
    from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415

    ours, theirs = Path(earlier.place[1]).steps, Path(later.place[1]).steps
    if ours is None or theirs is None:
        return earlier.place == later.place
    return ours == theirs[: len(ours)]


def _given(row: Tolerate, names: Sequence[str]) -> tuple[str, Any]:
    return next((name, value) for name in names if (value := getattr(row, name)) is not None)


def _one_of(row: Tolerate, names: Sequence[str], fix: str) -> None:
    given = [name for name in names if getattr(row, name) is not None]
    if len(given) != 1:
        said = " and ".join(given) or "none"
        raise ValueError(f"one of {', '.join(names)} belongs to it, not {said}; {fix}")


def _json(value: object) -> str:
    from shadow_agent.policy.jsonpath import Path  # noqa: PLC0415

    return Path(parse.text(value)).text


def _header(value: object) -> str:
    name = parse.text(value)
    if not _HEADER.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header; write it as in Cache-Control")
    return name


def _headers(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        # one kind of error for load to translate, whatever is wrong
        raise ValueError(f'{value!r} is not a list; write ["...", "..."]')  # noqa: TRY004
    if len(value) > _MAX_HEADERS:
        raise ValueError(f"{len(value)} headers are too many; give at most {_MAX_HEADERS}")
    return tuple(dict.fromkeys(_header(one) for one in value))


def _positive(most: float) -> Callable[[object], float]:
    def convert(value: object) -> float:
        found = parse.number(value)
        if not 0 < found <= most:
            raise ValueError(f"{found:g} is out of range; give more than 0, at most {most:g}")
        return found

    return convert


def _key(value: object) -> str:
    return "" if value == "" else parse.text(value)


def _until(value: object) -> date:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no date; write until = 2026-12-31") from error
    if not isinstance(value, date) or isinstance(value, datetime):
        # as in _headers
        raise ValueError(f"{value} is no date; write until = 2026-12-31")  # noqa: TRY004
    return value


def _shown_date(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


_KEYS: Final[Mapping[str, Key]] = {
    "headers": Key("headers", _headers, lambda value: value or None),
    "max-body-bytes": Key("max_body_bytes", parse.whole(1, _MAX_BODY)),
    "volatile": Key("volatile", parse.flag),
}
COMPARE: Final = Section("compare", Compare, _KEYS)
TOLERATE: Final = Rows(
    "tolerated",
    make,
    {
        "absolute": Key("absolute", _positive(1e300)),
        "field": Key("field", parse.text),
        "header": Key("header", _header),
        "ignore": Key("ignore", parse.flag),
        "json": Key("json", _json),
        "relative": Key("relative", _positive(1)),
        "round": Key("round", parse.whole(0, _DIGITS)),
        "seconds": Key("seconds", parse.seconds),
        "set": Key("set", parse.flag),
        "sort": Key("sort", _key),
        "until": Key("until", _until, _shown_date),
    },
    together,
)
