"""The gates file: what ``verdict --gates`` reads. Names as in ``max_p95 = "+10%"``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from shadow_agent.config import parse
from shadow_agent.config.file import parsed
from shadow_agent.config.position import Position
from shadow_agent.errors import UsageError
from shadow_agent.verdict.gates import Gate, Gates, Kind

_NUMBER: Final = r"([0-9]+(?:\.[0-9]+)?)"
_PERCENT: Final = re.compile(rf"(\+?){_NUMBER} ?%")
_TIME: Final = re.compile(rf"{_NUMBER} ?(us|µs|ms|s)")
_US: Final = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_QUANTILE: Final = re.compile(r"max_(p[1-9][0-9]{1,2})")
_RATES: Final = {"max_error_rate": Kind.ERRORS, "max_mismatch_rate": Kind.MISMATCHES}
_NAMES: Final = ("max_typical", "max_p50", "max_p95", "max_p99", *_RATES, "min_throughput")
_LATENCY_FIX: Final = 'write "+10%", "250ms", a list of both, or "off"'
_RATE_FIX: Final = 'write "+0.1%" (more than the reference), "0.5%" (at all), or "off"'
_MAX_LATENCY: Final = 100.0  # times slower
_MAX_WAIVED: Final = 1000


def read_gates(path: Path) -> Gates:
    """What the file says, over the defaults. Raises UsageError with the line and the fix."""
    text, tree = parsed(path, "--gates")
    place = Position(path, text)
    gates: dict[str, tuple[Gate, ...]] = {gate.name: (gate,) for gate in Gates().gates}
    settings: dict[str, Any] = {}
    for key, value in tree.items():
        try:
            if key in _SETTINGS:
                settings[key] = _SETTINGS[key](value)
            else:
                name = _name(key)
                gates[name] = _gates(key, name, value)
        except ValueError as error:
            raise UsageError(f"{place / key}: {error}") from error
    every = tuple(gate for made in gates.values() for gate in made)
    if not every:
        raise UsageError(f"{path}: every gate is off", "leave one on")
    return replace(Gates(), gates=every, **settings)


def _name(key: str) -> str:
    """A gate's name, of its key. ValueError with the nearest that there is."""
    if key in _NAMES or _QUANTILE.fullmatch(key):
        return key[4:]
    every = (*_NAMES, *_SETTINGS)
    near = difflib.get_close_matches(key, every, 1)
    fix = f"write {near[0]}" if near else f"there are: {', '.join(every)}"
    raise ValueError(f"no such gate; {fix}")


def _gates(key: str, name: str, value: object) -> tuple[Gate, ...]:
    if value == "off":
        return ()
    if key in _RATES:
        relative, share = _percent(value, _RATE_FIX, 1.0)
        return (Gate(name, _RATES[key], share, absolute=not relative),)
    if key == "min_throughput":
        relative, share = _percent(value, 'write "99.5%" or "off"', 1.0)
        if relative:
            raise ValueError('it is a share of requests; write "99.5%" or "off"')
        return (Gate(name, Kind.COMPLETION, round(1.0 - share, 9)),)
    made = {}
    for one in value if isinstance(value, list) else [value]:
        gate = _latency(name, one)
        made[gate.name] = gate
    if not made:
        raise ValueError(f"an empty list; {_LATENCY_FIX}")
    return tuple(made.values())


def _latency(name: str, value: object) -> Gate:
    kind, share = (Kind.PAIRED, 0.0)
    if name != "typical":
        kind, share = Kind.QUANTILE, int(name[1:]) / 10 ** len(name[1:])
    time = _TIME.fullmatch(value) if isinstance(value, str) else None
    if time and kind is Kind.QUANTILE:
        limit = float(time[1]) * _US[time[2]]
        if limit <= 0:
            raise ValueError(f"{value!r} is no limit; {_LATENCY_FIX}")
        return Gate(f"{name} limit", kind, 0.0, share, limit_us=limit)
    fix = _LATENCY_FIX if kind is Kind.QUANTILE else 'write "+10%" or "off"'
    relative, margin = _percent(value, fix, _MAX_LATENCY)
    if not relative:
        raise ValueError(f"{value!r} of what?; {fix}")
    return Gate(name, kind, margin, share)


def _percent(value: object, fix: str, most: float) -> tuple[bool, float]:
    """Whether it has a plus, and the share."""
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if not found or float(found[2]) / 100 > most:
        raise ValueError(f"{value!r} is no limit; {fix}")
    return bool(found[1]), float(found[2]) / 100


def _between(low: float, high: float) -> Callable[[object], float]:
    def convert(value: object) -> float:
        found = parse.number(value)
        if not low <= found <= high:
            raise ValueError(f"{value!r} is out of range; write {low:g} to {high:g}")
        return found

    return convert


def _plus(value: object) -> float:
    return _percent(value, 'write "+100%"', _MAX_LATENCY)[1]


def _share(value: object) -> float:
    return _percent(value, 'write "5%"', 1.0)[1]


def _waived(value: object) -> frozenset[str]:
    names = parse.listed(value)
    if len(names) > _MAX_WAIVED:
        raise ValueError(f"{len(names)} segments; {_MAX_WAIVED} at most")
    return frozenset(parse.text(one) for one in names)


_SETTINGS: Final[Mapping[str, Callable[[object], Any]]] = {
    "alpha": _between(1e-9, 0.5),
    "block_s": _between(0.1, 3600),
    "gross": _plus,
    "max_drift": _share,
    "min_coverage": _between(0, 1),
    "min_pairs": parse.whole(1),
    "min_reach": _between(0, 1),
    "ratio": _between(0.001, 1000),
    "waive": _waived,
}
